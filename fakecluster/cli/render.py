"""How traces and objects look in a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fakecluster.cluster import Cluster
from fakecluster.explaining.names import NO_NAMES, Names
from fakecluster.trace import ChainEnd, Hop, Note, Rewrite, RuleStep, Step, step_text, summary, walks

_VERDICT_STYLES = {"transmitted": "cyan", "delivered": "bold green", "dropped": "bold red", "consumed": "yellow"}
_STEP_STYLES: dict[type[object], str] = {RuleStep: "", ChainEnd: "dim", Rewrite: "bold magenta", Note: "dim cyan"}


def print_walks(
    console: Console, hops: tuple[Hop, ...], *, everything: bool = False, names: Names = NO_NAMES
) -> None:  # fmt: skip
    """Each packet's walk; without `everything` only the first packet and the first that answers it in full."""
    found = walks(hops)
    full = range(len(found)) if everything else range(_first_answer(found) + 1)
    for number, walk in enumerate(found):
        console.print(Text(f"packet {number + 1}  {names.in_text(summary(walk[0].packet_in))}", style="bold"))
        if number in full:
            for hop in walk:
                print_hop(console, hop, names)
        else:
            way = " > ".join(hop.namespace for hop in walk)
            console.print(Text(f"  {way}: {walk[-1].verdict.what}", style="dim"))


def _first_answer(found: list[tuple[Hop, ...]]) -> int:
    """The index of the first walk that ends where the first one began."""
    start = found[0][0].namespace if found else ""
    ends = (n for n, walk in enumerate(found) if n and walk[-1].namespace == start)
    return next(ends, 0)


def print_hop(console: Console, hop: Hop, names: Names = NO_NAMES) -> None:
    """One namespace's part of a walk."""
    way = f"{hop.iif or 'socket'} > {hop.oif or 'socket'}"
    rules = f", {hop.rules_walked} rules walked" if hop.rules_walked else ""
    console.print(Text(f"  {hop.namespace}  [{way}{rules}]", style="bold blue"))
    hook = ""
    for step in hop.steps:
        shown = step.hook if step.hook != hook else ""
        hook = step.hook
        line = Text(f"    {shown:<12}", style="bold")
        line.append(step_words(step, names), style=_STEP_STYLES[type(step)])
        console.print(line, soft_wrap=True)
    verdict = " ".join(part for part in (hop.verdict.what, hop.verdict.where) if part)
    reason = f" ({hop.verdict.reason})" if hop.verdict.reason else ""
    console.print(Text(f"    = {verdict}{reason}", style=_VERDICT_STYLES.get(hop.verdict.what, "bold")))


def step_words(step: Step, names: Names) -> str:
    """A step in one line, the blanks of tables squeezed; rules keep their numbers."""
    words = " ".join(step_text(step).split())
    return words if isinstance(step, RuleStep | ChainEnd) else names.in_text(words)


def print_objects(console: Console, cluster: Cluster) -> None:
    """What the cluster holds, as `kubectl get -o wide` would show it."""
    pods = [pod.object for pod in cluster.pods]
    rows = [
        (pod["metadata"]["name"], pod["spec"].get("nodeName") or "", (pod.get("status") or {}).get("phase") or "",
         _ready(pod), (pod.get("status") or {}).get("podIP") or "")
        for pod in pods
    ]  # fmt: skip
    console.print(_table("Pods", ("name", "node", "phase", "ready", "IP"), rows))
    services = [service.object for service in cluster.services]
    console.print(_table("Services", ("name", "type", "cluster IP", "ports", "selector"), map(_service_row, services)))
    slices = cluster.api.list("endpointslices.discovery.k8s.io")
    console.print(_table("EndpointSlices", ("name", "ports", "endpoints (ready)"), map(_slice_row, slices)))


def _ready(pod: dict[str, object]) -> str:
    status = pod.get("status")
    entries = status.get("containerStatuses") or [] if isinstance(status, dict) else []
    return f"{sum(bool(entry.get('ready')) for entry in entries)}/{len(entries)}"


def _service_row(service: dict[str, dict[str, object]]) -> tuple[str, ...]:
    spec: dict[str, object] = service["spec"]
    ports = spec.get("ports")
    texts = []
    for port in ports if isinstance(ports, list) else []:
        node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
        texts.append(f"{port['port']}{node_port}/{port.get('protocol', 'TCP')} -> {port.get('targetPort')}")
    selector = spec.get("selector")
    words = [f"{key}={value}" for key, value in selector.items()] if isinstance(selector, dict) else []
    name = service["metadata"]["name"]
    return str(name), str(spec.get("type")), str(spec.get("clusterIP")), "\n".join(texts), ",".join(words)


def _slice_row(entry: dict[str, object]) -> tuple[str, ...]:
    metadata, endpoints, ports = entry["metadata"], entry.get("endpoints"), entry.get("ports")
    name = metadata["name"] if isinstance(metadata, dict) else ""
    numbers = [str(port.get("port")) for port in ports] if isinstance(ports, list) else []
    words = []
    for endpoint in endpoints if isinstance(endpoints, list) else []:
        ready = "" if (endpoint.get("conditions") or {}).get("ready", True) else " (not ready)"
        words += [f"{address}{ready}" for address in endpoint["addresses"]]
    return str(name), ",".join(numbers), ", ".join(words) or "none"


def _table(title: str, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, style="" if column != "name" else "green")
    for row in rows:
        table.add_row(*row)
    return table
