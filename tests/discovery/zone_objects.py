"""API objects as short words, and questions to a server over them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from fakecluster.discovery.records import Answer, Question
from fakecluster.discovery.server import DnsServer
from fakecluster.sim import Clock, Seeded

JsonObject = dict[str, Any]
HTTP = {"name": "http", "port": 80, "protocol": "TCP"}


def namespace(name: str) -> JsonObject:
    return {"kind": "Namespace", "metadata": {"name": name}}


def service(name: str, *ips: str, at: str = "ns", ports: Iterable[JsonObject] = (HTTP,), **spec: Any) -> JsonObject:
    """A Service with cluster IPs; `"None"` makes it headless."""
    return {
        "kind": "Service",
        "metadata": {"name": name, "namespace": at},
        "spec": {**({"clusterIPs": list(ips)} if ips else {}), "ports": list(ports), **spec},
    }


def endpoint(ip: str, *, hostname: str = "", ready: bool | None = True, target: str = "") -> JsonObject:
    made: JsonObject = {"addresses": [ip], "conditions": {} if ready is None else {"ready": ready}}
    if hostname:
        made["hostname"] = hostname
    if target:
        made["targetRef"] = {"kind": "Pod", "name": target}
    return made


def endpoint_slice(
    of: str, *endpoints: JsonObject, at: str = "ns", ports: Iterable[JsonObject] = (HTTP,), name: str = ""
) -> JsonObject:
    metadata = {"name": name or f"{of}-1", "namespace": at, "labels": {"kubernetes.io/service-name": of}}
    return {"kind": "EndpointSlice", "metadata": metadata, "endpoints": list(endpoints), "ports": list(ports)}


def pod(name: str, ip: str, *, at: str = "ns", phase: str = "Running") -> JsonObject:
    return {"kind": "Pod", "metadata": {"name": name, "namespace": at}, "status": {"podIP": ip, "phase": phase}}


def unknown(question: Question) -> Answer:
    return Answer("NXDOMAIN", authoritative=False)


ZONE = "kubernetes cluster.local in-addr.arpa ip6.arpa"


def server(*objects: JsonObject, options: str = "", corefile: str = "", outside: Any = unknown) -> DnsServer:
    """A server over objects (the namespace `ns` among them), with `options` in its kubernetes block."""
    text = corefile or f".:53 {{\n {ZONE} {{\n pods insecure\n ttl 30\n {options}\n }}\n}}\n"
    made = DnsServer(Clock(), Seeded(0), text, outside)
    for obj in (namespace("ns"), *objects):
        made.on_change(obj)
    return made


def ask(made: DnsServer, name: str, rtype: str = "A", **source: Any) -> list[str]:
    """The records of an answer as `TYPE DATA`, sorted; else the response code in words, or `NODATA`."""
    answer = made.resolve(Question(name if name.endswith(".") else f"{name}.", rtype, **source))
    if answer.rcode != "NOERROR":
        return [answer.rcode]
    return sorted(f"{record.type} {record.data}" for record in answer.answer) or ["NODATA"]


def exchange(made: DnsServer, name: str, rtype: str, *, tcp: bool = False, **options: Any) -> dns.message.Message:
    """One message to the server and back."""
    response = made.answer(dns.message.make_query(name, rtype, **options).to_wire(), tcp=tcp)
    assert response is not None
    return dns.message.from_wire(response, raise_on_truncation=False)


def summary(message: dns.message.Message) -> Mapping[str, Any]:
    return {
        "rcode": dns.rcode.to_text(message.rcode()),
        "flags": dns.flags.to_text(message.flags),
        "answers": sum(len(rrset) for rrset in message.answer),
        "additional": sum(len(rrset) for rrset in message.additional),
    }
