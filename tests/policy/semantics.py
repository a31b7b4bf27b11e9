"""What policies mean, as one pure function of the API's objects: the yardstick that packets are held against.

Written from the API's documentation and on purpose without anything of the package.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

Json = dict[str, Any]
#: kind -> (its tier, or None where it says so itself; the field of a rule's ports)
ADMIN_KINDS = {
    "AdminNetworkPolicy": ("Admin", "ports"),
    "BaselineAdminNetworkPolicy": ("Baseline", "ports"),
    "ClusterNetworkPolicy": (None, "protocols"),
}


def is_allowed(
    objects: list[Json], source: Json | str, target: Json | str, protocol: str, port: int, *, family: int = 4
) -> bool:
    """Whether a new connection from a Pod, or an address outside, to another one passes all policies."""
    if source is target:
        return True  # a Pod cannot block access to itself
    spaces = {one["metadata"]["name"]: one["metadata"].get("labels") or {} for one in _of(objects, "Namespace")}
    return all(
        _lets(objects, direction, own, other, target, protocol, port, spaces, family)
        for direction, own, other in (("Egress", source, target), ("Ingress", target, source))
    )


def _of(objects: list[Json], kind: str) -> list[Json]:
    return [one for one in objects if one["kind"] == kind]


def _lets(
    objects: list[Json], direction: str, own: Json | str, other: Json | str, target: Json | str,
    protocol: str, port: int, spaces: dict[str, dict[str, str]], family: int,
) -> bool:  # fmt: skip
    """Whether one end allows it: administrators' Admin tier first, then NetworkPolicies, and Baseline where none is."""
    if isinstance(own, str) or own["spec"].get("hostNetwork"):
        return True
    asked = (direction, own, other, target, protocol, port, spaces, family)
    verdict = _first(objects, "Admin", *asked)
    if verdict in ("Allow", "Accept", "Deny"):
        return verdict != "Deny"
    isolating = [one for one in _of(objects, "NetworkPolicy") if direction in _types(one) and _selects(one, own)]
    if not isolating:
        return _first(objects, "Baseline", *asked) != "Deny"
    return any(
        _peers_fit(rule.get("from" if direction == "Ingress" else "to"), one, other, spaces, family)
        and _ports_fit(rule.get("ports"), target, protocol, port)
        for one in isolating
        for rule in one["spec"].get(direction.lower()) or []
    )


def _first(
    objects: list[Json], tier: str, direction: str, own: Json, other: Json | str, target: Json | str,
    protocol: str, port: int, spaces: dict[str, dict[str, str]], family: int,
) -> str:  # fmt: skip
    """The action of the first rule of a tier that fits, "" without one."""
    policies = [
        one
        for kind, (always, _ports) in ADMIN_KINDS.items()
        for one in _of(objects, kind)
        if (always or one["spec"]["tier"]) == tier and _is_one_of(one["spec"]["subject"], own, spaces)
    ]
    policies.sort(key=lambda one: (one["spec"].get("priority", 0), one["metadata"]["name"], one["kind"]))
    nodes = _of(objects, "Node")
    for policy in policies:
        for rule in policy["spec"].get(direction.lower()) or []:
            peers, ports = rule["from" if direction == "Ingress" else "to"], rule.get(ADMIN_KINDS[policy["kind"]][1])
            if any(_admin_peer_fits(peer, other, spaces, nodes, family) for peer in peers) and (
                ports is None or any(_admin_port_fits(one, target, protocol, port) for one in ports)
            ):
                return str(rule["action"])
    return ""


def _is_one_of(chosen: Json, pod: Json | str, spaces: dict[str, dict[str, str]]) -> bool:
    if isinstance(pod, str) or pod["spec"].get("hostNetwork"):
        return False
    meta = pod["metadata"]
    if "namespaces" in chosen:
        return _matches(chosen["namespaces"], spaces[meta["namespace"]])
    pods = chosen["pods"]
    return _matches(pods.get("namespaceSelector"), spaces[meta["namespace"]]) and _matches(
        pods["podSelector"], meta.get("labels")
    )


def _admin_peer_fits(
    peer: Json, other: Json | str, spaces: dict[str, dict[str, str]], nodes: list[Json], family: int
) -> bool:
    address = other if isinstance(other, str) else _ip(other, family)
    if "networks" in peer:
        return any(ip_address(address) in ip_network(cidr) for cidr in peer["networks"])
    if "nodes" in peer:
        chosen = [node for node in nodes if _matches(peer["nodes"], node["metadata"].get("labels"))]
        return any(one["address"] == address for node in chosen for one in node["status"]["addresses"])
    return _is_one_of(peer, other, spaces)


def _admin_port_fits(wanted: Json, target: Json | str, protocol: str, port: int) -> bool:
    name = wanted.get("namedPort", wanted.get("destinationNamedPort"))
    if name is not None:
        return (name, protocol, port) in _offered(target)
    if "portNumber" in wanted or "portRange" in wanted:
        one = wanted.get("portNumber") or wanted["portRange"]
        span = (one.get("port", one.get("start")), one.get("port", one.get("end")))
        return bool(one["protocol"] == protocol and span[0] <= port <= span[1])
    ((own, fields),) = wanted.items()
    place = fields["destinationPort"]
    span = (place.get("number") or place["range"]["start"], place.get("number") or place["range"]["end"])
    return bool(own.upper() == protocol and span[0] <= port <= span[1])


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
    return (number, protocol, port) in _offered(target)


def _offered(target: Json | str) -> list[tuple[str, str, int]]:
    """(name, protocol, number) of a Pod's named ports."""
    containers = [] if isinstance(target, str) else target["spec"]["containers"]
    return [
        (one["name"], one.get("protocol", "TCP"), one["containerPort"])
        for container in containers
        for one in container.get("ports") or []
        if "name" in one
    ]
