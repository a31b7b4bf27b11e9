"""Recordings of random choices: the generated packets are sent, and the distribution is compared."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

from fakecluster.errors import Unsupported
from fakecluster.kernel.effects import Transmit
from fakecluster.kernel.icmp import ipv4_header
from fakecluster.kernel.netns import Netns
from fakecluster.kernel.packet import UDP, Skb
from replay.result import Difference


def check_property(netns: Netns, found: dict[str, Any]) -> Iterator[Difference]:
    if found.get("kind") != "distribution":
        raise Unsupported(f"property of kind {found.get('kind')}")
    results = []
    for source, sport, packet, iface in generated(found["generator"], found["count"]):
        outputs = [e for e in netns.receive(packet, iface) if isinstance(e, Transmit)]
        if len(outputs) != 1:
            yield Difference("property", f"{len(outputs)} packets out for {source}:{sport}")
            return
        out = Skb(outputs[0].packet)
        results.append((source, observed(found["description"], out)))
    yield from (Difference("property", text) for text in judge(found["expected"], results))


def generated(text: str, count: int) -> Iterator[tuple[str, int, bytes, str]]:
    """The packets of a generator line such as `UDP 10.0.0.2:10000+i -> 10.0.0.9:53 on vethA`."""
    match = re.fullmatch(r"UDP (.+?) ?:(\d+)(\+i)? -> (\S+):(\d+)(?: on (\S+))?", text)
    if match is None:
        raise Unsupported(f"generator {text!r}")
    sources, base, counting, target, dport, iface = match.groups()
    patterns = sources.split(" / ")
    per_pattern = count // len(patterns)
    for number in range(count):
        pattern = patterns[min(number // per_pattern, len(patterns) - 1)]
        source = source_address(pattern, number, number % per_pattern)
        sport = int(base) + (number if counting else 0)
        body = sport.to_bytes(2) + int(dport).to_bytes(2) + (12).to_bytes(2) + b"\0\0" + b"ping"
        skb = Skb(ipv4_header(int(ip_address(source)), int(ip_address(target)), UDP, len(body)) + body)
        skb.refresh_l4_checksum()
        yield source, sport, bytes(skb.data), iface or "vethA"


def source_address(pattern: str, number: int, within: int) -> str:
    octet = pattern.rpartition(".")[2]
    if octet == "i":
        return pattern[:-1] + str(within + 1)
    if (match := re.fullmatch(r"\((\d+)\+i%(\d+)\)", octet)) is not None:
        return pattern[: -len(octet)] + str(int(match[1]) + number % int(match[2]))
    return pattern


def observed(description: str, packet: Skb) -> str:
    if description.startswith("destination port"):
        return str(packet.dport)
    if description.startswith("source port"):
        return str(packet.sport)
    address = str(ip_address(packet.dst))
    return address if description.startswith("destination address") else f"{address}:{packet.dport}"


def judge(expected: dict[str, Any], results: list[tuple[str, str]]) -> Iterator[str]:
    counts = Counter(value for _, value in results)
    total = len(results)
    tolerance = expected.get("tolerance_abs", total * 0.15)
    if "each_of" in expected:
        low, high = (int(word) for word in expected["each_of"].split(".."))
        shares = {str(port): expected["fraction"] for port in range(low, high + 1)}
    elif "each" in expected:
        shares = dict.fromkeys(counts, expected["each"])
        if len(counts) != round(1 / expected["each"]):
            yield f"{len(counts)} different results instead of {round(1 / expected['each'])}"
    else:
        shares = {key: share for key, share in expected.items() if isinstance(share, float)}
    for key, share in shares.items():
        if abs(counts[key] - share * total) > tolerance:
            yield f"{key} came {counts[key]} times instead of about {share * total:.0f}"
    if shares and set(counts) != set(shares):
        yield f"results {sorted(counts)} instead of {sorted(shares)}"
    yield from judge_ports(expected, results, counts)
    if "per_client" in expected:
        clients: dict[str, set[str]] = {}
        for source, value in results:
            clients.setdefault(source, set()).add(value)
        if any(len(values) > 1 for values in clients.values()):
            yield "a client address was mapped to more than one address"
        if len(counts) < 2 or min(counts.values()) < total / len(counts) * 0.5:
            yield f"an uneven spread: {counts}"


def judge_ports(expected: dict[str, Any], results: list[tuple[str, str]], counts: Counter[str]) -> Iterator[str]:
    if expected.get("all_distinct") and len(counts) != len(results):
        yield f"{len(results) - len(counts)} ports came twice"
    ports = [int(value) for _, value in results] if "all_distinct" in expected else []
    if "first" in expected:
        if ports[0] != expected["first"]:
            yield f"the first port is {ports[0]}"
        low, high = (int(word) for word in re.findall(r"\d+", expected["others"]))
        if not all(low <= port <= high for port in ports[1:]):
            yield f"ports from {min(ports)} to {max(ports)}"
    if "min_at_least" in expected and (min(ports) < expected["min_at_least"] or max(ports) > expected["max_at_most"]):
        yield f"ports from {min(ports)} to {max(ports)}"
