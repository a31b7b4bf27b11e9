"""`fakecluster dns`: the whole search walk on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fakecluster.cli.main import app
from fakecluster.cli.options import UsageError

SHOP = str(Path(__file__).resolve().parents[2] / "examples" / "shop.yaml")


def dns(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["dns", *arguments], env={"COLUMNS": "200"})


def test_every_query_of_the_walk_is_shown_with_its_answer() -> None:
    run = dns("example.com", SHOP, "--from", "pod/client", "--outside", "example.com=198.51.100.7")
    assert run.exit_code == 0, run.output
    rows = [line.split() for line in run.output.splitlines() if line[:1].isdigit()]
    assert [row[:3] for row in rows] == [
        ["1", "example.com.default.svc.cluster.local.", "A"],
        ["2", "example.com.svc.cluster.local.", "A"],
        ["3", "example.com.cluster.local.", "A"],
        ["4", "example.com.", "A"],
    ]
    assert [row[5] for row in rows] == ["NXDOMAIN", "NXDOMAIN", "NXDOMAIN", "NOERROR"]
    assert "options ndots:5" in run.output
    assert "example.com. is 198.51.100.7 (4 queries)" in run.output


def test_a_name_of_the_cluster_takes_one_query() -> None:
    run = dns("web", SHOP, "--from", "pod/client")
    assert run.exit_code == 0, run.output
    assert "web.default.svc.cluster.local. is 10.96." in run.output
    assert "(1 query)" in run.output


def test_types_and_the_resolver_can_be_chosen() -> None:
    run = dns(
        "_http._tcp.web.default.svc.cluster.local.", SHOP, "--from", "pod/client", "-t", "srv", "--resolver", "musl"
    )
    assert run.exit_code == 0, run.output
    assert "SRV 0 100 80 web.default.svc.cluster.local. (ttl 30)" in run.output


def test_a_name_that_is_not_found_exits_with_1() -> None:
    run = dns("wbe", SHOP, "--from", "pod/client")
    assert run.exit_code == 1
    assert run.output.rstrip().endswith("NXDOMAIN (4 queries)")


@pytest.mark.parametrize("name", ["a..b", "x" * 64, ".".join(["x" * 60] * 5)])
def test_a_name_that_cannot_be_asked_for_sends_no_query(name: str) -> None:
    run = dns(name, SHOP, "--from", "pod/client")
    assert run.exit_code == 1
    assert run.output.rstrip().endswith("BADNAME (0 queries)")


def test_nodes_ask_the_outside() -> None:
    run = dns("example.com", SHOP, "--from", "node/a", "--outside", "example.com=198.51.100.7")
    assert run.exit_code == 0, run.output
    assert "nameserver 172.18.0.1" in run.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("web", SHOP, "--from", "client"), "expected pod/"),
        (("web", SHOP, "--from", "pod/client", "--resolver", "bionic"), "expected glibc or musl"),
        (("web", SHOP, "--from", "pod/client", "--outside", "x"), "expected NAME=ADDRESS"),
        (("web", SHOP, "--from", "pod/client", "--outside", "x=y"), "no DNS record"),
        (("web", SHOP, "--from", "pod/client", "-t", "BOGUS"), "BOGUS"),
    ],
)
def test_wrong_arguments_are_said(arguments: tuple[str, ...], words: str) -> None:
    run = dns(*arguments)
    assert isinstance(run.exception, UsageError), run.output
    assert words in str(run.exception)
