"""Services, EndpointSlices and kube-proxy settings of every kind, drawn: what decides about rules, in few places."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from proxy_objects import endpoint, endpoint_slice, service

Json = dict[str, Any]
NAMES = ("s0", "s1", "s2")


ZONES = ("zone-a", "zone-b")
POLICIES = st.sampled_from(["Cluster", "Local"])


def _addresses(number: int, families: tuple[str, ...]) -> list[str]:
    own = {"IPv4": f"10.96.0.{10 + number}", "IPv6": f"fd00:10:96::{10 + number}"}
    return [own[family] for family in families]


@st.composite
def services(draw: st.DrawFn) -> Json:
    """A Service of one of three names."""
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
    spec["externalIPs"] = draw(st.sampled_from([[], [f"198.51.100.{20 + number}", f"2001:db8:3::2{number}"]]))
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
def endpoint_slices(draw: st.DrawFn, *, most: int = 3) -> Json:
    """An EndpointSlice of one of the Services, with so many endpoints at most."""
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
        for host in draw(st.lists(st.integers(1, 4), max_size=most, unique=True))
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
