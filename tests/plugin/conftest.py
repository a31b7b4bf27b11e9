"""What the plugin's tests run in sessions of their own."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def web() -> dict[str, Any]:
    """A Pod with one port, to be written into a test's text."""
    container = {"name": "c", "image": "i", "ports": [{"containerPort": 80}]}
    metadata = {"name": "web", "labels": {"app": "web"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}
