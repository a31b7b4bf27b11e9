"""A served cluster with the shop in it, and a connection to it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakecluster import Cluster
from fakecluster.http import Served

sys.path.insert(0, str(Path(__file__).parent))

from http_connection import Connection


@pytest.fixture
def shop(cluster: Cluster) -> Cluster:
    cluster.apply("examples/shop.yaml")
    return cluster


@pytest.fixture
def api(shop: Cluster) -> Iterator[Served]:
    with shop.serve(tls=False) as served:
        yield served  # type: ignore[misc]


@pytest.fixture
def connection(api: Served) -> Connection:
    return Connection(api)
