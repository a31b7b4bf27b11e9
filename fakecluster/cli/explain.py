"""`fakecluster explain`: one packet through a cluster, or through a real node's dumps with no Kubernetes at all."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import attrs
import typer
from rich.console import Console
from rich.text import Text

from fakecluster.api.manifests import read
from fakecluster.cli.options import Family, Nodes, Proxy, Seed, UsageError, cluster_of, read_text
from fakecluster.cli.output import Answer, file_option, give, output_option
from fakecluster.cli.render import print_walks
from fakecluster.cluster import Cluster
from fakecluster.drawing import mermaid, page, svg
from fakecluster.errors import ManifestError
from fakecluster.explaining import Explanation, explain, explain_in, names_of, node_from_dumps
from fakecluster.explaining.packet_words import parse_packet
from fakecluster.explaining.walking import NoInterface
from fakecluster.trace import Hop, Step, step_text

NOT_ARRIVED = 1
Dump = Path | None


def explain_command(
    packet: Annotated[str, typer.Option("--packet", help='"tcp 10.244.1.5:40000 > 10.96.0.10:53 in cni0"')],
    manifests: Annotated[
        list[Path] | None, typer.Argument(help="Manifests of a cluster to explain it in (- is standard input).")
    ] = None,
    at: Annotated[str, typer.Option("--at", help="In a cluster: where it begins: a, pod/web-1.")] = "",
    iptables: Annotated[Dump, typer.Option("--iptables-save", help="iptables-save, either backend.")] = None,
    ip6tables: Annotated[Dump, typer.Option("--ip6tables-save", help="ip6tables-save.")] = None,
    nft: Annotated[Dump, typer.Option("--nft", help="nft list ruleset.")] = None,
    ipset: Annotated[Dump, typer.Option("--ipset", help="ipset save.")] = None,
    ipvsadm: Annotated[Dump, typer.Option("--ipvsadm", help="ipvsadm -Sn.")] = None,
    ip_addr: Annotated[Dump, typer.Option("--ip-addr", help="ip address show.")] = None,
    ip_route: Annotated[Dump, typer.Option("--ip-route", help="ip route show \\[table all].")] = None,
    ip_rule: Annotated[Dump, typer.Option("--ip-rule", help="ip rule show.")] = None,
    conntrack: Annotated[Dump, typer.Option("--conntrack", help="conntrack -L.")] = None,
    objects: Annotated[
        list[Path] | None, typer.Option("--objects", help="kubectl get ... -o yaml: names for addresses (repeatable).")
    ] = None,
    output: Annotated[str, output_option("svg", "mermaid")] = "",
    file: Annotated[Path | None, file_option("svg", "mermaid")] = None,
    translate: Annotated[
        bool, typer.Option("--translate", help="Show the rules that it met in the other language, too (iptables, nft).")
    ] = False,
    proxy: Proxy = "iptables",
    nodes: Nodes = 2,
    ip_family: Family = "ipv4",
    seed: Seed = 0,
) -> None:
    """Walk one packet and say why: every hook, rule and rewrite, why other rules did not match, what would change its end.

    In a cluster made from manifests, the ends of the packet may be names; or in a node made from its dumps, of which any
    will do (forwarding is taken to be on). --output html is a page to click through.

    Exits 1 when the packet does not arrive, 2 when something cannot be read (with file and line), 3 for what is not modelled.

    Examples:

      fakecluster explain shop.yaml --packet "tcp pod/client > web:81"

      fakecluster explain shop.yaml --packet "tcp 203.0.113.9:5 > 172.18.0.2:30080 in eth0" --at a -o why.html

      iptables-save | fakecluster explain --iptables-save - --ip-route routes --packet "udp 10.244.1.5 > 10.96.0.10:53 in cni0"
    """
    files = {"ip-addr": ip_addr, "ip-route": ip_route, "ip-rule": ip_rule, "ipset": ipset, "iptables-save": iptables,
             "ip6tables-save": ip6tables, "nft": nft, "ipvsadm": ipvsadm, "conntrack": conntrack}  # fmt: skip
    make = partial(cluster_of, nodes=nodes, proxy=proxy, family=ip_family, seed=seed)
    explanation = _explanation(packet, at, manifests or [], make, files, objects or [])
    give(answer_of(explanation, translate=translate), output, file)
    if not explanation.arrived:
        raise typer.Exit(NOT_ARRIVED)


def _explanation(
    packet: str, at: str, manifests: list[Path], make: Callable[[list[Path]], Cluster], files: dict[str, Dump],
    objects: list[Path],
) -> Explanation:  # fmt: skip
    """The explanation in a cluster made from manifests, or in a node made from dumps: one of them is given."""
    dumps = {kind: read_dump(path) for kind, path in files.items() if path is not None}
    if manifests and dumps:
        raise UsageError("either manifests or a node's dumps; names for dumps come from --objects")
    if manifests:
        return _in_cluster(make(manifests), packet, at)
    if dumps:
        return _in_node(dumps, packet, objects)
    raise UsageError("expected manifests, or a node's dumps: --iptables-save, --ip-route, --ip-addr, --nft...")


def _in_cluster(cluster: Cluster, packet: str, at: str) -> Explanation:
    try:
        return explain_in(cluster, packet, at=at)
    except LookupError as missing:
        raise UsageError(f"--at {missing}") from None


def _in_node(dumps: dict[str, tuple[str, str]], packet: str, objects: list[Path]) -> Explanation:
    names = names_of(read_objects(objects))
    words = parse_packet(names.in_packet(packet))  # before the dumps are loaded, which may take a while
    try:
        return explain(node_from_dumps(dumps), words, names=names)
    except NoInterface as missing:
        raise UsageError(f"{missing}; --ip-addr and --ip-route say which there are") from None


def read_objects(files: list[Path]) -> list[dict[str, Any]]:
    """The objects of dumps (`kubectl get ... -o yaml`), one by one. Raises `ManifestError`."""
    try:
        return [one.object for path in files for one in read(read_text(path) if str(path) == "-" else path)]
    except ManifestError as wrong:
        if "'Kind' is missing" not in wrong.reason:
            raise
        words = f"{wrong.reason}; kubectl writes `kind: List` last: is the file cut off?"
        raise ManifestError(words, place=wrong.place) from None


def read_dump(path: Path) -> tuple[str, str]:
    """A dump's text and the name of its file; - is standard input. Raises `UsageError`."""
    return read_text(path), str(path)


def answer_of(explanation: Explanation, *, translate: bool = False) -> Answer:
    """An explanation in every way that it can be printed."""
    way, names = explanation.trace.way, explanation.names
    others: dict[str, Callable[[], str]] = {
        "html": lambda: page(explanation),
        "svg": lambda: svg(way, names=names),
        "mermaid": lambda: mermaid(way, names=names),
    }
    return Answer(
        "fakecluster explain", lambda console: _show(console, explanation, translate), lambda: as_json(explanation), others
    )


def _show(console: Console, explanation: Explanation, translate: bool) -> None:
    for line in explanation.lookup:
        console.print(Text(line, style="dim"), soft_wrap=True)
    print_walks(console, explanation.trace.hops, everything=True, names=explanation.names)
    if translate and explanation.translated:
        console.print(Text("the rules that it met, in the other language", style="bold"))
        for each in explanation.translated:
            console.print(Text(f"  {each.table} {each.chain} #{each.rule}: {each.text}"), soft_wrap=True)
            console.print(Text(f"      {each}", style="green" if each.like else "yellow"), soft_wrap=True)
    if explanation.neighbours:
        console.print(Text("rules that did not match", style="bold"))
        for one in explanation.neighbours:
            place = f"{explanation.trace.hops[one.hop].namespace} {one.hook} {one.table} {one.chain} #{one.rule}"
            console.print(Text(f"  {place}: {one.text}"), soft_wrap=True)
            console.print(Text(f"      {explanation.names.in_text(one.why)}", style="yellow"), soft_wrap=True)
    if explanation.changes:
        console.print(Text("what would have led elsewhere", style="bold"))
        for change in explanation.changes:
            words = f"  {change.change}: {explanation.names.in_text(change.end)}"
            console.print(Text(words, style="cyan"), soft_wrap=True)
    if known := explanation.names.used_in(explanation.trace):
        console.print(
            Text("names: " + ", ".join(f"{name} is {ip}" for ip, name in known.items()), style="dim"), soft_wrap=True
        )
    console.print(Text(explanation.end, style="bold green" if explanation.arrived else "bold red"), soft_wrap=True)


def as_json(explanation: Explanation) -> dict[str, Any]:
    """The explanation as plain data; packets as hexadecimal text."""
    return {
        "end": explanation.end,
        "arrived": explanation.arrived,
        "lookup": list(explanation.lookup),
        "hops": [hop_data(hop) for hop in explanation.trace.hops],
        "neighbours": [attrs.asdict(one) for one in explanation.neighbours],
        "translated": [attrs.asdict(one) for one in explanation.translated],
        "changes": [attrs.asdict(one) for one in explanation.changes],
        "names": explanation.names.used_in(explanation.trace),
    }


def hop_data(hop: Hop) -> dict[str, Any]:
    """One hop as plain data."""
    return {
        "namespace": hop.namespace, "in": hop.iif, "out": hop.oif, "packet_in": hop.packet_in.hex(),
        "packet_out": hop.packet_out.hex(), "rules_walked": hop.rules_walked, "steps": [_step(s) for s in hop.steps],
        "verdict": attrs.asdict(hop.verdict),
    }  # fmt: skip


def _step(step: Step) -> dict[str, Any]:
    return {"step": type(step).__name__, "text": step_text(step), **attrs.asdict(step)}
