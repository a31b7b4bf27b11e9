"""The examples of the Kubernetes documentation and well-known recipes: what each lets through, as packets see it.

shop: web (app web), api and search (app bookstore)     monitoring: prometheus (type monitoring), other
prod (purpose production): client                       and a client outside the cluster
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pytest

from fakecluster import Cluster
from fakecluster.policy.definitions import policy_definitions

from .cases import admin, baseline, policy

Json = dict[str, Any]
WEB: Json = {"matchLabels": {"app": "web"}}
BOOKS: Json = {"matchLabels": {"app": "bookstore"}}
MONITORING: Json = {"matchLabels": {"team": "operations"}}
PROD: Json = {"matchLabels": {"purpose": "production"}}
TYPE: Json = {"matchLabels": {"type": "monitoring"}}
SHOP: Json = {"namespaces": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}
DNS: list[Json] = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]
PODS = {
    "shop/web": {"app": "web", "role": "db"},
    "shop/api": {"app": "bookstore", "role": "frontend"},
    "shop/search": {"app": "bookstore", "role": "search"},
    "monitoring/prometheus": {"type": "monitoring"},
    "monitoring/other": {},
    "prod/client": {},
}
SPACES = {"shop": {}, "monitoring": {"team": "operations"}, "prod": {"purpose": "production", "project": "myproject"}}
PORTS = (80, 5000, 6379, 32000)


def ingress(subject: Json, *rules: Json) -> Json:
    return policy("p", "shop", {"podSelector": subject, "policyTypes": ["Ingress"], "ingress": list(rules)})


def egress(subject: Json, *rules: Json) -> Json:
    return policy("e", "shop", {"podSelector": subject, "policyTypes": ["Egress"], "egress": list(rules)})


def pods(selector: Json, namespaces: Json | None = None) -> Json:
    return {"podSelector": selector, **({} if namespaces is None else {"namespaceSelector": namespaces})}


def spaces(selector: Json) -> Json:
    return {"namespaceSelector": selector}


#: name -> (policies, connections that are made, connections that are not): "source target[:port]", port 80 if not said
RECIPES: dict[str, tuple[list[Json], str, str]] = {
    "deny all traffic to an application": (
        [ingress(WEB)], "shop/api shop/search, shop/web shop/api", "shop/api shop/web, outside shop/web"),
    "limit traffic to an application": (
        [ingress(BOOKS, {"from": [pods(BOOKS)]})],
        "shop/api shop/search, shop/web monitoring/other", "shop/web shop/api, monitoring/prometheus shop/api"),
    "allow all traffic to an application, although all is denied": (
        [policy("deny", "shop", {"podSelector": {}}), ingress(WEB, {})],
        "outside shop/web, prod/client shop/web", "prod/client shop/api, shop/web shop/api"),
    "deny all traffic in a namespace (default-deny-ingress)": (
        [ingress({})], "shop/web prod/client", "shop/web shop/api, outside shop/web, prod/client shop/web"),
    "allow all ingress (allow-all-ingress)": ([ingress({}, {})], "outside shop/web, prod/client shop/api", ""),
    "deny traffic from other namespaces": (
        [ingress({}, {"from": [pods({})]})], "shop/api shop/web", "prod/client shop/web, outside shop/web"),
    "allow traffic from all namespaces, not from outside": (
        [ingress(WEB, {"from": [spaces({})]})], "prod/client shop/web, shop/api shop/web", "outside shop/web"),
    "allow traffic from one namespace": (
        [ingress(WEB, {"from": [spaces(PROD)]})], "prod/client shop/web", "monitoring/other shop/web, shop/api shop/web"),
    "allow traffic from a namespace by its name": (
        [ingress(WEB, {"from": [spaces({"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}})]})],
        "monitoring/other shop/web", "prod/client shop/web"),
    "allow traffic from some Pods of another namespace (and)": (
        [ingress(WEB, {"from": [pods(TYPE, MONITORING)]})],
        "monitoring/prometheus shop/web", "monitoring/other shop/web, shop/api shop/web"),
    "allow traffic from a namespace, or from Pods of the own (or)": (
        [ingress(WEB, {"from": [spaces(MONITORING), pods(BOOKS)]})],
        "monitoring/other shop/web, shop/api shop/web", "prod/client shop/web"),
    "allow traffic from external clients": (
        [policy("deny", "shop", {"podSelector": {}}), ingress(WEB, {"from": [], "ports": [{"port": 80}]})],
        "outside shop/web, prod/client shop/web", "outside shop/web:5000, prod/client shop/api"),
    "allow traffic to one port only": (
        [ingress(WEB, {"from": [pods(BOOKS)], "ports": [{"port": 5000}]})],
        "shop/api shop/web:5000", "shop/api shop/web:80, prod/client shop/web:5000"),
    "allow traffic with several selectors": (
        [ingress(WEB, {"from": [pods({"matchLabels": {"role": "search"}}), pods({"matchLabels": {"role": "frontend"}})]})],
        "shop/api shop/web, shop/search shop/web", "prod/client shop/web"),
    "deny egress from an application": (
        [egress(WEB)], "shop/api shop/web, shop/api prod/client", "shop/web shop/api, shop/web outside"),
    "deny egress from a namespace (default-deny-egress)": (
        [egress({})], "prod/client shop/web", "shop/api shop/web, shop/web prod/client, shop/web outside"),
    "allow all egress (allow-all-egress)": ([egress({}, {})], "shop/web outside, shop/web prod/client", ""),
    "allow egress to DNS only": (
        [egress(WEB, {"ports": DNS})], "shop/web kube-system/dns:53", "shop/web shop/api, shop/web outside"),
    "limit egress to the cluster": (
        [egress(WEB, {"ports": DNS}, {"to": [spaces({})]})], "shop/web prod/client, shop/web shop/api", "shop/web outside"),
    "deny everything (default-deny-all)": (
        [policy("p", "shop", {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})],
        "prod/client monitoring/other", "shop/web shop/api, prod/client shop/web, shop/web prod/client"),
    "the documentation's long example": (
        [policy("test-network-policy", "shop", {
            "podSelector": {"matchLabels": {"role": "db"}}, "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [
                {"ipBlock": {"cidr": "192.168.0.0/16", "except": ["192.168.1.0/24"]}},
                spaces({"matchLabels": {"project": "myproject"}}), pods({"matchLabels": {"role": "frontend"}})],
                "ports": [{"protocol": "TCP", "port": 6379}]}],
            "egress": [{"to": [{"ipBlock": {"cidr": "10.244.0.0/16"}}], "ports": [{"protocol": "TCP", "port": 5000}]}]})],
        "prod/client shop/web:6379, shop/api shop/web:6379, shop/web prod/client:5000",
        "shop/search shop/web:6379, shop/api shop/web:80, shop/web prod/client:80, outside shop/web:6379"),
    "a range of ports": (
        [egress({"matchLabels": {"role": "db"}}, {"to": [{"ipBlock": {"cidr": "10.244.0.0/16"}}],
                                                  "ports": [{"protocol": "TCP", "port": 32000, "endPort": 32768}]})],
        "shop/web shop/api:32000", "shop/web shop/api:80"),
    "access to an application by a label": (
        [ingress(WEB, {"from": [pods({"matchLabels": {"role": "frontend"}})]})],
        "shop/api shop/web", "shop/search shop/web"),
    "administrators deny sensitive namespaces to everyone": (
        [admin({"ingress": [{"action": "Deny", "from": [{"namespaces": {}}]}]}, subject={"namespaces": PROD}),
         policy("open", "prod", {"podSelector": {}, "ingress": [{}]})],
        "prod/client shop/web, outside prod/client", "shop/web prod/client, monitoring/prometheus prod/client"),
    "administrators let monitoring in, whatever is denied": (
        [admin({"ingress": [{"action": "Allow", "from": [{"namespaces": MONITORING}]}]}, subject={"namespaces": {}}),
         ingress({})],
        "monitoring/other shop/web", "prod/client shop/web"),
    "administrators delegate what goes on inside": (
        [admin({"ingress": [{"action": "Pass", "from": [{"namespaces": PROD}]},
                            {"action": "Deny", "from": [{"namespaces": {}}]}]}, subject=SHOP), ingress(WEB)],
        "prod/client shop/api", "prod/client shop/web, monitoring/other shop/api"),
    "administrators' guardrails, which a namespace's own policy replaces": (
        [baseline({"ingress": [{"action": "Deny", "from": [{"namespaces": {}}]}]}, subject=SHOP),
         ingress(WEB, {"from": [spaces(PROD)]})],
        "prod/client shop/web, outside shop/api", "prod/client shop/api, shop/api shop/web"),
    "administrators keep Pods away from nodes and networks": (
        [admin({"egress": [{"action": "Deny", "to": [{"nodes": {"matchLabels": {"kubernetes.io/hostname": "b"}}}]},
                           {"action": "Deny", "to": [{"networks": ["203.0.113.0/24", "192.168.0.0/16"]}]}]},
               subject=SHOP)],
        "shop/web shop/api, shop/web prod/client", "shop/web node/b:10250, shop/web outside"),
}  # fmt: skip


@lru_cache(maxsize=2)
def _template(cni: str) -> Cluster:
    cluster = Cluster(nodes=2, cni=cni)
    meta = ({"name": name, "labels": labels} for name, labels in SPACES.items())
    cluster.apply(
        [*policy_definitions(), *({"apiVersion": "v1", "kind": "Namespace", "metadata": one} for one in meta)]
    )
    for number, (name, labels) in enumerate(PODS.items()):
        space, _, own = name.partition("/")
        ports = [{"containerPort": port} for port in PORTS]
        container = {"name": "main", "image": "example.com/server:1", "ports": ports}
        spec = {"nodeName": "ab"[number % 2], "containers": [container]}
        metadata = {"name": own, "namespace": space, "labels": labels}
        cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    for node in cluster.api.list("nodes"):  # Pods' addresses are not announced beyond the nodes' network
        address = node["status"]["addresses"][0]["address"]
        cluster.outside.run(f"ip route add {node['spec']['podCIDR']} via {address}")
    return cluster


def connections(text: str) -> list[tuple[str, str, int]]:
    """(source, target, port) of each "source target:port"."""
    found = []
    for words in text.split(", ") if text else ():
        source, target = words.split()
        name, _, port = target.partition(":")
        found.append((source, name, int(port or 80)))
    return found


def is_let_through(cluster: Cluster, source: str, target: str, port: int) -> bool:
    """Whether the packets of a connection arrive: it is made, or refused by the far end."""

    def host(name: str, *, is_target: bool = False) -> Any:
        if name == "outside":
            return cluster.outside.ip if is_target else cluster.outside
        kind, _, own = name.partition("/")
        if kind == "node":
            return cluster.node(own)
        return cluster.pod(own, kind)

    if target == "kube-system/dns":
        named = [one["metadata"]["name"] for one in cluster.api.list("pods", "kube-system")]
        target = f"kube-system/{named[0]}"
    outcome = host(source).can_reach(host(target, is_target=True), port).outcome
    assert outcome in ("no answer", "refused", "reached")
    return bool(outcome != "no answer")


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_lets_through_what_it_is_known_for(name: str) -> None:
    policies, made, denied = RECIPES[name]
    cluster = _template(("iptables", "nftables")[len(name) % 2]).fork()
    cluster.apply(policies)
    wrong = [one for one in connections(made) if not is_let_through(cluster, *one)]
    wrong += [one for one in connections(denied) if is_let_through(cluster, *one)]
    assert wrong == []
