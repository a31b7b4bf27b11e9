"""Services are reachable, balanced, sticky and honest about their clients."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from fakecluster.checks.endpoints import Expectation, expected, service_ports, words
from fakecluster.checks.finding import WARNING, Finding
from fakecluster.checks.probes import freeze_control_plane, sources, with_probes
from fakecluster.handles import ConnectFailed, Host, Outcomes, Service

if TYPE_CHECKING:
    from fakecluster.cluster import Cluster

JsonObject = dict[str, Any]
#: iptables writes probabilities as k / 2**31, rounded (net/netfilter/xt_statistic.c).
PROBABILITY_STEP = Fraction(1, 2**31)


def reachable(cluster: Cluster) -> Iterator[Finding]:
    """Every Service port leads to its endpoints, all of them and nobody else, from every node and from outside."""
    copy, pods = with_probes(cluster)
    for service, port in service_ports(copy):
        yield from _from_inside(copy, service, port, sources(copy, pods))
        yield from _from_outside(copy, service, port)


def _from_inside(cluster: Cluster, service: Service, port: JsonObject, hosts: dict[str, Host]) -> Iterator[Finding]:
    local = service.object["spec"].get("internalTrafficPolicy") == "Local"
    node_of = {host.namespace: name.rpartition(" ")[2] for name, host in hosts.items()}
    for address in service.cluster_ips:
        family = ip_address(address).version
        for name, host in hosts.items():
            wanted = expected_in(cluster, service, port, family, node_of[host.namespace] if local else "")
            if not wanted.backends and not local:
                yield Finding("reachable", words(service, port), "no endpoint is ready", WARNING)
                break
            yield from _compare(cluster, "reachable", service, port, host, name, (address, port["port"]), wanted)


def _from_outside(cluster: Cluster, service: Service, port: JsonObject) -> Iterator[Finding]:
    spec = service.object["spec"]
    local = spec.get("externalTrafficPolicy") == "Local"
    for node in cluster.nodes if port.get("nodePort") else ():
        for ip in cluster.runtime.nodes[node.name].ips:
            wanted = expected(service, port, family=ip_address(ip).version, local_to=node.name if local else "")
            if wanted.backends:
                place = (ip, port["nodePort"])
                name = f"outside by node port {port['nodePort']} of {node.name}"
                yield from _compare(cluster, "reachable", service, port, cluster.outside, name, place, wanted)
    for address in service.load_balancer_ips:
        everyone = expected(service, port, family=ip_address(address).version)
        announcer = cluster.parts.announcer.announced.get(address, "")
        wanted = expected(service, port, family=ip_address(address).version, local_to=announcer if local else "")
        if everyone.backends:
            place = (address, port["port"])
            name = f"outside by {address}"
            yield from _compare(cluster, "reachable", service, port, cluster.outside, name, place, wanted)


def is_tied(cluster: Cluster, service: Service) -> bool:
    """Whether one client has one endpoint to begin with: affinity where endpoints take turns."""
    return cluster.takes_turns and service.object["spec"].get("sessionAffinity") == "ClientIP"


def expected_in(cluster: Cluster, service: Service, port: JsonObject, family: int, local_to: str) -> Expectation:
    """As `expected`, in the cluster's mode: ipvs falls back to all endpoints where a Local policy finds none.

    It does so when it knows them all at all: the Service is open to the outside (kube-proxy's UsesClusterEndpoints).
    """
    wanted = expected(service, port, family=family, local_to=local_to)
    spec = service.object["spec"]
    is_external = spec["type"] in ("NodePort", "LoadBalancer") or bool(spec.get("externalIPs"))
    uses_all = is_external or spec.get("internalTrafficPolicy") != "Local"
    if local_to and not wanted.backends and cluster.spec.proxy == "ipvs" and uses_all:
        return expected(service, port, family=family)
    return wanted


def _compare(
    cluster: Cluster,
    check: str,
    service: Service,
    port: JsonObject,
    host: Host,
    name: str,
    place: tuple[str, int],
    wanted: Expectation,
) -> Iterator[Finding]:
    """Hold the exact outcomes of one connection against what the API objects say."""
    seen = outcomes_of(host, port, place)
    answered = {outcome for outcome in seen.destinations if outcome not in FAILURES}
    strangers = answered - wanted.names
    failed = seen.destinations & FAILURES
    if strangers:
        problem = f"from {name}: {', '.join(sorted(strangers))} can answer and is no endpoint"
        yield Finding(check, words(service, port), problem, evidence=str(seen))
    if failed and wanted.backends:
        share = sum(p for outcome, p in seen.probabilities.items() if outcome in FAILURES)
        problem = f"from {name}: {', '.join(sorted(failed))} with probability {share}"
        yield Finding(check, words(service, port), problem, evidence=str(seen))
    missing = wanted.names - answered
    if missing and not failed and not wanted.chooses and not (answered and is_tied(cluster, service)):
        problem = f"from {name}: {', '.join(sorted(missing))} is ready and never answers"
        yield Finding(check, words(service, port), problem, evidence=str(seen))


#: Outcomes that are no answer.
FAILURES = frozenset(
    ("refused", "no answer", "timed out", "reset", "no route to host", "network unreachable", "not permitted",
     "prohibited", "dropped", "rejected", "not sent", "consumed", "transmitted")
)  # fmt: skip


def outcomes_of(host: Host, port: JsonObject, place: tuple[str, int]) -> Outcomes:
    """The outcomes of connecting from `host` to (address, port number)."""
    address, number = place
    end = f"[{address}]:{number}" if ":" in address else f"{address}:{number}"
    return host.outcomes(f"{port.get('protocol', 'TCP').lower()}://{end}")


def unoffered(cluster: Cluster) -> Iterator[Finding]:
    """Nothing answers on a cluster IP beside the Service's ports."""
    copy, pods = with_probes(cluster)
    host = next(iter(pods.values()), None)
    for service, port in service_ports(copy):
        taken = {own["port"] for own in service.object["spec"]["ports"]}
        beside = next(number for number in range(port["port"] % 65535 + 1, 1 << 17) if number not in taken) % 65536
        if host is None or not beside:
            continue
        seen = outcomes_of(host, port, (service.cluster_ip, beside))
        if answered := seen.destinations - FAILURES:
            problem = f"{', '.join(sorted(answered))} answers on port {beside}, which the Service does not offer"
            yield Finding("unoffered", words(service, port), problem, evidence=str(seen))


def hairpin(cluster: Cluster) -> Iterator[Finding]:
    """A Pod reaches itself through its own Service."""
    copy = cluster.fork()
    for service, port in service_ports(copy):
        for pod in service.ready_pods:
            for address in service.cluster_ips:
                seen = outcomes_of(pod, port, (address, port["port"]))
                if seen.destinations & FAILURES:
                    problem = (
                        f"Pod {pod.name} connecting through its own Service: {', '.join(sorted(seen.destinations))}"
                    )
                    yield Finding("hairpin", words(service, port), problem, evidence=str(seen))


def balanced(cluster: Cluster) -> Iterator[Finding]:
    """Each of n endpoints answers with probability 1/n, to the rounding of the kernel's numbers."""
    copy, pods = with_probes(cluster)
    host = next(iter(pods.values()), None)
    for service, port in service_ports(copy):
        spec = service.object["spec"]
        chooses = spec.get("internalTrafficPolicy") == "Local" or spec.get("trafficDistribution")
        if host is None or chooses or is_tied(copy, service):
            continue
        for address in service.cluster_ips:
            names = expected(service, port, family=ip_address(address).version).names
            seen = outcomes_of(host, port, (address, port["port"])).probabilities
            bound = len(names) * PROBABILITY_STEP
            for name in sorted(names):
                share = seen.get(name, Fraction(0))
                if abs(share - Fraction(1, len(names))) > bound:
                    problem = f"{name} answers with probability {share}, not 1/{len(names)}"
                    yield Finding("balanced", words(service, port), problem)


def affinity_is_sticky(cluster: Cluster) -> Iterator[Finding]:
    """With session affinity, a client stays with its endpoint until the time-out has passed without a connection."""
    for service, port in service_ports(cluster):
        spec = service.object["spec"]
        if spec.get("sessionAffinity") != "ClientIP" or port.get("protocol", "TCP") != "TCP":
            continue
        copy, pods = with_probes(cluster)
        timeout_s = spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"]
        target = f"{service.target}:{port['port']}"
        host = next(iter(pods.values()))
        freeze_control_plane(copy)  # nobody's readiness is to change while hours pass
        try:
            server = host.connect(target).request(b"affinity").server
            copy.advance(timeout_s - 1)
        except ConnectFailed:
            continue  # `reachable` says so
        others = host.outcomes(target).destinations - {server} - FAILURES
        if others:
            problem = f"{', '.join(sorted(others))} can answer a client {timeout_s - 1} s after {server} did"
            yield Finding("affinity", words(service, port), problem)


def client_address_is_kept(cluster: Cluster) -> Iterator[Finding]:
    """With externalTrafficPolicy Local, servers see the address of the client outside."""
    copy = cluster.fork()
    router = copy.runtime.plan.gateway(4) if 4 in copy.runtime.plan.families else copy.runtime.plan.gateway(6)
    for service, port in service_ports(copy):
        if service.object["spec"].get("externalTrafficPolicy") != "Local" or not port.get("nodePort"):
            continue
        family = ip_address(router).version
        nodes = {backend.node for backend in expected(service, port, family=family).backends}
        for node in copy.nodes:
            if node.name not in nodes or port.get("protocol", "TCP") != "TCP":
                continue
            try:
                answer = copy.outside.connect(node, port["nodePort"]).request(b"who")
            except ConnectFailed:
                continue  # `reachable` says so
            seen = answer.client.rpartition(":")[0].strip("[]")
            if seen and seen != router:
                problem = f"the server on node {node.name} sees {seen} instead of the client {router}"
                yield Finding("client-address", words(service, port), problem)
