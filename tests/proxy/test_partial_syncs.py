"""However the cluster came to be what it is: the node's rules are those of a kube-proxy that starts now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proxy_objects import endpoint, endpoint_slice, node, service
from replay.kubeproxy_nft import nft_differences
from replay.kubeproxy_rules import iptables_differences

from fakecluster.kernel.netns import Netns
from fakecluster.proxy import config
from fakecluster.proxy.process import KubeProxy
from fakecluster.sim import Clock, Scripted

Json = dict[str, Any]
Key = tuple[str, str]
SLICES = "endpointslices.discovery.k8s.io"
NAMES = ("s0", "s1", "s2")


ZONES = ("zone-a", "zone-b")
POLICIES = st.sampled_from(["Cluster", "Local"])


def _addresses(number: int, families: tuple[str, ...]) -> list[str]:
    own = {"IPv4": f"10.96.0.{10 + number}", "IPv6": f"fd00:10:96::{10 + number}"}
    return [own[family] for family in families]


@st.composite
def _services(draw: st.DrawFn) -> Json:
    number = draw(st.integers(0, 2))
    protocols = draw(st.lists(st.sampled_from(["TCP", "UDP", "SCTP"]), min_size=1, max_size=2, unique=True))
    ports: list[Json] = [
        {"name": protocol.lower(), "port": draw(st.sampled_from([80, 443])), "protocol": protocol}
        for protocol in protocols
    ]
    families = draw(st.sampled_from([("IPv4",), ("IPv4", "IPv6"), ("IPv6",)]))
    ips = _addresses(number, families)
    spec: Json = {"clusterIP": ips[0], "clusterIPs": ips, "ipFamilies": list(families), "ports": ports}
    spec["internalTrafficPolicy"] = draw(POLICIES)
    if draw(st.booleans()):
        spec |= {
            "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": draw(st.sampled_from([10, 10800]))}},
        }
    spec["externalIPs"] = draw(st.sampled_from([[], [f"198.51.100.{20 + number}", "2001:db8:3::20"]]))
    kind = draw(st.sampled_from(["ClusterIP", "NodePort", "LoadBalancer"]))
    if kind != "ClusterIP":
        for offset, port in enumerate(ports):
            port["nodePort"] = 30000 + 10 * number + offset
        spec |= {"type": kind, "externalTrafficPolicy": draw(POLICIES)}
    if kind == "LoadBalancer":
        ingress: list[Json] = [{"ip": f"198.51.100.{10 + number}", "ipMode": draw(st.sampled_from(["VIP", "Proxy"]))}]
        spec["status"] = {"loadBalancer": {"ingress": draw(st.sampled_from([[], ingress]))}}
        spec["loadBalancerSourceRanges"] = draw(
            st.sampled_from([[], ["203.0.113.0/24"], ["192.168.0.0/16", "2001:db8::/32"], ["0.0.0.0/0"]])
        )
        if spec["externalTrafficPolicy"] == "Local":
            spec["healthCheckNodePort"] = 32000 + number
    return service(NAMES[number], **spec)


@st.composite
def _slices(draw: st.DrawFn) -> Json:
    number, protocol = draw(st.integers(0, 2)), draw(st.sampled_from(["TCP", "UDP", "SCTP"]))
    family = draw(st.sampled_from(["IPv4", "IPv4", "IPv6"]))
    prefix = f"10.244.{number}." if family == "IPv4" else f"fd00:10:244:{number}::"
    found = [
        endpoint(
            f"{prefix}{host}",
            node=draw(st.sampled_from(["node-a", "node-b"])),
            **draw(st.sampled_from([{"ready": True}, {"ready": False}, {"serving": True, "terminating": True}])),
            hints=draw(st.sampled_from([{}, *({"forZones": [{"name": zone}]} for zone in ZONES)])),
        )
        for host in draw(st.lists(st.integers(1, 4), max_size=3, unique=True))
    ]
    ports = [{"name": protocol.lower(), "port": draw(st.sampled_from([8080, 9090])), "protocol": protocol}]
    name = f"{NAMES[number]}-{family[-1]}{draw(st.integers(1, 2))}"
    return endpoint_slice(*found, service=NAMES[number], name=name, ports=ports, family=family)


#: Settings that change what is written; those of a mode are of no effect in the others.
CONFIGS = st.fixed_dictionaries(
    {
        "detectLocalMode": st.sampled_from(["ClusterCIDR", "NodeCIDR"]),
        "nodePortAddresses": st.sampled_from([[], ["192.168.1.0/24"], ["primary"]]),
        "iptables": st.sampled_from([{}, {"masqueradeAll": True}, {"localhostNodePorts": False, "masqueradeBit": 5}]),
        "nftables": st.sampled_from([{}, {"masqueradeAll": True}]),
        "ipvs": st.sampled_from([{}, {"scheduler": "sh"}, {"strictARP": True, "excludeCIDRs": ["172.16.0.0/12"]}]),
    }
)
#: An object as it is from now on, and whether it goes.
CHANGES = st.lists(st.tuples(_services() | _slices(), st.sampled_from([False, False, True])), min_size=1, max_size=12)


class Node:
    def __init__(self, mode: str, settings: Json) -> None:
        self.clock = Clock()
        self.netns = Netns("node-a", clock=self.clock, choices=Scripted())
        self.netns.add_interface("eth0")
        self.netns.run("ip address add 192.168.1.10/24 dev eth0")
        self.netns.run("ip -6 address add fd00:1::10/64 dev eth0")
        self.netns.run("ip route add default via 192.168.1.1 dev eth0")
        document = {"apiVersion": config.API_VERSION, "kind": config.KIND, "mode": mode, **settings}
        document["clusterCIDR"] = "10.244.0.0/16,fd00:10:244::/48"
        self.proxy = KubeProxy("node-a", config.parse(document), self.netns, self.clock, choices=Scripted())
        self.show("nodes", node(labels={"topology.kubernetes.io/zone": "zone-a"}))

    def show(self, resource: str, obj: Json, *, deleted: bool = False) -> None:
        self.proxy.on_object(resource, obj, deleted=deleted)
        self.clock.settle()

    def start(self) -> None:
        self.proxy.start()
        self.clock.settle()

    def complaints(self) -> list[str]:
        return [line.text for proxier in self.proxy.proxiers.values() for line in proxier.log]


def _dump_differences(node: Node, other: Node) -> Iterator[str]:
    dumps = [
        (["iptables-save"], iptables_differences),
        (["ip6tables-save"], iptables_differences),
        (["nft", "-s", "list", "ruleset"], nft_differences),
        (["ipset", "save"], _line_differences),
        (["ipvsadm", "-Sn"], _line_differences),
        (["ip", "address", "show"], _line_differences),
    ]
    for command, differences in dumps:
        texts = differences(node.netns.run(command), other.netns.run(command))
        yield from (f"{' '.join(command)}: {text}" for text in texts)


def _line_differences(one: str, other: str) -> Iterator[str]:
    if sorted(one.splitlines()) != sorted(other.splitlines()):
        yield f"{sorted(one.splitlines())} instead of {sorted(other.splitlines())}"


@settings(max_examples=12, deadline=None)
@given(changes=CHANGES, pauses=st.lists(st.booleans(), min_size=12, max_size=12), options=CONFIGS)
@pytest.mark.parametrize("mode", ["iptables", "nftables", "ipvs"])
def test_changes_end_in_the_rules_of_a_fresh_start(
    mode: str, changes: list[tuple[Json, bool]], pauses: list[bool], options: Json
) -> None:
    grown, fresh, now = Node(mode, options), Node(mode, options), dict[Key, Json]()
    grown.start()
    for (obj, deleted), pause in zip(changes, pauses, strict=False):
        resource = "services" if obj["kind"] == "Service" else SLICES
        key = (resource, obj["metadata"]["name"])
        if deleted and key not in now:
            continue
        grown.show(resource, now.pop(key) if deleted else obj, deleted=deleted)
        if not deleted:
            now[key] = obj
        if pause:
            grown.clock.advance(1.5)
    grown.clock.advance(3)
    for (resource, _), obj in now.items():
        fresh.show(resource, obj)
    fresh.start()
    assert list(_dump_differences(fresh, grown)) == []
    assert grown.complaints() == []
