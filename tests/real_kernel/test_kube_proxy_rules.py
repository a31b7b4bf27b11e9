"""Rules of kube-proxies with all kinds of Services and settings do the same to packets in the real kernel and here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from both import compare
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from proxy_objects import node
from proxy_strategies import CONFIGS, endpoint_slices, services
from real_node import why_not
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scenario import Inject, Load, React, Scenario
from topology import model

from fakecluster.proxy import config
from fakecluster.proxy.process import KubeProxy
from fakecluster.sim import Scripted

REASON = why_not()
pytestmark = pytest.mark.skipif(bool(REASON), reason=f"needs a network namespace of the real kernel: {REASON}")

Json = dict[str, Any]
SLICES = "endpointslices.discovery.k8s.io"
#: kube-proxy counts with nfacct objects, for which machines seldom have the tool; the counters decide nothing.
NFACCT = re.compile(r"-m nfacct --nfacct-name +\S+ ")
#: Who sends, by family: a Pod, the Pod that may be the endpoint itself, a neighbour, someone far away.
SENDERS = {
    4: (("10.244.0.2", "vethA"), ("10.244.0.3", "vethB"), ("192.168.1.20", "eth0"), ("203.0.113.7", "eth0")),
    6: (("fd00:10:244::2", "vethA"), ("fd00:10:244::3", "vethB"), ("fd00:1::1", "eth0"), ("2001:db8::7", "eth0")),
}
NODE = {4: "192.168.1.10", 6: "fd00:1::10"}


def loads(mode: str, options: Json, objects: list[Json]) -> tuple[Load, ...]:
    """What a kube-proxy writes on the machine of these tests, as the machine prints it."""
    netns = model(Scripted())
    document = {"apiVersion": config.API_VERSION, "kind": config.KIND, "mode": mode, **options}
    document["clusterCIDR"] = "10.244.0.0/16,fd00:10:244::/48"
    proxy = KubeProxy("node-a", config.parse(document), netns, netns.clock, choices=Scripted())
    own = node(labels={"topology.kubernetes.io/zone": "zone-a"})
    own["status"]["addresses"].append({"type": "InternalIP", "address": NODE[6]})
    proxy.on_object("nodes", own)
    for obj in objects:
        proxy.on_object("services" if obj["kind"] == "Service" else SLICES, obj)
    proxy.start()
    netns.clock.settle()
    if mode == "nftables":
        return (Load(("nft", "-f", "-"), netns.run("nft list ruleset")),)
    tools = ("iptables", "ip6tables")
    return tuple(Load((f"{tool}-restore",), NFACCT.sub("", netns.run(f"{tool}-save"))) for tool in tools)


def targets(objects: list[Json]) -> Iterator[tuple[str, str, int]]:
    """(protocol, address, port) of everything that leads to a Service, and a port that leads nowhere."""
    for service in (obj for obj in objects if obj["kind"] == "Service"):
        spec, status = service["spec"], service["status"]
        ingress = (status.get("loadBalancer") or {}).get("ingress") or ()
        addresses = [*spec["clusterIPs"], *spec["externalIPs"], *(entry["ip"] for entry in ingress)]
        for port in spec["ports"]:
            if port["protocol"] == "SCTP":
                continue
            for address in addresses:
                yield port["protocol"], address, port["port"]
            for address in NODE.values() if port.get("nodePort") else ():
                yield port["protocol"], address, port["nodePort"]
        yield "TCP", spec["clusterIPs"][0], 7


def packet(protocol: str, source: str, target: str, port: int, number: int) -> bytes:
    layer = TCP if protocol == "TCP" else UDP
    ip = IPv6(src=source, dst=target) if ":" in target else IP(src=source, dst=target)
    more = {"flags": "S", "seq": 1} if protocol == "TCP" else {}
    return bytes(ip / layer(sport=4000 + number, dport=port, **more) / (b"" if protocol == "TCP" else b"hi"))


@st.composite
def scenarios(draw: st.DrawFn, *, packets: int = 8) -> Scenario:
    mode = draw(st.sampled_from(["iptables", "nftables"]))
    objects = draw(st.lists(services(), min_size=1, max_size=3, unique_by=lambda obj: obj["metadata"]["name"]))
    objects += draw(
        st.lists(endpoint_slices(most=1), min_size=1, max_size=4, unique_by=lambda obj: obj["metadata"]["name"])
    )
    places = list(targets(objects))
    steps: list[Inject | React] = []
    for number in range(packets):
        protocol, address, port = draw(st.sampled_from(places))
        source, iface = draw(st.sampled_from(SENDERS[6 if ":" in address else 4]))
        steps += [Inject(packet(protocol, source, address, port, number), iface), React(-1, "answer")]
    return Scenario(loads(mode, draw(CONFIGS), objects), tuple(steps))


@settings(
    max_examples=10, deadline=None, derandomize=True, database=None, phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(scenario=scenarios())
def test_what_kube_proxy_writes_does_the_same_in_the_real_kernel(scenario: Scenario) -> None:
    result = compare(scenario)
    assert not result.differences, f"{scenario}\n" + "\n".join(result.differences)
    assert result.outcome in ("compared", "undetermined")
