"""Network policies that do not do what their author meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import attrs

from fakecluster.checks.finding import WARNING, Finding
from fakecluster.checks.policy_rules import Existing, problems_of_rules
from fakecluster.cluster.policies import KINDS, policies_of
from fakecluster.policy.model import DENY, EGRESS, INGRESS, NETWORK, Block, Policy, PolicyPod, Rule, node_of, pod_of
from fakecluster.policy.reach import Judge, Place, Surroundings, judge

if TYPE_CHECKING:
    from fakecluster.cluster import Cluster

CHECK = "policies"
#: How findings call a policy, as kubectl does.
SHORT_NAMES = {
    "NetworkPolicy": "netpol",
    "AdminNetworkPolicy": "anp",
    "BaselineAdminNetworkPolicy": "banp",
    "ClusterNetworkPolicy": "cnp",
}
DNS_PORT = 53
DNS_LABELS = {"k8s-app": "kube-dns"}
EVERY_ADDRESS = ("0.0.0.0/0", "::/0")


def policies_mean_something(cluster: Cluster) -> Iterator[Finding]:
    """Policies select Pods, their rules can match, named ports exist, DNS is not cut off, no Pod is left open."""
    yield from _unenforced(cluster)
    policies = policies_of(cluster.parts.server.store)
    if not policies:
        return
    labels = {one["metadata"]["name"]: one["metadata"].get("labels") or {} for one in cluster.seen.list("namespaces")}
    existing = Existing(
        tuple(pod for obj in cluster.seen.list("pods") if (pod := pod_of(obj)) is not None),
        tuple(map(node_of, cluster.seen.list("nodes"))),
        labels,
        cluster.spec.families,
    )
    lookups = _Lookups.of(existing, policies) if cluster.spec.dns and not cluster.spec.node_local_dns else None
    for policy in policies:
        selected = existing.selected(policy)
        problems = [] if selected else ["selects no Pod"]
        problems += problems_of_rules(policy, selected, existing)
        if lookups is not None and policy.about(EGRESS) is not None:
            problems += lookups.problems(selected)
        for problem in problems:
            yield Finding(CHECK, f"{SHORT_NAMES[policy.kind]}/{_name(policy)}", problem, WARNING)
    yield from _open_pods(policies, existing)


def _unenforced(cluster: Cluster) -> Iterator[Finding]:
    """Policies of other vendors, which the API keeps and nobody enforces."""
    for resource in cluster.parts.server.registry.by_path.values():
        if resource.kind.endswith("NetworkPolicy") and resource.key not in KINDS:
            for obj in cluster.parts.server.store.list(resource.key):
                meta = obj["metadata"]
                name = "/".join(part for part in (meta.get("namespace"), meta["name"]) if part)
                problem = f"is kept but not enforced: policies of {resource.group} are not modelled"
                yield Finding(CHECK, f"{resource.plural}.{resource.group}/{name}", problem, WARNING)


def _name(policy: Policy) -> str:
    return f"{policy.namespace}/{policy.name}" if policy.namespace else policy.name


@attrs.frozen
class _Lookups:
    """Which Pods may send to which of cluster DNS's, over UDP."""

    numbers: dict[tuple[str, str], int]
    servers: tuple[int, ...]
    judge: Judge

    @classmethod
    def of(cls, existing: Existing, policies: list[Policy]) -> _Lookups:
        places = [Place(f"{pod.namespace}/{pod.name}", pod.ips[0], pod) for pod in existing.pods]
        servers = (number for number, pod in enumerate(existing.pods) if DNS_LABELS.items() <= dict(pod.labels).items())
        judged = judge(places, policies, Surroundings(existing.namespaces, existing.nodes), "UDP", DNS_PORT)
        return cls({pod.key: number for number, pod in enumerate(existing.pods)}, tuple(servers), judged)

    def problems(self, selected: tuple[PolicyPod, ...]) -> Iterator[str]:
        """The first of some Pods that reaches no server because its egress is denied."""
        for pod in selected:
            allowed = self.judge.decided[EGRESS][self.numbers[pod.key]].allowed
            if self.servers and not any(allowed >> server & 1 for server in self.servers):
                name = f"{pod.namespace}/{pod.name}"
                yield f"isolates egress and no policy lets {name} reach cluster DNS at UDP 53: it cannot look up names"
                return


def _open_pods(policies: list[Policy], existing: Existing) -> Iterator[Finding]:
    """Pods that everyone can reach, in namespaces where other Pods are protected."""
    isolating = [policy for policy in policies if policy.tier == NETWORK and policy.about(INGRESS) is not None]
    denying = [policy for policy in policies if any(rule.action == DENY for rule in policy.about(INGRESS) or ())]
    spaces = {policy.namespace for policy in isolating}
    for pod in existing.pods:
        if pod.namespace not in spaces or any(existing.is_about(one, pod) for one in denying):
            continue
        mine = [one for one in isolating if existing.is_about(one, pod)]
        wide = [one.words for one in mine if any(map(_lets_all_in, one.about(INGRESS) or ()))]
        if wide:
            problem = f"everything can reach it, because of policy {', '.join(wide)}"
        elif not mine:
            problem = "everything can reach it: policies of its namespace are about other Pods only"
        else:
            continue
        yield Finding(CHECK, f"pod/{pod.namespace}/{pod.name}", problem, WARNING)


def _lets_all_in(rule: Rule) -> bool:
    blocks = [peer for peer in rule.peers or () if isinstance(peer, Block) and not peer.holes]
    return rule.ports is None and (rule.peers is None or any(block.cidr in EVERY_ADDRESS for block in blocks))
