"""What network policies cost: rules from nothing, one label's change, the matrix of who may talk to whom.

Run: python benchmarks/policy.py [POLICIES PODS]; by default 1000 policies and 2000 Pods. All Pods are on the node that is
measured, so that every policy is active: the sum of what the nodes of a cluster do. A label's change rewrites the table of
the node's own Pods, which is why it is dear here; a real node has about a hundred. Times are this process's own. "render" is
the agent's work, "load" what ipset, iptables-restore and nft take.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence
from statistics import median
from time import process_time

import attrs
from rich.console import Console
from rich.table import Table

from fakecluster.kernel.netns import Netns
from fakecluster.policy.iptables import IptablesWriter
from fakecluster.policy.model import Policy, PolicyPod, network_policy_of
from fakecluster.policy.nftables import NftablesWriter
from fakecluster.policy.program import PolicyProgram, RuleWriter
from fakecluster.policy.reach import Place, Surroundings, judge
from fakecluster.policy.view import Changed

WRITERS: dict[str, Callable[[int], RuleWriter]] = {"iptables": IptablesWriter, "nftables": NftablesWriter}
SPACES, APPS, CHANGES, MATRIX = 50, 20, 9, 500


@attrs.define
class TimedNode:
    """Passes commands to a namespace and adds up how long they take."""

    netns: Netns
    load_s: float = 0.0

    def run(self, command: Sequence[str], stdin: str = "") -> str:
        begin = process_time()
        try:
            return self.netns.run(command, stdin)
        finally:
            self.load_s += process_time() - begin


def pod(number: int, *, app: int = -1) -> PolicyPod:
    labels = {"app": f"app{number // SPACES % APPS if app < 0 else app}"}
    address = f"10.{number // 65536}.{number // 256 % 256}.{number % 256}"
    return PolicyPod(f"space{number % SPACES}", f"pod{number}", "here", labels, (address,), (("http", "TCP", 80),))


def policy(number: int) -> Policy:
    space = f"space{number % SPACES}"
    own = {"matchLabels": {"app": f"app{number // SPACES % APPS}"}}
    peer = {"matchLabels": {"app": f"app{(number + 1) // SPACES % APPS}"}}
    other = {"matchLabels": {"space": f"space{(number + 7) % SPACES}"}}
    rule = {"from": [{"podSelector": peer}, {"namespaceSelector": other}], "ports": [{"protocol": "TCP", "port": 80}]}
    spec = {"podSelector": own, "policyTypes": ["Ingress"], "ingress": [rule]}
    return network_policy_of({"metadata": {"namespace": space, "name": f"policy{number}"}, "spec": spec})


def everything(policies: int, pods: int) -> Changed:
    spaces = {f"space{number}": {"space": f"space{number}"} for number in range(SPACES)}
    made = [pod(number) for number in range(pods)]
    return Changed(dict(spaces), {one.key: one for one in made}, {one.key: one for one in map(policy, range(policies))})


def measured(cni: str, policies: int, pods: int) -> tuple[float, float, float]:
    """Seconds: rendering and loading everything, and one label's change (both)."""
    node, program = TimedNode(Netns("node")), PolicyProgram("here", 4, WRITERS[cni](4))
    state = everything(policies, pods)
    gc.collect()
    begin = process_time()
    program.sync(state, node)
    full_s, load_s = process_time() - begin, node.load_s
    changes = []
    for number in range(1, CHANGES + 1):
        changed = pod(number, app=number % APPS + 1)
        begin = process_time()
        program.sync(Changed(pods={changed.key: changed}), node)
        changes.append(process_time() - begin)
    return full_s - load_s, load_s, median(changes)


def matrix_s(policies: int) -> float:
    """Seconds for the matrix of `MATRIX` Pods, each cell read once."""
    state = everything(policies, MATRIX)
    places = [Place(one.name, one.ip(4), one) for one in state.pods.values() if one is not None]
    chosen = [one for one in state.policies.values() if one is not None]
    spaces = {name: labels for name, labels in state.namespaces.items() if labels is not None}
    begin = process_time()
    decided = judge(places, chosen, Surroundings(spaces), "TCP", 80)
    sum(decided.is_allowed(source, target) for source in range(MATRIX) for target in range(MATRIX))
    return process_time() - begin


def main(sizes: Sequence[int]) -> None:
    policies, pods = sizes
    table = Table(title=f"{policies} policies, {pods} Pods")
    for heading in ("cni", "render s", "load s", "full s", "one label ms", "full/one"):
        table.add_column(heading, justify="left" if heading == "cni" else "right")
    for cni in WRITERS:
        measured(cni, 10, 100)  # what is imported and compiled once
        render_s, load_s, one_s = measured(cni, policies, pods)
        full_s = render_s + load_s
        words = (f"{render_s:.2f}", f"{load_s:.2f}", f"{full_s:.2f}", f"{one_s * 1000:.1f}", f"{full_s / one_s:.0f}")
        table.add_row(cni, *words)
    Console().print(table)
    Console().print(f"matrix of {MATRIX} x {MATRIX} Pods: {matrix_s(policies):.2f} s")


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or (1000, 2000))
