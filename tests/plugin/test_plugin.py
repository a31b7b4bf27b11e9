"""The pytest plugin, run in pytest sessions of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

pytest_plugins = ["pytester"]


def test_the_installed_but_unused_plugin_imports_nothing_of_the_package(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_nothing(): pass")
    code = (
        "import pytest, sys\n"
        "status = pytest.main(['-q', '-p', 'no:randomly', '-p', 'no:cacheprovider'])\n"
        "heavy = sorted(n for n in sys.modules if n.split('.')[0] in ('fakecluster', 'scapy', 'dns', 'yaml', 'rich'))\n"
        "assert 'pytest_fakecluster.plugin' in sys.modules\n"
        "print('IMPORTED', heavy, int(status))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=pytester.path)
    assert "IMPORTED [] 0" in run.stdout, run.stdout + run.stderr


def test_both_fixture_names_give_the_same_cluster_built_by_the_marker(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.fakecluster(nodes=["left", "right"], proxy="nftables")
        def test_marker(cluster, fakecluster):
            assert cluster is fakecluster
            assert [node.name for node in cluster.nodes] == ["left", "right"]
            assert cluster.spec.proxy == "nftables"

        @pytest.mark.fakecluster(nodes=3)
        class TestNearestMarkerWins:
            @pytest.mark.fakecluster(nodes=1)
            def test_one(self, cluster):
                assert len(cluster.nodes) == 1

            def test_three(self, cluster):
                assert len(cluster.nodes) == 3
        """
    )
    pytester.runpytest_inprocess("-q", "-p", "no:randomly").assert_outcomes(passed=3)


def test_wrong_marker_arguments_say_what_is_allowed(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.fakecluster(proxy="ebpf")
        def test_mode(cluster): ...

        @pytest.mark.fakecluster(nodez=3)
        def test_name(cluster): ...

        @pytest.mark.fakecluster(3)
        def test_position(cluster): ...

        @pytest.mark.fakecluster(kubernetes="1.2")
        def test_version(cluster): ...

        @pytest.mark.fakecluster(nodes=["A b"])
        def test_node(cluster): ...

        @pytest.mark.fakecluster(proxy="nftables")
        def test_twice(cluster, proxy_mode): ...

        def test_shared(fakecluster_shared):
            fakecluster_shared(proxi="nftables")
        """
    )
    result = pytester.runpytest_inprocess("-q", "-p", "no:randomly", "--fakecluster-proxy=iptables")
    result.assert_outcomes(errors=6, failed=1)
    marker = "test_wrong_marker_arguments_say_what_is_allowed.py::test_{}: @pytest.mark.fakecluster{}"
    for test, words in (
        ("mode", ": proxy='ebpf': expected one of iptables, ipvs, nftables, userspace"),
        ("name", ": no argument 'nodez'; did you mean nodes? There are nodes, proxy, *"),
        ("position", "(3) takes keyword arguments only, as in fakecluster(nodes=2)"),
        ("version", ": not modelled: kube-proxy of Kubernetes 1.2; known: 1.31, *"),
        ("node", ": node name 'A b': a lowercase RFC 1123 subdomain must consist of *"),
        ("twice?iptables?", "(proxy='nftables'): the test takes proxy_mode, which says it; leave one of them out"),
    ):
        result.stdout.fnmatch_lines_random([marker.format(test, words)])
    result.stdout.fnmatch_lines(["E*fakecluster_shared: no argument 'proxi'; did you mean proxy?*"])
    result.stdout.no_fnmatch_line("*plugin.py*raise*")


def test_proxy_mode_is_not_mistaken_for_an_argument_with_a_longer_name(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("proxy_mode_name", ["x"])
        def test_longer(proxy_mode_name, proxy_mode): ...

        @pytest.mark.parametrize(argnames="number, proxy_mode", argvalues=[(1, "ipvs")])
        def test_own(cluster, number, proxy_mode):
            assert cluster.spec.proxy == "ipvs"
        """
    )
    flags = ("--fakecluster-proxy=iptables,nftables",)
    pytester.runpytest_inprocess("-q", "-p", "no:randomly", *flags).assert_outcomes(passed=3)


def test_proxy_mode_runs_a_test_once_per_mode(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_modes(cluster, proxy_mode):
            assert cluster.spec.proxy == proxy_mode
        """
    )
    result = pytester.runpytest_inprocess("-v", "-p", "no:randomly")
    result.stdout.fnmatch_lines(["*test_modes?iptables?*", "*test_modes?ipvs?*", "*test_modes?nftables?*"])


def test_the_plugin_can_be_switched_off(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_wants(cluster): ...")
    result = pytester.runpytest_inprocess("-q", "-p", "no:fakecluster")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'cluster' not found*"])


def test_the_factory_makes_several_clusters_also_inside_given(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from hypothesis import given, settings, strategies as st

        def test_two(fakecluster_factory):
            one, two = fakecluster_factory(nodes=1), fakecluster_factory(nodes=2, seed=5)
            assert (len(one.nodes), len(two.nodes)) == (1, 2)
            assert repr(two.choices) == "Seeded(5)" and repr(one.choices) == "Seeded(11)"

        @settings(max_examples=5, deadline=None)
        @given(count=st.integers(1, 3))
        def test_given(fakecluster_factory, count):
            assert len(fakecluster_factory(nodes=count).nodes) == count
        """
    )
    pytester.runpytest_inprocess("-q", "-p", "no:randomly", "--fakecluster-seed=11").assert_outcomes(passed=2)


def test_shared_bases_are_prepared_once_and_forked(pytester: pytest.Pytester, web: dict[str, Any]) -> None:
    pytester.makepyfile(
        f"""
        POD = {web!r}

        def test_first(fakecluster_shared):
            cluster = fakecluster_shared(POD, nodes=1)
            cluster.delete("pods", "web")
            cluster.advance(60)
            assert cluster.pods == []

        def test_second(fakecluster_shared):
            assert [pod.name for pod in fakecluster_shared(POD, nodes=1).pods] == ["web"]
        """
    )
    pytester.runpytest_inprocess("-q", "-p", "no:randomly").assert_outcomes(passed=2)


def test_modes_come_from_the_command_line_and_the_ini_file(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_modes(proxy_mode): ...")
    result = pytester.runpytest_inprocess("-v", "-p", "no:randomly", "--fakecluster-proxy=nftables,ipvs")
    result.assert_outcomes(passed=2)
    pytester.makeini("[pytest]\nfakecluster_proxy = nftables\n")
    pytester.runpytest_inprocess("-v", "-p", "no:randomly").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--fakecluster-proxy=ebpf", "unknown mode ebpf; there are iptables, ipvs, nftables, userspace"),
        ("--fakecluster-proxy=", "--fakecluster-proxy='': name one or more of iptables, ipvs, nftables, userspace"),
        ("--fakecluster-seed=x", "expected a whole number"),
        ("--fakecluster-seed=--5", "expected a whole number"),
        ("--fakecluster-kubernetes=1.2", "--fakecluster-kubernetes='1.2': one of 1.31, 1.32, 1.33, 1.34, 1.35, 1.36"),
        ("--fakecluster-artifacts=a_file", "--fakecluster-artifacts=a_file: this is a file; expected a folder"),
        ("--fakecluster-html=.", "--fakecluster-html=.: this is a folder; expected a file"),
        ("--fakecluster-trace=some", "one of none, last, all"),
    ],
)
def test_wrong_flags_stop_the_run_with_one_line(pytester: pytest.Pytester, flag: str, words: str) -> None:
    pytester.makepyfile("def test_nothing(): ...")
    pytester.path.joinpath("a_file").touch()
    result = pytester.runpytest_inprocess("-q", flag)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{words}*"])


def test_the_options_know_the_modes_and_versions_that_the_package_knows() -> None:
    from pytest_fakecluster import options

    from fakecluster.proxy.config import MODES
    from fakecluster.proxy.versions import VERSIONS

    assert (sorted(options.PROXY_MODES), options.KUBERNETES) == (sorted(MODES), VERSIONS)


def test_it_works_beside_pytest_asyncio(pytester: pytest.Pytester) -> None:
    pytest.importorskip("pytest_asyncio")
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.asyncio
        @pytest.mark.fakecluster(nodes=2)
        async def test_async(cluster, proxy_mode):
            assert len(cluster.nodes) == 2 and cluster.spec.proxy == proxy_mode
        """
    )
    flags = ("-q", "-p", "no:randomly", "--fakecluster-proxy=iptables,ipvs")
    pytester.runpytest_subprocess(*flags).assert_outcomes(passed=2)


def test_it_works_under_xdist_and_in_unittest_classes(pytester: pytest.Pytester, web: dict[str, Any]) -> None:
    pytester.makepyfile(
        f"""
        import unittest, pytest

        class TestOld(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def _cluster(self, cluster):
                self.cluster = cluster

            def test_nodes(self):
                self.assertEqual(len(self.cluster.nodes), 1)

        @pytest.mark.parametrize("number", range(4))
        def test_many(cluster, number):
            cluster.apply({web!r})
            assert cluster.pod("web").ready

        def test_fails(cluster):
            cluster.node("a").can_reach("10.96.0.1:443")
            assert False
        """
    )
    flags = ("-n", "2", "--fakecluster-html=page.html")
    result = pytester.runpytest_subprocess("-q", *flags)
    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(["*fakecluster traces: page.html*"])
    assert [path.name for path in pytester.path.glob("*.html")] == ["page.html"]
    assert "test_fails" in (pytester.path / "page.html").read_text()


def test_types_of_clusters_have_their_strategy(pytester: pytest.Pytester) -> None:
    """By Hypothesis' entry point; fakecluster is imported first, as sorted imports have it."""
    pytester.makepyfile(
        """
        from fakecluster import Cluster
        from hypothesis import given, settings

        @settings(max_examples=2, deadline=None)
        @given(...)
        def test_type(cluster: Cluster):
            assert cluster.pod("client").ready
        """
    )
    pytester.runpytest_subprocess("-q", "-p", "no:randomly").assert_outcomes(passed=1)


def test_what_is_loaded_is_left_out_of_collections_after_the_first_test_with_a_cluster(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import gc

        def test_without(): ...

        def test_first(fakecluster_factory):
            assert gc.get_freeze_count() < 1_000
            fakecluster_factory()
            assert gc.get_freeze_count() < 1_000

        def test_second():
            assert gc.get_freeze_count() > 10_000
        """
    )
    pytester.runpytest_subprocess("-q", "-p", "no:randomly").assert_outcomes(passed=3)
