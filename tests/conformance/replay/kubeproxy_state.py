"""What a recording says of the node besides rules and packets: health ports, metrics, sysctls, conntrack entries."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from fakecluster.proxy.process import KubeProxy
from fakecluster.proxy.service_health import HttpAnswer
from replay.kubeproxy_node import Node

Json = dict[str, Any]

HEALTHZ_PORT, METRICS_PORT = 10256, 10249
#: Headers of a health check answer that kube-proxy decides.
_HEADERS = ("content-type", "x-content-type-options", "x-load-balancing-endpoint-weight", "content-length")
_TIME = re.compile(r'"(lastUpdated|currentTime)":"[^"]*"')
#: Metrics whose values are wall-clock times.
_TIMES = re.compile(r"_seconds_sum|_timestamp_seconds")


def state_differences(step: Json, node: Node, proxy: KubeProxy | None) -> Iterator[str]:
    for key, compare in _COMPARISONS.items():
        if key in step:
            yield from compare(step, node, proxy)


def _route_localnet(step: Json, node: Node, proxy: KubeProxy | None) -> Iterator[str]:
    yield from _sysctl(node, "ipv4/conf/all/route_localnet", step["route_localnet"])


def _sysctls(step: Json, node: Node, proxy: KubeProxy | None) -> Iterator[str]:
    for key, value in step["sysctls"].items():
        yield from _sysctl(node, key, value)


def _sysctl(node: Node, key: str, value: str) -> Iterator[str]:
    found = node.run(["sysctl", "-n", "net." + key.replace("/", ".")]).strip()
    if found != str(value):
        yield f"sysctl {key} is {found} instead of {value}"


# -- HTTP ----------------------------------------------------------------------------------------------------------


def _health_checks(step: Json, node: Node, proxy: KubeProxy | None) -> Iterator[str]:
    for asked in step["healthCheckNodePort"]:
        where = f"{asked['host']}:{asked['port']}"
        answer = proxy.http(asked["host"], asked["port"], "/") if proxy else None
        if asked["status"] != (answer.status if answer else None):
            yield f"health check {where}: {answer and answer.status} instead of {asked['status']}"
        elif answer and "body" in asked:
            yield from _answer_differences(where, asked, answer)


def _answer_differences(where: str, asked: Json, answer: HttpAnswer) -> Iterator[str]:
    if answer.body.strip() != asked["body"].strip():
        yield f"health check {where}: body {answer.body!r} instead of {asked['body']!r}"
    headers = {name.lower(): value for name, value in answer.headers}
    headers["content-length"] = str(len(answer.body))
    for name in _HEADERS:
        if headers.get(name) != asked["headers"].get(name):
            yield f"health check {where}: {name} {headers.get(name)} instead of {asked['headers'].get(name)}"


def _proxy_healthz(step: Json, node: Node, proxy: KubeProxy | None) -> Iterator[str]:
    asked = step["proxyHealthz"]
    answer = proxy.http("192.168.1.10", HEALTHZ_PORT, "/healthz") if proxy else None
    if answer is None or answer.status != asked["status"] or _timeless(answer.body) != _timeless(asked["body"]):
        yield f"/healthz: {answer} instead of {asked}"


def _timeless(body: str) -> str:
    return _TIME.sub(r'"\1":"<time>"', body).strip()


def _http(step: Json, node: Node, proxy: KubeProxy | None) -> Iterator[str]:
    for asked in step["http"]:
        port, path = HEALTHZ_PORT, asked["path"]
        if path.startswith("metrics:"):
            port, path = METRICS_PORT, path.removeprefix("metrics:")
        answer = proxy.http("127.0.0.1", port, path) if proxy else None
        if answer is None:
            yield f"{asked['path']}: nobody listens"
            continue
        kind = dict(answer.headers).get("Content-Type")
        want = (asked["status"], asked.get("contentType", kind), _timeless(asked["body"]))
        have = (answer.status, kind, _timeless(answer.body))
        if want != have:
            yield f"{asked['path']}: {have} instead of {want}"


def _metrics(step: Json, node: Node, proxy: KubeProxy | None) -> Iterator[str]:
    answer = proxy.http("127.0.0.1", METRICS_PORT, "/metrics") if proxy else None
    lines = answer.body.splitlines() if answer else []
    types = [line for line in lines if line.startswith("#")]
    if "metricTypes" in step and types != step["metricTypes"]:
        yield from _line_differences("metric type", step["metricTypes"], types)
    recorded = [line for line in step["metrics"] if "_bucket{" not in line and line.startswith("kubeproxy_")]
    names = {line.partition("{")[0].partition(" ")[0] for line in recorded}  # the recorder kept some by name
    values = [line for line in lines if line.partition("{")[0].partition(" ")[0] in names]
    yield from _line_differences("metric", _timeless_metrics(recorded), _timeless_metrics(values))
    if "buckets" in step:
        buckets = [line.rpartition(" ")[0] for line in lines if "_bucket{" in line]
        buckets = buckets[: len(step["buckets"])]  # the recorder kept the first ones
        yield from _line_differences("bucket", [line.rpartition(" ")[0] for line in step["buckets"]], buckets)


def _timeless_metrics(lines: list[str]) -> list[str]:
    return [line.rpartition(" ")[0] if _TIMES.search(line) else line for line in lines]


def _line_differences(what: str, want: list[str], have: list[str]) -> Iterator[str]:
    yield from (f"{what} missing: {line}" for line in want if line not in have)
    yield from (f"{what} too much: {line}" for line in have if line not in want)


# -- conntrack -----------------------------------------------------------------------------------------------------

#: Entries whose time is nearly over may be gone in one of the two.
_NEARLY_OVER_S = 3


@attrs.frozen
class Entry:
    """A line of `conntrack -L -o extended` without what chance or time decides; `fields` are both directions."""

    family: str
    protocol: str
    state: str
    flags: tuple[str, ...]
    fields: tuple[str, ...]
    mark: str


def parse_entry(line: str) -> tuple[Entry, int, str]:
    """(entry, seconds left, endpoint that answers as `ip:port`); a masqueraded port is masked."""
    words = line.split()
    pairs = [word for word in words if "=" in word]
    numbers = words[3:5]
    plain = [word for word in words[4:] if "=" not in word and not word.startswith("[")]
    values: dict[str, list[str]] = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        values.setdefault(key, []).append(value)
    if "dport" in values and values["dport"][1] != values["sport"][0]:
        values["dport"][1] = "masqueraded"
    fields = tuple(f"{key}={found[way]}" for way in (0, 1) for key, found in values.items() if len(found) == 2)
    flags = tuple(word for word in words if word.startswith("["))
    endpoint = f"{values['src'][1]}:{values['sport'][1]}" if "sport" in values else values["src"][1]
    left = int(numbers[1]) if numbers[1].isdigit() else int(numbers[0])
    entry = Entry(
        words[0], words[2], " ".join(word for word in plain if not word.isdigit()), flags, fields, values["mark"][0]
    )
    return entry, left, endpoint


def conntrack_hints(step: Json) -> dict[Any, str]:
    """Which endpoint each connection of this step got: (protocol, source, source port, destination) -> ip:port."""
    hints = {}
    for listing in step.get("conntrack", ()):
        for line in listing["entries"]:
            entry, _, endpoint = parse_entry(line)
            found = dict(field.split("=", 1) for field in entry.fields[: len(entry.fields) // 2])
            if "sport" in found:
                hints[entry.protocol, found["src"], int(found["sport"]), found["dst"]] = endpoint
    return hints


class ConntrackListings:
    """Compares listings in the order of the recording and keeps the model's clock in step with their timeouts."""

    def __init__(self) -> None:
        #: entry -> seconds left when it was first listed (or last refreshed), and the model's time then
        self.since: dict[Entry, tuple[int, float]] = {}

    def _time_s(self, left: Mapping[Entry, int], now_s: float) -> float:
        """When a listing was made, on the model's clock: what the entries' timeouts say on average."""
        told = []
        for entry, seconds in left.items():
            before, then_s = self.since.get(entry, (seconds, now_s))
            if entry in self.since and seconds <= before:
                told.append(then_s + before - seconds)
        time_s = max(now_s, sum(told) / len(told)) if told else now_s
        for entry, seconds in left.items():
            if entry not in self.since or seconds > self.since[entry][0]:
                self.since[entry] = (seconds, time_s)
        return time_s

    def differences(self, listing: Json, node: Node) -> Iterator[str]:
        want = {entry: left for entry, left, _ in map(parse_entry, listing["entries"])}
        now_s = node.clock.now_s
        node.clock.advance(self._time_s(want, now_s) - now_s)
        yield from listing_differences(listing, node)


def listing_differences(listing: Json, node: Node) -> Iterator[str]:
    """Entries that only one of the two has, but for those whose time is nearly over."""
    text = node.run(["conntrack", "-L", "-o", "extended"])
    want, have = (
        {entry: left for entry, left, _ in map(parse_entry, lines)} for lines in (listing["entries"], text.splitlines())
    )
    for entry, left in want.items():
        if entry not in have and left > _NEARLY_OVER_S:
            yield f"conntrack {listing['when']}: missing {_text(entry)}"
    for entry, left in have.items():
        if entry not in want and left > _NEARLY_OVER_S:
            yield f"conntrack {listing['when']}: too much {_text(entry)}"


def _text(entry: Entry) -> str:
    return json.dumps([entry.protocol, entry.state, *entry.fields, *entry.flags])


_COMPARISONS = {
    "route_localnet": _route_localnet,
    "sysctls": _sysctls,
    "healthCheckNodePort": _health_checks,
    "proxyHealthz": _proxy_healthz,
    "metrics": _metrics,
    "http": _http,
}
