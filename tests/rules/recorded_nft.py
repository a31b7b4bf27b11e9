"""What nft was given in the recordings kept with the tests."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

RECORDINGS = Path(__file__).parents[1] / "conformance" / "recordings"
_TEXT = re.compile(r"\s*((add|flush|delete) )?(table|chain|rule|element) (ip|ip6|inet) ")


def recorded_texts() -> list[str]:
    """Every text once, in order."""
    texts = {}
    for name in ("netfilter", "kubeproxy"):
        with tarfile.open(RECORDINGS / f"{name}.tar.xz") as archive:
            for member in archive:
                if "nftables/" in member.name and member.name.endswith(".json"):
                    file = archive.extractfile(member)
                    assert file is not None
                    texts |= dict.fromkeys(filter(_TEXT.match, _strings(json.load(file))))
    return sorted(texts)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)
