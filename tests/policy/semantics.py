"""What NetworkPolicies mean, as one pure function of the API's objects: the yardstick that packets are held against.

Written from the API's documentation and on purpose without anything of the package.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

Json = dict[str, Any]


def is_allowed(
    objects: list[Json], source: Json | str, target: Json | str, protocol: str, port: int, *, family: int = 4
) -> bool:
    """Whether a new connection from a Pod, or an address outside, to another one passes all policies."""
    if source is target:
        return True  # a Pod cannot block access to itself
    spaces = {one["metadata"]["name"]: one["metadata"].get("labels") or {} for one in _of(objects, "Namespace")}
    policies = _of(objects, "NetworkPolicy")
    return all(
        _lets(policies, direction, own, other, target, protocol, port, spaces, family)
        for direction, own, other in (("Egress", source, target), ("Ingress", target, source))
    )


def _of(objects: list[Json], kind: str) -> list[Json]:
    return [one for one in objects if one["kind"] == kind]


def _lets(
    policies: list[Json], direction: str, own: Json | str, other: Json | str, target: Json | str,
    protocol: str, port: int, spaces: dict[str, dict[str, str]], family: int,
) -> bool:  # fmt: skip
    """Whether one end allows it: no policy isolates it in this direction, or one of them has a rule that fits."""
    if isinstance(own, str) or own["spec"].get("hostNetwork"):
        return True
    isolating = [one for one in policies if direction in _types(one) and _selects(one, own)]
    return not isolating or any(
        _peers_fit(rule.get("from" if direction == "Ingress" else "to"), one, other, spaces, family)
        and _ports_fit(rule.get("ports"), target, protocol, port)
        for one in isolating
        for rule in one["spec"].get(direction.lower()) or []
    )


def _types(policy: Json) -> list[str]:
    spec = policy["spec"]
    return list(spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]))


def _selects(policy: Json, pod: Json) -> bool:
    same = policy["metadata"]["namespace"] == pod["metadata"]["namespace"]
    return same and _matches(policy["spec"].get("podSelector"), pod["metadata"].get("labels"))


def _matches(selector: Json | None, labels: dict[str, str] | None) -> bool:
    selector, labels = selector or {}, labels or {}
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for one in selector.get("matchExpressions") or []:
        key, values = one["key"], one.get("values")
        fits = {
            "In": key in labels and labels[key] in (values or ()),
            "NotIn": key not in labels or labels[key] not in (values or ()),
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }
        if not fits[one["operator"]]:
            return False
    return True


def _peers_fit(
    peers: list[Json] | None, policy: Json, other: Json | str, spaces: dict[str, dict[str, str]], family: int
) -> bool:
    return not peers or any(_peer_fits(peer, policy, other, spaces, family) for peer in peers)


def _peer_fits(peer: Json, policy: Json, other: Json | str, spaces: dict[str, dict[str, str]], family: int) -> bool:
    if "ipBlock" in peer:
        address = ip_address(other if isinstance(other, str) else _ip(other, family))
        block = peer["ipBlock"]
        return address in ip_network(block["cidr"]) and not any(
            address in ip_network(hole) for hole in block.get("except") or []
        )
    if isinstance(other, str) or other["spec"].get("hostNetwork"):
        return False
    space = other["metadata"]["namespace"]
    if "namespaceSelector" in peer:
        fits = _matches(peer["namespaceSelector"], spaces[space])
    else:
        fits = space == policy["metadata"]["namespace"]
    return fits and _matches(peer.get("podSelector"), other["metadata"].get("labels"))


def _ip(pod: Json, family: int) -> str:
    return next(one["ip"] for one in pod["status"]["podIPs"] if (":" in one["ip"]) == (family == 6))


def _ports_fit(ports: list[Json] | None, target: Json | str, protocol: str, port: int) -> bool:
    return not ports or any(_port_fits(one, target, protocol, port) for one in ports)


def _port_fits(wanted: Json, target: Json | str, protocol: str, port: int) -> bool:
    if wanted.get("protocol", "TCP") != protocol:
        return False
    number = wanted.get("port")
    if number is None:
        return True
    if isinstance(number, int):
        return number <= port <= wanted.get("endPort", number)
    offered = [] if isinstance(target, str) else [p for c in target["spec"]["containers"] for p in c.get("ports") or []]
    return any(
        one.get("name") == number and one.get("protocol", "TCP") == protocol and one["containerPort"] == port
        for one in offered
    )
