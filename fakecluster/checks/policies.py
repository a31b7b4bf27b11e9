"""Network policies that do not do what their author meant."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from itertools import combinations
from typing import TYPE_CHECKING

from fakecluster.api.selectors import Labels
from fakecluster.checks.finding import WARNING, Finding
from fakecluster.cluster.policies import POLICIES
from fakecluster.policy.model import EGRESS, INGRESS, Block, Policy, PolicyPod, Rule, network_policy_of, pod_of

if TYPE_CHECKING:
    from fakecluster.cluster import Cluster

CHECK = "policies"
DNS_PORT = 53


def policies_mean_something(cluster: Cluster) -> Iterator[Finding]:
    """Policies select Pods, their rules can match, named ports exist, DNS is not cut off, no Pod is left open."""
    policies = [network_policy_of(obj) for obj in cluster.api.list(POLICIES)]
    if not policies:
        return
    pods = [pod for obj in cluster.api.list("pods") if (pod := pod_of(obj)) is not None]
    spaces: dict[str, Labels] = {
        one["metadata"]["name"]: one["metadata"].get("labels") or {} for one in cluster.api.list("namespaces")
    }
    for policy in policies:
        selected = [pod for pod in pods if policy.subject.contains(pod, spaces.get(pod.namespace))]
        problems = [] if selected else ["selects no Pod"]
        problems += [problem for way, rules in policy.rules for problem in _rules(way, rules, selected, pods, spaces)]
        if selected and cluster.spec.dns and _forgot_dns(policy, policies, selected):
            problems.append("isolates egress and no policy allows its Pods port 53: they cannot look up names")
        for problem in problems:
            yield Finding(CHECK, f"netpol/{policy.words}", problem, WARNING)
    yield from _open_pods(policies, pods, spaces)


def _rules(
    way: str, rules: tuple[Rule, ...], selected: list[PolicyPod], pods: list[PolicyPod], spaces: dict[str, Labels]
) -> Iterator[str]:
    for number, rule in enumerate(rules):
        place = f"{way.lower()}[{number}]"
        groups = [peer for peer in rule.peers or () if not isinstance(peer, Block)]
        blocks = [peer for peer in rule.peers or () if isinstance(peer, Block)]
        empty = [one for one in groups if not any(one.contains(pod, spaces.get(pod.namespace)) for pod in pods)]
        if rule.peers and len(empty) == len(rule.peers):
            yield f"{place} can never match: its peers select no Pod"
        for one, other in combinations(blocks, 2):
            if one.family == other.family and ip_network(one.cidr).overlaps(ip_network(other.cidr)):
                yield f"{place} has blocks that overlap: {one.cidr} and {other.cidr}"
        for port in rule.ports or ():
            reached = selected if way == INGRESS else pods
            if port.name and not any(
                port.name == name and port.protocol == own for p in reached for name, own, _ in p.ports
            ):
                yield f"{place} names port {port.name}/{port.protocol}, which no Pod it is about has"


def _forgot_dns(policy: Policy, policies: list[Policy], selected: list[PolicyPod]) -> bool:
    """Whether a Pod that it isolates for egress may send to port 53 over UDP nowhere at all."""
    if policy.about(EGRESS) is None:
        return False
    others = [one for one in policies if one.namespace == policy.namespace and one.about(EGRESS) is not None]
    for pod in selected:
        mine = [rule for one in others if one.subject.pods.matches(pod.labels) for rule in one.about(EGRESS) or ()]
        if not any(map(_reaches_dns, mine)):
            return True
    return False


def _reaches_dns(rule: Rule) -> bool:
    return rule.ports is None or any(
        port.protocol == "UDP" and (port.name != "" or port.first <= DNS_PORT <= port.last) for port in rule.ports
    )


def _open_pods(policies: list[Policy], pods: list[PolicyPod], spaces: dict[str, Labels]) -> Iterator[Finding]:
    """Pods that everyone can reach, in namespaces where other Pods are protected."""
    isolating = [policy for policy in policies if policy.about(INGRESS) is not None]
    for pod in pods:
        mine = [one for one in isolating if one.subject.contains(pod, spaces.get(pod.namespace))]
        wide = [
            one for one in mine if any(rule.peers is None and rule.ports is None for rule in one.about(INGRESS) or ())
        ]
        if wide:
            problem = f"everything can reach it, because of policy {', '.join(one.words for one in wide)}"
        elif not mine and any(one.namespace == pod.namespace for one in isolating):
            problem = "everything can reach it: policies of its namespace are about other Pods only"
        else:
            continue
        yield Finding(CHECK, f"pod/{pod.namespace}/{pod.name}", problem, WARNING)
