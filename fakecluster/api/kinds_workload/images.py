"""Image references, as far as the API server reads them: the tag decides the pull policy."""

from __future__ import annotations

import re

_REPOSITORY = re.compile(r"[A-Za-z0-9]+([._:/-]+[A-Za-z0-9]+)*")

PULL_POLICIES = ("Always", "IfNotPresent", "Never")


def image_tag(image: str) -> str:
    """The tag of an image reference: "latest" where neither tag nor digest is given, "" where only a digest is."""
    name, _, digest = image.partition("@")
    if not name or not _REPOSITORY.fullmatch(name):
        return ""
    tag = name.rsplit("/", 1)[-1].partition(":")[2]
    return tag or ("" if digest else "latest")


def pull_policy(image: str) -> str:
    """Always for the moving tag, IfNotPresent for all others."""
    return "Always" if image_tag(image) == "latest" else "IfNotPresent"
