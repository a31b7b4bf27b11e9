"""What the pytest plugin says of a failing test, and what it leaves behind."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

pytest_plugins = ["pytester"]


def test_a_failure_shows_seed_choices_and_the_last_traces(pytester: pytest.Pytester, web: dict[str, Any]) -> None:
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.fakecluster(seed=7)
        def test_fails(cluster):
            cluster.apply({web!r})
            cluster.node("a").connect(cluster.pod("web"), 80)
            assert False
        """
    )
    result = pytester.runpytest_inprocess("-q", "-p", "no:randomly")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*fakecluster seed and choices*", "Seeded(7)", "*fakecluster trace*", "*node/a*", "*pod/web*"]
    )


def test_a_failure_while_a_fixture_is_made_is_reported_like_one_of_the_test(
    pytester: pytest.Pytester, web: dict[str, Any]
) -> None:
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.fixture
        def shop(cluster):
            cluster.apply({web!r})
            cluster.node("a").connect(cluster.pod("web"), 81)

        def test_setup(shop): ...

        @pytest.fixture
        def closing(cluster):
            yield
            cluster.node("a").can_reach("10.96.0.1:443")
            raise AssertionError("at the end")

        def test_teardown(closing): ...
        """
    )
    result = pytester.runpytest_inprocess("-q", "-p", "no:randomly", "--fakecluster-artifacts=out")
    result.assert_outcomes(errors=2, passed=1)
    result.stdout.fnmatch_lines(
        ["*ERROR at setup of test_setup*", "*connection1 = cluster.node('a').connect(cluster.pod('web'), port=81)*",
         "*fakecluster artifacts*", "*ERROR at teardown of test_teardown*", "cluster.node('a').can_reach('10.96.0.1:443')"]
    )  # fmt: skip
    assert len(list((pytester.path / "out").iterdir())) == 2


def test_what_the_package_refuses_is_told_at_the_tests_own_line_and_once(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_connects(cluster):
            cluster.node("a").connect("10.96.9.9:80")
        """
    )
    result = pytester.runpytest_inprocess("-q", "-p", "no:randomly")
    result.stdout.fnmatch_lines(
        [
            ">       cluster.node(?a?).connect(?10.96.9.9:80?)",
            "E   *ConnectFailed: 10.96.9.9:80: network unreachable (no Service has this address)",
        ]
    )
    result.stdout.no_fnmatch_line("*in connect*")
    text = result.stdout.str().partition("short test summary")[0]  # where CI is set, pytest says it all again there
    assert text.count(": dropped in outside at routing (no route)") == 1
    full = pytester.runpytest_inprocess("-q", "-p", "no:randomly", "--full-trace")
    full.stdout.fnmatch_lines(["*def open_connection(*"])


def test_a_fork_of_a_shared_cluster_is_reported_without_what_it_was_forked_from(
    pytester: pytest.Pytester, web: dict[str, Any]
) -> None:
    pytester.makepyfile(
        f"""
        def test_fails(fakecluster_shared):
            assert not fakecluster_shared({web!r}, nodes=2)
        """
    )
    result = pytester.runpytest_inprocess("-q", "-p", "no:randomly")
    assert result.stdout.str().count("fakecluster manifests and script") == 1


def test_folders_of_artifacts_have_names_of_their_own_that_fit(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("text", ["a/b", "a b", "x" * 400, "x" * 401, "ok"])
        def test_fails(cluster, text):
            assert False
        """
    )
    flags = ("--fakecluster-artifacts=out", "--fakecluster-html=page.html")
    pytester.runpytest_inprocess("-q", "-p", "no:randomly", *flags).assert_outcomes(failed=5)
    names = [folder.name for folder in (pytester.path / "out").iterdir()]
    assert len(names) == 5 and max(map(len, names)) <= 170
    assert f"{pytester.path.name.removesuffix('0')}.py.test_fails[ok]" in names


def test_artifacts_that_cannot_be_written_do_not_hide_the_failure(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from pathlib import Path

        def test_fails(cluster):
            Path("out").write_text("in the way")
            assert False, "the reason"
        """
    )
    result = pytester.runpytest_inprocess("-q", "-p", "no:randomly", "--fakecluster-artifacts=out")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*the reason*", "*fakecluster artifacts*", "could not be written: *Not a directory*"])


def test_artifacts_and_html_are_left_for_failing_tests(pytester: pytest.Pytester, web: dict[str, Any]) -> None:
    pytester.makepyfile(
        f"""
        def test_fails(cluster):
            cluster.apply({web!r})
            cluster.node("a").connect(cluster.pod("web"), 80)
            assert False
        """
    )
    flags = ("--fakecluster-artifacts=out", "--fakecluster-html=report/traces.html")
    pytester.runpytest_inprocess("-q", "-p", "no:randomly", *flags).assert_outcomes(failed=1)
    (folder,) = (pytester.path / "out").iterdir()
    assert sorted(file.name for file in folder.iterdir()) == [
        "choices.txt", "manifest.yaml", "packets.pcap", "script.py", "traces.txt",
    ]  # fmt: skip
    assert "name: web" in (folder / "manifest.yaml").read_text()
    from scapy.layers.inet import TCP
    from scapy.utils import rdpcap

    packets = rdpcap(str(folder / "packets.pcap"))
    assert packets[0][TCP].dport == 80
    page = (pytester.path / "report" / "traces.html").read_text()
    assert "pod/web" in page and "<pre>cluster = Cluster(" in page and "&gt;       assert False" in page


def test_a_reach_that_fails_says_why_in_the_assertion(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_reach(cluster):
            spec = {"selector": {"app": "none"}, "ports": [{"port": 80}]}
            cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec})
            assert cluster.node("a").can_reach("svc/web:80")
        """
    )
    result = pytester.runpytest_inprocess("-q", "-p", "no:randomly")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*<tcp://services/web:80: refused: Service default/web has no ready endpoint: no Pod matches its selector"
            " app=none; drop*has no endpoints*"
        ]
    )


def test_a_failing_example_is_a_script_that_can_be_pasted_and_its_traces(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from hypothesis import HealthCheck, given, settings
        from fakecluster import strategies as kube

        @settings(max_examples=20, deadline=None, database=None, derandomize=True,
                  suppress_health_check=list(HealthCheck))
        @given(cluster=kube.clusters(objects=kube.manifests(max_services=1)))
        def test_nobody_answers(cluster):
            for service in cluster.services:
                for port in service.object["spec"]["ports"]:
                    assert not cluster.pod("client").can_reach(service, port["port"])
        """
    )
    result = pytester.runpytest_inprocess("-q", "-p", "no:randomly")
    result.assert_outcomes(failed=1)
    text = result.stdout.str().partition("short test summary")[0]  # where CI is set, pytest says it all again there
    assert text.count("from fakecluster import Cluster") == 1 and "fakecluster trace" in text
    lines = [line[1:] for line in text.splitlines() if line.startswith("E")]
    begin = next(number for number, line in enumerate(lines) if "from fakecluster import Cluster" in line)
    end = next(number for number, line in enumerate(lines) if "cluster.pod('client').can_reach(" in line)
    script = textwrap.dedent("\n".join(lines[begin : end + 1]))
    assert "cluster = Cluster(nodes=['a'], choices=Scripted([]))" in script.splitlines()
    namespace: dict[str, Any] = {}
    exec(script.replace("cluster.pod('client').can_reach(", "reached = cluster.pod('client').can_reach("), namespace)
    assert namespace["reached"]
