"""Pod -> endpoint and endpoint ports, as EndpointSlices show them (staging/src/k8s.io/endpointslice/utils.go)."""

from __future__ import annotations

import functools

from fakecluster.controllers.publishing import (
    Json,
    is_ready,
    is_terminating,
    pod_addresses,
    port_number,
    published_hostname,
    target_ref,
)

ZONE_LABEL = "topology.kubernetes.io/zone"

#: (name, number, protocol, appProtocol)
Port = tuple[str, int | None, str, str | None]
#: The ports of one group of slices, in the order in which they are written.
Ports = tuple[Port, ...]
#: What makes two endpoints the same one: addresses, host name, namespace and name of the Pod
EndpointKey = tuple[tuple[str, ...], str, str, str]


def endpoint_for(pod: Json, node: Json | None, service: Json, family: str) -> Json:
    """The endpoint of a Pod for one address family; without addresses where the Pod has none of it."""
    serving, terminating = is_ready(pod), is_terminating(pod)
    ready = bool(service["spec"].get("publishNotReadyAddresses")) or (serving and not terminating)
    endpoint: Json = {
        "addresses": pod_addresses(pod, family),
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
    }
    if hostname := published_hostname(pod, service):
        endpoint["hostname"] = hostname
    endpoint["targetRef"] = target_ref(pod)
    if node_name := pod["spec"].get("nodeName"):
        endpoint["nodeName"] = node_name
    if zone := zone_of(node):
        endpoint["zone"] = zone
    return endpoint


def zone_of(node: Json | None) -> str:
    labels = (node or {}).get("metadata", {}).get("labels") or {}
    return str(labels.get(ZONE_LABEL, ""))


def key_of(endpoint: Json) -> EndpointKey:
    """By what an endpoint is found again in existing slices."""
    ref = endpoint.get("targetRef") or {}
    addresses = tuple(sorted(endpoint["addresses"]))
    return addresses, endpoint.get("hostname") or "", ref.get("namespace", ""), ref.get("name", "")


def same_beyond_key(one: Json, other: Json) -> bool:
    """Whether two endpoints with equal keys are equal in all but their hints."""
    return (
        one.get("conditions") == other.get("conditions")
        and one.get("nodeName") == other.get("nodeName")
        and one.get("zone") == other.get("zone")
        and _without_version(one.get("targetRef")) == _without_version(other.get("targetRef"))
    )


def _without_version(ref: Json | None) -> Json | None:
    if ref is None or "resourceVersion" not in ref:
        return ref
    return {name: value for name, value in ref.items() if name != "resourceVersion"}


def endpoint_ports(service: Json, pod: Json) -> Ports:
    """The ports that a Pod offers to a Service: named ones that it does not have are left out."""
    found: list[Port] = []
    for port in service["spec"].get("ports") or ():
        number = port_number(pod, port)
        if number is not None:
            found.append((port.get("name", ""), number, port.get("protocol", "TCP"), port.get("appProtocol")))
    return ordered(tuple(found))


def slice_ports(existing: Json) -> Ports:
    """The ports of an existing slice."""
    return ordered(
        tuple(
            (port.get("name") or "", port.get("port"), port.get("protocol") or "TCP", port.get("appProtocol"))
            for port in existing.get("ports") or ()
        )
    )


def ports_json(ports: Ports) -> list[Json] | None:
    """What a slice shows as its ports: null where there are none, as the binary encoding leaves it."""
    return [_port_json(port) for port in ports] or None


def _port_json(port: Port) -> Json:
    name, number, protocol, app_protocol = port
    return {
        "name": name,
        "protocol": protocol,
        "port": number,
        **({"appProtocol": app_protocol} if app_protocol is not None else {}),
    }


def ordered(ports: Ports) -> Ports:
    """Ports in the order of the slices: by the FNV hash of how Go prints them."""
    return ports if len(ports) < 2 else _ordered(ports)


@functools.lru_cache(maxsize=4096)
def _ordered(ports: Ports) -> Ports:
    return tuple(sorted(ports, key=_port_hash))


def _port_hash(port: Port) -> int:
    name, number, protocol, app_protocol = port
    shown = "<nil>" if app_protocol is None else app_protocol
    text = (
        f"(v1.EndpointPort){{Name:(*string){name} Protocol:(*v1.Protocol){protocol} "
        f"Port:(*int32){'<nil>' if number is None else number} AppProtocol:(*string){shown}}}"
    )
    return fnv128a(text.encode())


def fnv128a(data: bytes) -> int:
    """The 128-bit FNV-1a hash (http://www.isthe.com/chongo/tech/comp/fnv)."""
    value = 0x6C62272E07BB014262B821756295C58D
    for byte in data:
        value = ((value ^ byte) * 0x13B + ((value ^ byte) << 88)) & ((1 << 128) - 1)
    return value
