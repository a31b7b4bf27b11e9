"""`fakecluster check`: ready-made properties held against manifests."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from fakecluster import checks
from fakecluster.cli.options import AdminPolicies, Family, Manifests, Nodes, Proxy, Seed, UsageError, cluster_of
from fakecluster.cli.output import Answer, Output, OutputFile, counted, give
from fakecluster.cluster import Cluster

FAILED = 1


def check(
    manifests: Manifests,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="Run this check only (repeatable).", autocompletion=lambda: list(checks.CHECKS)),
    ] = None,
    proxy: Proxy = "iptables",
    nodes: Nodes = 2,
    ip_family: Family = "ipv4",
    seed: Seed = 0,
    admin_policies: AdminPolicies = False,
    output: Output = "",
    file: OutputFile = None,
) -> None:
    """Check that Services are reachable, balanced, sticky and named right. Exits 1 when an error is found.

    Checks: selectors, endpoints, unique, reachable, unoffered, hairpin, balanced, affinity, client-address, dns,
    modes-agree, rollout, policies.

    Example: fakecluster check manifests/ --only reachable --only dns
    """
    names = list(checks.CHECKS) if only is None else only
    if unknown := [name for name in names if name not in checks.CHECKS]:
        raise UsageError(f"no such check: {', '.join(unknown)}; there are {', '.join(checks.CHECKS)}")
    cluster = cluster_of(
        manifests, nodes=nodes, proxy=proxy, family=ip_family, seed=seed, admin_policies=admin_policies
    )
    findings = _run(cluster, names)
    give(
        Answer("fakecluster check", lambda console: _print(console, findings, names), lambda: _data(findings)),
        output,
        file,
    )
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(FAILED)


def _run(cluster: Cluster, names: list[str]) -> list[checks.Finding]:
    found: list[checks.Finding] = []
    columns = (SpinnerColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("", total=len(names))
        for name in names:
            progress.update(task, description=f"check {name}")
            found += checks.run(cluster, [name])
            progress.advance(task)
    return found


def _data(findings: list[checks.Finding]) -> list[dict[str, str]]:
    return [
        {"check": one.check, "subject": one.subject, "severity": one.severity, "problem": one.problem}
        for one in findings
    ]


def _print(console: Console, findings: list[checks.Finding], names: list[str]) -> None:
    if findings:
        table = Table(box=None, pad_edge=False)
        for column in ("severity", "check", "subject", "problem"):
            table.add_column(column, overflow="fold")
        for finding in findings:
            style = "bold red" if finding.severity == "error" else "yellow"
            table.add_row(Text(finding.severity, style=style), finding.check, finding.subject, finding.problem)
        console.print(table)
    errors = sum(finding.severity == "error" for finding in findings)
    found = f"{counted(errors, 'error')}, {counted(len(findings) - errors, 'warning')}"
    console.print(f"{counted(len(names), 'check')}: {found}")
