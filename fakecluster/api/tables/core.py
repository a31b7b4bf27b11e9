"""Rows of the core kinds."""

from __future__ import annotations

from typing import Any

from fakecluster.api.status import JsonObject
from fakecluster.api.tables.cells import NONE, UNKNOWN, Now, label_set, listed, shortened

ROLE_PREFIX, ROLE_LABEL = "node-role.kubernetes.io/", "kubernetes.io/role"
#: Longest list of load balancer addresses before it is cut (unless the table is wide, which the server's always is).
Cells = list[Any]


def service(obj: JsonObject, now: Now) -> Cells:
    spec = obj["spec"]
    cluster_ip = (spec.get("clusterIPs") or [spec.get("clusterIP") or NONE])[0] or NONE
    return [
        obj["metadata"]["name"],
        spec.get("type", ""),
        cluster_ip,
        _external_ip(obj),
        listed([_service_port(port) for port in spec.get("ports") or ()]),
        now.age(obj["metadata"].get("creationTimestamp")),
        label_set(spec.get("selector")),
    ]


def _external_ip(obj: JsonObject) -> str:
    spec = obj["spec"]
    external = spec.get("externalIPs") or []
    kind = spec.get("type")
    if kind == "ExternalName":
        return spec.get("externalName") or NONE
    if kind == "LoadBalancer":
        ingress = (obj.get("status", {}).get("loadBalancer") or {}).get("ingress") or []
        addresses = [entry.get("ip") or entry.get("hostname") or "" for entry in ingress]
        found = [address for address in addresses if address]
        return ",".join([*found, *external]) or "<pending>"
    return listed(external)


def _service_port(port: JsonObject) -> str:
    node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port['port']}{node_port}/{port.get('protocol', 'TCP')}"


def endpoints(obj: JsonObject, now: Now) -> Cells:
    found: list[str] = []
    for subset in obj.get("subsets") or ():
        ports = subset.get("ports") or ()
        for port in ports or (None,):
            for address in subset.get("addresses") or ():
                host = f"[{address['ip']}]" if ":" in address["ip"] else address["ip"]
                found.append(f"{host}:{port['port']}" if port else address["ip"])
    return [obj["metadata"]["name"], shortened(found), now.age(obj["metadata"].get("creationTimestamp"))]


def endpoint_slice(obj: JsonObject, now: Now) -> Cells:
    ports = obj.get("ports")
    shown = [str(port["port"]) if port.get("port") else "*" for port in ports or ()]
    addresses = [address for entry in obj.get("endpoints") or () for address in entry["addresses"]]
    return [
        obj["metadata"]["name"],
        obj["addressType"],
        shortened(shown) if shown else UNSET_PORTS,
        shortened(addresses) if addresses else UNSET_PORTS,
        now.age(obj["metadata"].get("creationTimestamp")),
    ]


UNSET_PORTS = "<unset>"


def node(obj: JsonObject, now: Now) -> Cells:
    state, info = obj.get("status", {}), obj.get("status", {}).get("nodeInfo") or {}
    meta = obj["metadata"]
    kernel = info.get("kernelVersion") or UNKNOWN
    if info.get("architecture"):
        kernel += f" ({info['architecture']})"
    return [
        meta["name"],
        _node_status(obj),
        listed(_roles(meta.get("labels") or {})),
        now.age(meta.get("creationTimestamp")),
        info.get("kubeletVersion", ""),
        _address(state, "InternalIP"),
        _address(state, "ExternalIP"),
        info.get("osImage") or UNKNOWN,
        kernel,
        info.get("containerRuntimeVersion") or UNKNOWN,
    ]


def _node_status(obj: JsonObject) -> str:
    ready = [c for c in obj.get("status", {}).get("conditions") or () if c.get("type") == "Ready"]
    words = [("Ready" if c.get("status") == "True" else "NotReady") for c in ready] or ["Unknown"]
    if obj.get("spec", {}).get("unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _roles(labels: dict[str, str]) -> list[str]:
    found = {key.removeprefix(ROLE_PREFIX) for key in labels if key.startswith(ROLE_PREFIX) and key != ROLE_PREFIX}
    if labels.get(ROLE_LABEL):
        found.add(labels[ROLE_LABEL])
    return sorted(found)


def _address(state: JsonObject, kind: str) -> str:
    return next((a["address"] for a in state.get("addresses") or () if a.get("type") == kind), NONE)


def namespace(obj: JsonObject, now: Now) -> Cells:
    meta = obj["metadata"]
    return [meta["name"], obj.get("status", {}).get("phase", ""), now.age(meta.get("creationTimestamp"))]


def config_map(obj: JsonObject, now: Now) -> Cells:
    count = len(obj.get("data") or ()) + len(obj.get("binaryData") or ())
    return [obj["metadata"]["name"], count, now.age(obj["metadata"].get("creationTimestamp"))]


def secret(obj: JsonObject, now: Now) -> Cells:
    meta = obj["metadata"]
    return [meta["name"], obj.get("type", ""), len(obj.get("data") or ()), now.age(meta.get("creationTimestamp"))]


def service_account(obj: JsonObject, now: Now) -> Cells:
    meta = obj["metadata"]
    return [meta["name"], now.age(meta.get("creationTimestamp"))]


def network_policy(obj: JsonObject, now: Now) -> Cells:
    from fakecluster.api.tables.cells import label_selector

    meta = obj["metadata"]
    selector = label_selector(obj["spec"].get("podSelector") or {})
    return [meta["name"], selector, now.age(meta.get("creationTimestamp"))]


def ingress(obj: JsonObject, now: Now) -> Cells:
    meta, spec = obj["metadata"], obj.get("spec", {})
    hosts = [rule["host"] for rule in spec.get("rules") or () if rule.get("host")]
    entries = (obj.get("status", {}).get("loadBalancer") or {}).get("ingress") or []
    addresses = [entry.get("ip") or entry.get("hostname") or "" for entry in entries]
    return [
        meta["name"],
        spec.get("ingressClassName") or NONE,
        _hosts(hosts),
        ",".join(address for address in addresses if address),
        "80, 443" if spec.get("tls") else "80",
        now.age(meta.get("creationTimestamp")),
    ]


def _hosts(hosts: list[str]) -> str:
    if not hosts:
        return "*"
    return ",".join(hosts) if len(hosts) <= 3 else f"{','.join(hosts[:3])} + {len(hosts) - 3} more..."


def ingress_class(obj: JsonObject, now: Now) -> Cells:
    meta, spec = obj["metadata"], obj.get("spec", {})
    parameters = spec.get("parameters")
    shown = NONE
    if parameters:
        group = f".{parameters['apiGroup']}" if parameters.get("apiGroup") else ""
        shown = f"{parameters['kind']}{group}/{parameters['name']}"
    return [meta["name"], spec.get("controller", ""), shown, now.age(meta.get("creationTimestamp"))]


def ip_address(obj: JsonObject, now: Now) -> Cells:
    meta, parent = obj["metadata"], obj.get("spec", {}).get("parentRef") or {}
    place = "/".join(part for part in (parent.get("resource"), parent.get("namespace"), parent.get("name")) if part)
    return [meta["name"], place or NONE, now.age(meta.get("creationTimestamp"))]


def service_cidr(obj: JsonObject, now: Now) -> Cells:
    meta = obj["metadata"]
    return [meta["name"], ",".join(obj.get("spec", {}).get("cidrs") or ()), now.age(meta.get("creationTimestamp"))]


def event(obj: JsonObject, now: Now) -> Cells:
    involved = obj.get("involvedObject") or {}
    first = obj.get("firstTimestamp") or obj.get("eventTime")
    last = obj.get("lastTimestamp") or (obj.get("series") or {}).get("lastObservedTime") or first
    source = obj.get("source") or {}
    component = source.get("component") or obj.get("reportingComponent") or ""
    target = f"{involved.get('kind', '').lower()}/{involved.get('name', '')}" if involved.get("name") else ""
    return [
        now.age(last),
        obj.get("type", ""),
        obj.get("reason", ""),
        target or involved.get("kind", "").lower(),
        involved.get("fieldPath", ""),
        ", ".join(part for part in (component, source.get("host", "")) if part),
        (obj.get("message") or "").strip(),
        now.age(first),
        (obj.get("series") or {}).get("count") or obj.get("count") or 1,
        obj["metadata"]["name"],
    ]


def lease(obj: JsonObject, now: Now) -> Cells:
    meta = obj["metadata"]
    holder = (obj.get("spec") or {}).get("holderIdentity") or ""
    return [meta["name"], holder, now.age(meta.get("creationTimestamp"))]
