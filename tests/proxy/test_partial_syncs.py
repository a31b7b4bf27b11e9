"""However the cluster came to be what it is: the node's rules are those of a kube-proxy that starts now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proxy_objects import node
from proxy_strategies import CONFIGS, endpoint_slices, services
from replay.kubeproxy_nft import nft_differences
from replay.kubeproxy_rules import iptables_differences

from fakecluster.kernel.netns import Netns
from fakecluster.proxy import config
from fakecluster.proxy.process import KubeProxy
from fakecluster.sim import Clock, Scripted

Json = dict[str, Any]
Key = tuple[str, str]
SLICES = "endpointslices.discovery.k8s.io"
#: An object as it is from now on, and whether it goes.
CHANGES = st.lists(
    st.tuples(services() | endpoint_slices(), st.sampled_from([False, False, True])), min_size=1, max_size=12
)


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
