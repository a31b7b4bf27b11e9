"""The pytest plugin, run in pytest sessions of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80}]}]},
}


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
    pytester.runpytest_subprocess("-q", "-p", "no:randomly").assert_outcomes(passed=3)


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
        """
    )
    result = pytester.runpytest_subprocess("-q", "-p", "no:randomly")
    result.assert_outcomes(errors=3)
    result.stdout.fnmatch_lines(
        [
            "*proxy='ebpf': expected one of iptables, ipvs, nftables, userspace*",
            "*unexpected keyword argument 'nodez'*",
            "*takes keyword arguments only*",
        ]
    )


def test_a_failure_shows_seed_choices_and_the_last_traces(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.fakecluster(seed=7)
        def test_fails(cluster):
            cluster.apply({POD!r})
            cluster.node("a").connect(cluster.pod("web"), 80)
            assert False
        """
    )
    result = pytester.runpytest_subprocess("-q", "-p", "no:randomly")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*fakecluster seed and choices*", "Seeded(7)", "*fakecluster trace*", "*node/a*", "*pod/web*"]
    )


def test_proxy_mode_runs_a_test_once_per_mode(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_modes(cluster, proxy_mode):
            assert cluster.spec.proxy == proxy_mode
        """
    )
    result = pytester.runpytest_subprocess("-v", "-p", "no:randomly")
    result.stdout.fnmatch_lines(["*test_modes?iptables?*", "*test_modes?ipvs?*", "*test_modes?nftables?*"])


def test_the_plugin_can_be_switched_off(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_wants(cluster): ...")
    result = pytester.runpytest_subprocess("-q", "-p", "no:fakecluster")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'cluster' not found*"])
