"""Which representation the client wants: JSON or YAML, whole objects, tables or metadata only."""

from __future__ import annotations

import attrs

from fakecluster.api import status
from fakecluster.api.status import ApiError

JSON, YAML, PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
OFFERED = (JSON, YAML, PROTOBUF)
SHAPES = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")
SHAPE_VERSIONS = ("v1", "v1beta1")


@attrs.frozen
class Accepted:
    """The chosen encoding and shape; `shape` empty: the object itself."""

    media: str = JSON
    shape: str = ""
    version: str = ""


@attrs.frozen
class Clause:
    """One entry of an Accept header."""

    media: str
    params: dict[str, str]

    @property
    def quality(self) -> float:
        try:
            return float(self.params.get("q", "1"))
        except ValueError:
            return 1.0


def clauses(accept: str) -> list[Clause]:
    """The entries of an Accept header, the most wanted first (the order given breaks ties)."""
    found = []
    for part in accept.split(","):
        media, *params = (piece.strip() for piece in part.split(";"))
        pairs = (param.partition("=") for param in params)
        found.append(Clause(media, {key.strip(): value.strip() for key, _, value in pairs}))
    return sorted(found, key=lambda clause: -clause.quality)


def negotiate(accept: str) -> Accepted:
    """The representation for objects; ApiError 406 when nothing that is wanted is offered."""
    if not accept:
        return Accepted()
    shaped = binary = False
    for clause in clauses(accept):
        media = JSON if clause.media in ("*/*", "application/*") else clause.media
        if media not in OFFERED:
            continue
        if media == PROTOBUF:  # the last resort: only errors are spoken in it
            binary = True
            continue
        shape = clause.params.get("as", "")
        if not shape:
            return Accepted(media)
        known = shape in SHAPES and clause.params.get("g", "") == "meta.k8s.io"
        if known and clause.params.get("v", "") in SHAPE_VERSIONS:
            return Accepted(media, shape, clause.params["v"])
        shaped = True
    if binary:
        return Accepted(PROTOBUF)
    raise _only_accepted() if shaped else not_acceptable()


def _only_accepted() -> ApiError:
    words = f"only the following media types are accepted: {', '.join(OFFERED)}"
    return status.failure(406, "NotAcceptable", words)


def not_acceptable(offered: tuple[str, ...] = OFFERED) -> ApiError:
    words = f"406: Not Acceptable\n\nAvailable representations: {', '.join(offered)}"
    return status.failure(406, "NotAcceptable", words, {})


def wants_aggregated(accept: str) -> str:
    """The content type of aggregated discovery when the client prefers it, otherwise nothing."""
    for clause in clauses(accept):
        params = clause.params
        if clause.media != JSON:
            continue
        if params.get("g") == "apidiscovery.k8s.io" and params.get("as") == "APIGroupDiscoveryList":
            if params.get("v") in ("v2", "v2beta1"):
                return f"{JSON};g=apidiscovery.k8s.io;v={params['v']};as=APIGroupDiscoveryList"
        elif "as" not in params:
            return ""
    return ""
