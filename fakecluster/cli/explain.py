"""`fakecluster explain`: one packet through a real node's dumps, no Kubernetes needed."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from io import StringIO
from pathlib import Path
from typing import Annotated, Any

import attrs
import typer
from rich.console import Console
from rich.text import Text

from fakecluster.cli.options import UsageError
from fakecluster.cli.render import print_walks
from fakecluster.replay.dumps import node_from_dumps
from fakecluster.replay.explaining import Explanation, explain
from fakecluster.replay.packet_words import parse_packet
from fakecluster.trace import Hop, Step, step_text

NOT_ARRIVED = 1
Dump = Path | None


class Output(StrEnum):
    """How an explanation is printed."""

    text = "text"
    json = "json"
    html = "html"
    svg = "svg"


def explain_command(
    packet: Annotated[str, typer.Option("--packet", help='"tcp 10.244.1.5:40000 > 10.96.0.10:53 in cni0"')],
    iptables: Annotated[Dump, typer.Option("--iptables-save", help="iptables-save, either backend.")] = None,
    ip6tables: Annotated[Dump, typer.Option("--ip6tables-save", help="ip6tables-save.")] = None,
    nft: Annotated[Dump, typer.Option("--nft", help="nft list ruleset.")] = None,
    ipset: Annotated[Dump, typer.Option("--ipset", help="ipset save.")] = None,
    ipvsadm: Annotated[Dump, typer.Option("--ipvsadm", help="ipvsadm -Sn.")] = None,
    ip_addr: Annotated[Dump, typer.Option("--ip-addr", help="ip address show.")] = None,
    ip_route: Annotated[Dump, typer.Option("--ip-route", help="ip route show [table all].")] = None,
    ip_rule: Annotated[Dump, typer.Option("--ip-rule", help="ip rule show.")] = None,
    conntrack: Annotated[Dump, typer.Option("--conntrack", help="conntrack -L.")] = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="text, json, html or svg.")] = Output.text,
) -> None:
    """Walk one packet through a node made from its dumps: every hook, rule and rewrite, and why others did not match.

    Forwarding is on. Exits 1 when the packet is dropped, 2 when a dump cannot be read (with file and line).
    """
    files = {"ip-addr": ip_addr, "ip-route": ip_route, "ip-rule": ip_rule, "ipset": ipset, "iptables-save": iptables,
             "ip6tables-save": ip6tables, "nft": nft, "ipvsadm": ipvsadm, "conntrack": conntrack}  # fmt: skip
    words = parse_packet(packet)
    node = node_from_dumps({kind: read_dump(path) for kind, path in files.items() if path is not None})
    explanation = explain(node, words)
    _PRINT[output](explanation)
    if not explanation.trace.hops or explanation.trace.way[-1].verdict.what == "dropped":
        raise typer.Exit(NOT_ARRIVED)


def read_dump(path: Path) -> tuple[str, str]:
    """A dump's text and the name of its file; - is standard input. Raises `UsageError`."""
    try:
        data = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        return data.decode("utf-8"), str(path)
    except OSError as failed:
        raise UsageError(f"{path}: {failed.strerror}") from None
    except UnicodeDecodeError as wrong:
        raise UsageError(f"{path}: offset {wrong.start}: not text") from None


def _print(explanation: Explanation) -> None:
    _write(Console(highlight=False), explanation)


def _write(console: Console, explanation: Explanation) -> None:
    print_walks(console, explanation.trace.hops, everything=True)
    if explanation.neighbours:
        console.print(Text("rules that did not match", style="bold"))
        for one in explanation.neighbours:
            console.print(Text(f"  {one.hook} {one.table} {one.chain} #{one.rule}: {one.text}"), soft_wrap=True)
            console.print(Text(f"      {one.why}", style="yellow"), soft_wrap=True)
    if explanation.changes:
        console.print(Text("what would have led elsewhere", style="bold"))
        for change in explanation.changes:
            console.print(Text(f"  {change.change}: {change.end}", style="cyan"), soft_wrap=True)
    console.print(Text(explanation.end, style="bold"))


def as_json(explanation: Explanation) -> dict[str, Any]:
    """The explanation as plain data; packets as hexadecimal text."""
    return {
        "end": explanation.end,
        "hops": [_hop_json(hop) for hop in explanation.trace.hops],
        "neighbours": [attrs.asdict(one) for one in explanation.neighbours],
        "changes": [attrs.asdict(one) for one in explanation.changes],
    }


def _hop_json(hop: Hop) -> dict[str, Any]:
    return {
        "namespace": hop.namespace, "in": hop.iif, "out": hop.oif, "packet_in": hop.packet_in.hex(),
        "packet_out": hop.packet_out.hex(), "rules_walked": hop.rules_walked, "steps": [_step(s) for s in hop.steps],
        "verdict": attrs.asdict(hop.verdict),
    }  # fmt: skip


def _step(step: Step) -> dict[str, Any]:
    return {"step": type(step).__name__, "text": step_text(step), **attrs.asdict(step)}


def _print_json(explanation: Explanation) -> None:
    print(json.dumps(as_json(explanation), indent=2))


def _recorded(explanation: Explanation) -> Console:
    console = Console(highlight=False, record=True, file=StringIO(), width=160, force_terminal=True)
    _write(console, explanation)
    return console


def _print_html(explanation: Explanation) -> None:
    print(_recorded(explanation).export_html())


def _print_svg(explanation: Explanation) -> None:
    print(_recorded(explanation).export_svg(title="fakecluster explain"))


_PRINT = {Output.text: _print, Output.json: _print_json, Output.html: _print_html, Output.svg: _print_svg}
