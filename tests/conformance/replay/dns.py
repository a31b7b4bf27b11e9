"""Area `dns`: queries over a fixture, and the kubelet's resolv.conf, hosts file and Pod host names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from fakecluster.discovery.records import Answer, Question, Record
from fakecluster.discovery.server import DnsServer
from fakecluster.sim import Clock, Seeded
from replay.result import Difference, NotReplayable, Recording

OUTSIDE_SOA = Record(".", 60, "SOA", "ns.outside.test. hostmaster.outside.test. 1 1800 900 604800 60")
KUBERNETES_SLICE = {
    "kind": "EndpointSlice",
    "metadata": {
        "name": "kubernetes",
        "namespace": "default",
        "labels": {"kubernetes.io/service-name": "kubernetes"},
    },
    "addressType": "IPv4",
    "endpoints": [{"addresses": ["172.18.0.2"], "conditions": {"ready": True}}],
    "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}],
}
KUBERNETES_SERVICE = {
    "kind": "Service",
    "metadata": {"name": "kubernetes", "namespace": "default"},
    "spec": {"clusterIP": "10.96.0.1", "ports": [{"name": "https", "port": 443, "protocol": "TCP"}]},
}
NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


def replay(recording: Recording) -> Iterator[Difference]:
    data = recording.data
    if "queries" in data:
        return _queries(recording)
    if "rows" in data:
        from replay.dns_rows import rows

        return rows(data["rows"])
    raise NotReplayable


def _queries(recording: Recording) -> Iterator[Difference]:
    data = recording.data
    fixture = recording.sibling(data["fixture"])["fixture"]
    server = DnsServer(
        Clock(), Seeded(0), data["corefile"].replace("<upstream>", "192.0.2.53"), _outside(data, fixture)
    )
    for obj in _objects(fixture):
        server.on_change(obj)
    for number, row in enumerate(data["queries"]):
        query, expected = row["query"], row["response"]
        step = f"{number} {query['name']} {query['type']}"
        wire = server.answer(_wire(query), source=query.get("src", "127.0.0.1"), tcp=query.get("tcp", False))
        yield from (Difference(step, text) for text in _compare(expected, wire))


def _objects(fixture: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name in NAMESPACES:
        yield {"kind": "Namespace", "metadata": {"name": name}}
    yield from (KUBERNETES_SERVICE, KUBERNETES_SLICE)
    yield from (obj for obj in fixture["objects"] if obj["kind"] != "EndpointSlice")
    for number, obj in enumerate(
        fixture["resultingEndpointSlices"]
    ):  # generated names are masked there: make them unique
        yield {"kind": "EndpointSlice", **obj, "metadata": {**obj["metadata"], "name": f"slice-{number}"}}


def _outside(data: dict[str, Any], fixture: dict[str, Any]) -> Any:
    """The server outside answers a name as it was seen to answer when it was asked directly."""
    known = {name.rstrip(".") for name in fixture["outsideNames"]}
    seen: dict[tuple[str, str], Answer] = {}
    for row in data["queries"]:
        query, response = row["query"], row["response"]
        name = query["name"].lower().rstrip(".")
        if name in known and response.get("rcode") == "NOERROR":
            records = tuple(_record(line) for line in response["answer"])
            seen[name, query["type"]] = Answer("NOERROR", records, () if records else (OUTSIDE_SOA,))

    def outside(question: Question) -> Answer:
        unknown = Answer("NXDOMAIN", authority=(OUTSIDE_SOA,))
        return seen.get((question.lower.rstrip("."), question.type), unknown)

    return outside


def _record(line: str) -> Record:
    name, ttl, rtype, data = line.split(" ", 3)
    return Record(name, int(ttl), rtype, data)


def _wire(query: dict[str, Any]) -> bytes:
    edns = query.get("edns")
    message = dns.message.make_query(
        query["name"], query["type"], use_edns=0 if edns is not None else -1, payload=edns or 512
    )
    if query.get("do"):
        message.want_dnssec(True)
        message.use_edns(0, dns.flags.DO, edns or 512)
    if query.get("rd") is False:
        message.flags &= ~dns.flags.RD
    return message.to_wire()


def _compare(expected: dict[str, Any], wire: bytes | None) -> Iterator[str]:
    if "error" in expected or wire is None:
        if ("error" in expected) != (wire is None):
            yield f"expected {expected}, got {'no answer' if wire is None else 'an answer'}"
        return
    message = dns.message.from_wire(wire)
    flags = dns.flags.to_text(message.flags).split()
    if dns.rcode.to_text(message.rcode()) != expected["rcode"]:
        yield f"rcode {dns.rcode.to_text(message.rcode())} instead of {expected['rcode']}"
    if flags != expected["flags"]:
        yield f"flags {flags} instead of {expected['flags']}"
    question = [f"{q.name} {dns.rdatatype.to_text(q.rdtype)}" for q in message.question]
    if question != expected["question"]:
        yield f"question {question} instead of {expected['question']}"
    if message.payload != expected.get("edns", {}).get("payload", 0):
        yield f"EDNS size {message.payload} instead of {expected.get('edns')}"
    if "TC" in flags:
        return
    for section in ("answer", "authority", "additional"):
        lines = _lines(getattr(message, section))
        if lines != sorted(_mask_serial(line) for line in expected[section]):
            yield f"{section} {lines} instead of {expected[section]}"


def _lines(section: Any) -> list[str]:
    return sorted(
        _mask_serial(f"{rrset.name} {rrset.ttl} {dns.rdatatype.to_text(rrset.rdtype)} {rdata.to_text()}")
        for rrset in section
        for rdata in rrset
    )


def _mask_serial(line: str) -> str:
    return re.sub(r"( SOA \S+ \S+) \S+ ", r"\1 {{serial}} ", line)
