"""Texts of objects: written once, and for a watch only so many at once."""

import json

from fakecluster import Cluster
from fakecluster.http.encoding import AT_ONCE_BYTES, Encoder


def test_a_watch_is_written_in_pieces_that_a_slow_reader_can_take(cluster: Cluster) -> None:
    server, encoder = cluster.parts.server, Encoder()
    response = server.request(
        "GET", "/api/v1/configmaps", f"watch=1&resourceVersion={server.store.revision}", {}, b"", "admin"
    )
    for number in range(30):
        cluster.api.create("configmaps", {"metadata": {"name": f"c{number}"}, "data": {"x": "y" * 100_000}}, "default")
    assert response.stream is not None
    pieces = []
    while piece := encoder.lines(response.stream):  # type: ignore[arg-type]
        pieces.append(piece)
    assert [len(piece) < AT_ONCE_BYTES + 110_000 for piece in pieces] == [True, True, True]
    names = [json.loads(line)["object"]["metadata"]["name"] for line in b"".join(pieces).splitlines()]
    assert names == [f"c{number}" for number in range(30)]
