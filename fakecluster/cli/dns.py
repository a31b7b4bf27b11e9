"""`fakecluster dns`: a name looked up inside a cluster, every query and answer."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fakecluster.cli.options import Family, Manifests, Nodes, Proxy, Seed, UsageError, cluster_of
from fakecluster.cli.output import Answer, Output, OutputFile, give
from fakecluster.cli.trace import source_host
from fakecluster.cluster import Cluster
from fakecluster.discovery.resolver import FLAVOURS, Asked, Lookup
from fakecluster.handles import Host

FAILED = 1
_GOOD = {"NOERROR": "green", "NXDOMAIN": "yellow", "NODATA": "yellow"}


def dns(
    name: Annotated[str, typer.Argument(help="The name to look up; with a final dot, without the search list.")],
    manifests: Manifests,
    source: Annotated[str, typer.Option("--from", help="pod/\\[NAMESPACE/]NAME, node/NAME or outside.")],
    types: Annotated[
        list[str] | None, typer.Option("--type", "-t", help="Record type (repeatable); A and AAAA as the host has.")
    ] = None,
    flavour: Annotated[str, typer.Option("--resolver", help="glibc or musl.")] = "glibc",
    outside: Annotated[
        list[str] | None, typer.Option("--outside", help="A name that the outside knows: NAME=ADDRESS (repeatable).")
    ] = None,
    proxy: Proxy = "iptables",
    nodes: Nodes = 2,
    ip_family: Family = "ipv4",
    seed: Seed = 0,
    output: Output = "",
    file: OutputFile = None,
) -> None:
    """Look NAME up as a program in the Pod would: the whole search walk, each query and its answer.

    Exits 1 when the name is not found.

    Example: fakecluster dns web.shop manifests/ --from pod/client --type A --resolver musl
    """
    if flavour not in FLAVOURS:
        raise UsageError(f"--resolver {flavour!r}: expected {' or '.join(FLAVOURS)}")
    cluster = cluster_of(manifests, nodes=nodes, proxy=proxy, family=ip_family, seed=seed)
    declare(cluster, outside or [])
    host = source_host(cluster, source)
    try:
        found = host.lookup(name, types=tuple(text.upper() for text in types or ()), flavour=flavour)
    except ValueError as wrong:
        raise UsageError(str(wrong)) from None
    give(
        Answer("fakecluster dns", lambda console: show(console, host, found), lambda: data_of(host, found)),
        output,
        file,
    )
    if not found.records:
        raise typer.Exit(FAILED)


def declare(cluster: Cluster, names: list[str]) -> None:
    """Let the outside know names: `example.com=198.51.100.7`. Raises `UsageError`."""
    for text in names:
        name, equals, data = text.partition("=")
        try:
            if not equals or not name:
                raise ValueError("expected NAME=ADDRESS")
            cluster.outside.dns.add(name, data)
        except ValueError as wrong:
            raise UsageError(f"--outside {text!r}: {wrong}") from None


def show(console: Console, host: Host, found: Lookup) -> None:
    """The resolver's file, a line for every query, and the end."""
    console.print(Text(f"{host.namespace} /etc/resolv.conf", style="bold"))
    console.print(Text("".join(f"  {line}\n" for line in str(host.resolv_conf).splitlines()), style="dim"), end="")
    table = Table(box=None, pad_edge=False)
    for column in ("", "query", "type", "server", "answer"):
        table.add_column(column, overflow="fold")
    for number, query in enumerate(found.queries, 1):
        server = f"{query.server} {'tcp' if query.tcp else 'udp'}"
        table.add_row(str(number), query.name, query.type, server, answer_text(query))
    console.print(table)
    count = f"{len(found.queries)} {'query' if len(found.queries) == 1 else 'queries'}"
    if found.records:
        records = ", ".join(record.data for record in found.records)
        console.print(Text(f"{found.name} is {records} ({count})", style="bold green"))
    else:
        console.print(Text(f"{found.status} ({count})", style="bold red"))


def data_of(host: Host, found: Lookup) -> dict[str, Any]:
    """The look-up as plain values."""
    return {
        "host": host.namespace,
        "resolv_conf": str(host.resolv_conf),
        "status": found.status,
        "name": found.name,
        "records": [{"type": one.type, "data": one.data} for one in found.records],
        "queries": [
            {"name": one.name, "type": one.type, "server": one.server, "protocol": "tcp" if one.tcp else "udp",
             "status": one.status,
             "answer": [{"type": record.type, "data": record.data, "ttl_s": record.ttl_s}
                        for record in (one.answer.answer if one.answer is not None else ())]}
            for one in found.queries
        ],
    }  # fmt: skip


def answer_text(query: Asked) -> Text:
    """The response code and the records of the answer."""
    text = Text(query.status, style=_GOOD.get(query.status, "red"))
    for record in query.answer.answer if query.answer is not None else ():
        text.append(f"\n{record.type} {record.data} (ttl {record.ttl_s})", style="")
    return text
