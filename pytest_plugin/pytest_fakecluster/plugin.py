"""Fixtures, marker, options, failure reports. Importing it costs nothing: the first fixture imports fakecluster."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from pytest_fakecluster import garbage, options

if TYPE_CHECKING:
    from fakecluster import Cluster
    from fakecluster.cluster.served import ServedApi

MARKER = "fakecluster"
MARKER_HELP = (
    "fakecluster(nodes=2, proxy='iptables', seed=0, ...): how the `cluster` fixture builds its cluster; "
    "the arguments are those of fakecluster.Cluster"
)
#: Clusters that a failing test's report looks at, the newest.
CLUSTERS_SHOWN = 4
#: Where the exception of a failing example lists the clusters that Hypothesis drew (see fakecluster.strategies.telling).
DRAWN = "fakecluster_clusters"
#: The attribute of a report that holds its part of the page of traces; it travels from xdist's workers.
HTML = "fakecluster_html"
Factory = Callable[..., "Cluster"]
_CLUSTERS = pytest.StashKey[list[Any]]()
_IS_FROZEN = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER_HELP)
    config.stash[_CLUSTERS] = []
    config.stash[_IS_FROZEN] = False
    options.check(config)
    path = options.html(config)
    if path is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(HtmlReport(path), "fakecluster-html")


# --- fixtures


@pytest.fixture(scope="session")
def fakecluster_factory(pytestconfig: pytest.Config) -> Generator[Factory, None, None]:
    """Makes clusters: `fakecluster_factory(nodes=3)`; for tests with several, and inside `@given`.

    The arguments are those of fakecluster.Cluster; the options of the command line are its defaults.
    """
    kubeconfig = options.live(pytestconfig)
    if kubeconfig is not None:
        yield from live_factory(kubeconfig)
        return

    def make(**arguments: Any) -> Cluster:
        cluster = new_cluster(pytestconfig, "fakecluster_factory", arguments)
        remember(pytestconfig, cluster)
        return cluster

    yield make


def new_cluster(config: pytest.Config, place: str, arguments: dict[str, Any]) -> Cluster:
    """A cluster of these arguments, the options of the command line being the defaults. Raises TypeError, ValueError."""
    from fakecluster import Cluster

    check_names(place, arguments)
    defaults: dict[str, Any] = {"kubernetes": options.value(config, "kubernetes")}
    if arguments.get("choices") is None:
        defaults["seed"] = options.seed(config)
    return Cluster(**(defaults | arguments))


def live_factory(kubeconfig: Path) -> Generator[Factory, None, None]:
    """Makes real clusters' namespaces in the place of clusters, and removes them."""
    from pytest_fakecluster.live import LiveCluster

    made: list[LiveCluster] = []

    def make(**arguments: Any) -> Any:
        cluster = LiveCluster(kubeconfig, **arguments)
        made.append(cluster)
        return cluster

    yield make
    for cluster in made:
        cluster.close()


def check_names(place: str, arguments: dict[str, Any]) -> None:
    """Refuse what `Cluster` does not take, with what it takes. Raises TypeError."""
    from difflib import get_close_matches
    from inspect import signature

    from fakecluster import Cluster

    known = list(signature(Cluster).parameters)
    for name in arguments:
        if name not in known:
            meant = get_close_matches(name, known, 1)
            hint = f"; did you mean {meant[0]}?" if meant else ""
            raise TypeError(f"{place}: no argument {name!r}{hint} There are {', '.join(known)}")


def remember(config: pytest.Config, cluster: Cluster) -> None:
    """Let a failure's report show this cluster."""
    clusters = config.stash[_CLUSTERS]
    clusters.append(cluster)
    del clusters[:-CLUSTERS_SHOWN]


@pytest.fixture(scope="module")
def fakecluster_shared(pytestconfig: pytest.Config, fakecluster_factory: Factory) -> Factory:
    """Forks of clusters that are prepared once a module: `fakecluster_shared("shop.yaml", nodes=3)`.

    The manifests are applied when they are first asked for; each call gives a copy of its own.
    """
    prepared: dict[str, Cluster] = {}
    live = options.live(pytestconfig) is not None

    def fork(*manifests: Any, **arguments: Any) -> Cluster:
        if live:  # a real cluster has no copies
            fresh = fakecluster_factory(**arguments)
            for source in manifests:
                fresh.apply(source)
            return fresh
        key = repr((manifests, sorted(arguments.items())))
        if key not in prepared:
            prepared[key] = new_cluster(pytestconfig, "fakecluster_shared", arguments)
            for source in manifests:
                prepared[key].apply(source)
        copy = prepared[key].fork()
        remember(pytestconfig, copy)
        return copy

    return fork


def cluster_arguments(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The arguments for `Cluster` that the test's markers give, the nearest marker winning key by key."""
    arguments: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers(MARKER))):
        if marker.args:
            given = ", ".join(map(repr, marker.args))
            refuse(request, f"({given}) takes keyword arguments only, as in fakecluster(nodes=2)")
        arguments |= marker.kwargs
    if "proxy_mode" in request.fixturenames:
        if "proxy" in arguments:
            refuse(
                request,
                f"(proxy={arguments['proxy']!r}): the test takes proxy_mode, which says it; leave one of them out",
            )
        arguments["proxy"] = request.getfixturevalue("proxy_mode")
    return arguments


def refuse(request: pytest.FixtureRequest, words: str) -> NoReturn:
    """End a test whose marker is wrong, with one line."""
    pytest.fail(f"{request.node.nodeid}: @pytest.mark.fakecluster{words}", pytrace=False)


def pytest_report_header(config: pytest.Config) -> str | None:
    kubeconfig = options.live(config)
    return None if kubeconfig is None else f"fakecluster: live, against the cluster of {kubeconfig}"


@pytest.fixture
def fakecluster(request: pytest.FixtureRequest, fakecluster_factory: Factory) -> Generator[Cluster, None, None]:
    """A fresh cluster, settled and empty; `@pytest.mark.fakecluster(...)` says how it is built."""
    cluster = _built(request, fakecluster_factory)
    yield cluster
    if options.live(request.config) is not None:
        cluster.close()  # type: ignore[attr-defined]


def _built(request: pytest.FixtureRequest, fakecluster_factory: Factory) -> Cluster:
    from fakecluster.errors import Unsupported

    arguments = cluster_arguments(request)
    try:
        check_names("", arguments)
    except TypeError as wrong:
        refuse(request, str(wrong))
    try:
        return fakecluster_factory(**arguments)
    except (ValueError, Unsupported) as wrong:
        refuse(request, f": {wrong}")


@pytest.fixture
def cluster(fakecluster: Cluster) -> Cluster:
    """Short for `fakecluster`."""
    return fakecluster


@pytest.fixture
def fakecluster_api(fakecluster: Cluster) -> Generator[ServedApi, None, None]:
    """The API of `fakecluster` over HTTPS on loopback: `url`, `token`, `ca_file`, `kubeconfig` (a file)."""
    with fakecluster.serve() as served:
        yield served


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "proxy_mode" in metafunc.fixturenames and not _is_parametrized(metafunc, "proxy_mode"):
        metafunc.parametrize("proxy_mode", options.proxy_modes(metafunc.config))


def _is_parametrized(metafunc: pytest.Metafunc, name: str) -> bool:
    for marker in metafunc.definition.iter_markers("parametrize"):
        given = marker.args[0] if marker.args else marker.kwargs.get("argnames", ())
        names = given.split(",") if isinstance(given, str) else given
        if name in (one.strip() for one in names):
            return True
    return False


@pytest.fixture
def proxy_mode(request: pytest.FixtureRequest) -> str:
    """The proxy mode of this run of the test: once for each mode; a `cluster` of the same test is built in it."""
    mode: str = request.param
    return mode


# --- reports


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.config.stash[_CLUSTERS].clear()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """After the first test with a cluster, what is loaded is left out of garbage collections."""
    if not item.config.stash[_IS_FROZEN] and garbage.is_prepared():
        item.config.stash[_IS_FROZEN] = True
        garbage.leave_loaded_out()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    error = call.excinfo.value if call.excinfo is not None else None
    drawn = getattr(error, DRAWN, ())
    clusters = list({id(cluster): cluster for cluster in (*item.config.stash[_CLUSTERS], *drawn)}.values())
    if error is None or "fakecluster" not in sys.modules:
        return (yield)
    from pytest_fakecluster import report as reports

    if not item.config.getoption("fulltrace", False):
        reports.leave_insides_out(error)
    report = yield
    if report.failed and clusters:
        level = options.value(item.config, "trace")
        for cluster in clusters:
            is_told = any(cluster is one for one in drawn)  # by Hypothesis, in the error itself
            report.sections.extend(reports.sections(cluster, level, is_told=is_told, told=str(error)))
        folder = options.artifacts(item.config)
        if folder is not None:
            report.sections.append(("fakecluster artifacts", reports.leave_artifacts(folder, item.nodeid, clusters)))
        if options.html(item.config) is not None:
            setattr(report, HTML, reports.html_section(item.nodeid, report.longreprtext, clusters))
    return report


class HtmlReport:
    """Collects what failing tests leave for the page, also those of xdist's workers, and writes it at the end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sections: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        section = getattr(report, HTML, "")
        if section:
            self.sections.append(section)

    def pytest_sessionfinish(self) -> None:
        from pytest_fakecluster import report as reports

        reports.write_html(self.path, self.sections)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.write_sep("-", f"fakecluster traces: {self.path}")
