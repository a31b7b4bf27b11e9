"""Fixtures, marker and failure reports. Importing this module costs nothing: fakecluster is imported by the first fixture."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fakecluster import Cluster

MARKER = "fakecluster"
MARKER_HELP = (
    "fakecluster(nodes=2, proxy='iptables', seed=0, ...): how the `cluster` fixture builds its cluster; "
    "the arguments are those of fakecluster.Cluster"
)
#: The proxy modes that `proxy_mode` runs a test in.
PROXY_MODES = ("iptables", "ipvs", "nftables", "userspace")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER_HELP)


def cluster_arguments(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The arguments for `Cluster` that the test's markers give, the nearest marker winning key by key."""
    arguments: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers(MARKER))):
        if marker.args:
            raise pytest.UsageError(f"{request.node.nodeid}: @pytest.mark.fakecluster takes keyword arguments only")
        arguments |= marker.kwargs
    if "proxy_mode" in request.fixturenames and "proxy" not in arguments:
        arguments["proxy"] = request.getfixturevalue("proxy_mode")
    return arguments


@pytest.fixture
def fakecluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A fresh cluster, settled and empty; `@pytest.mark.fakecluster(...)` says how it is built."""
    from fakecluster import Cluster

    try:
        cluster = Cluster(**cluster_arguments(request))
    except (TypeError, ValueError) as wrong:
        raise pytest.UsageError(f"{request.node.nodeid}: @pytest.mark.fakecluster: {wrong}") from None
    request.node.stash[_CLUSTERS] = cluster
    yield cluster


@pytest.fixture
def cluster(fakecluster: Cluster) -> Cluster:
    """Short for `fakecluster`."""
    return fakecluster


@pytest.fixture(params=PROXY_MODES)
def proxy_mode(request: pytest.FixtureRequest) -> str:
    """Runs the test once per proxy mode; a `cluster` of the same test is built in that mode."""
    mode: str = request.param
    return mode


_CLUSTERS = pytest.StashKey[Any]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report: Any = yield
    cluster = item.stash.get(_CLUSTERS, None)
    if cluster is not None and call.when == "call" and report.failed:
        from pytest_fakecluster.report import sections

        report.sections.extend(sections(cluster))
    return report
