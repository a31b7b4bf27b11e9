"""What network policies cost: rules from nothing, one change, the matrix of who may talk to whom.

All Pods are on the node that is measured, so that every policy is active: the sum of what the nodes of a cluster do. Times
are this process's own. "render" is the agent's work, "load" what ipset, iptables-restore and nft take; a change is a Pod's
label that makes it a peer ("peer") or the subject of another policy ("subject"), both rendered and loaded.

Run: python benchmarks/policy.py [--quick]
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable, Sequence
from statistics import median
from time import process_time

import attrs
from rich.console import Console
from rich.table import Table

from fakecluster.kernel.netns import Netns
from fakecluster.policy.admin import admin_policy_of
from fakecluster.policy.iptables import IptablesWriter
from fakecluster.policy.model import Policy, PolicyPod, network_policy_of
from fakecluster.policy.nftables import NftablesWriter
from fakecluster.policy.program import PolicyProgram, RuleWriter
from fakecluster.policy.reach import Judge, Place, Surroundings, judge
from fakecluster.policy.view import Changed

WRITERS: dict[str, Callable[[int], RuleWriter]] = {"iptables": IptablesWriter, "nftables": NftablesWriter}
SPACES, APPS, CHANGES = 50, 20, 9
#: Columns that the tables need.
WIDTH = 120
#: What is aimed at, in seconds, for the full sizes.
FULL_AIM_S, MATRIX_AIM_S = 5.0, 10.0


@attrs.define
class TimedNode:
    """Passes commands to a namespace, counts their lines and adds up how long they take."""

    netns: Netns
    load_s: float = 0.0
    lines: int = 0

    def run(self, command: Sequence[str], stdin: str = "") -> str:
        self.lines += stdin.count("\n")
        begin = process_time()
        try:
            return self.netns.run(command, stdin)
        finally:
            self.load_s += process_time() - begin


def pod(number: int, *, app: int = -1, peer: bool = False) -> PolicyPod:
    labels = {"app": f"app{number // SPACES % APPS if app < 0 else app}", **({"peer": "yes"} if peer else {})}
    address = f"10.{number // 65536}.{number // 256 % 256}.{number % 256}"
    return PolicyPod(f"space{number % SPACES}", f"pod{number}", "here", labels, (address,), (("http", "TCP", 80),))


def policy(number: int) -> Policy:
    space = f"space{number % SPACES}"
    own = {"matchLabels": {"app": f"app{number // SPACES % APPS}"}}
    peer = {"matchLabels": {"app": f"app{(number + 1) // SPACES % APPS}"}}
    other = {"matchLabels": {"space": f"space{(number + 7) % SPACES}"}}
    marked = {"matchLabels": {"peer": "yes"}}
    peers = [{"podSelector": peer}, {"podSelector": marked}, {"namespaceSelector": other}]
    rule = {"from": peers, "ports": [{"protocol": "TCP", "port": 80}]}
    spec = {"podSelector": own, "policyTypes": ["Ingress"], "ingress": [rule]}
    return network_policy_of({"metadata": {"namespace": space, "name": f"policy{number}"}, "spec": spec})


def guard(number: int) -> Policy:
    """One of an administrator's policies, about a namespace each."""
    subject = {"namespaces": {"matchLabels": {"space": f"space{number % SPACES}"}}}
    peer = {"namespaces": {"matchLabels": {"space": f"space{(number + 9) % SPACES}"}}}
    spec = {"priority": number, "subject": subject, "ingress": [{"action": "Deny", "from": [peer]}]}
    return admin_policy_of({"metadata": {"name": f"guard{number}"}, "spec": spec})


def everything(policies: int, pods: int, guards: int) -> Changed:
    spaces = {f"space{number}": {"space": f"space{number}"} for number in range(SPACES)}
    made = [pod(number) for number in range(pods)]
    chosen = [*map(policy, range(policies)), *map(guard, range(guards))]
    return Changed(dict(spaces), {one.key: one for one in made}, {one.key: one for one in chosen})


def changes_s(program: PolicyProgram, node: TimedNode, changed: Callable[[int], PolicyPod]) -> tuple[float, int]:
    """Seconds and lines of the median change, each of another Pod."""
    taken, lines = [], []
    for number in range(1, CHANGES + 1):
        one, before, begin = changed(number), node.lines, process_time()
        program.sync(Changed(pods={one.key: one}), node)
        taken.append(process_time() - begin)
        lines.append(node.lines - before)
    return median(taken), int(median(lines))


def row(cni: str, policies: int, pods: int, guards: int) -> list[str]:
    node, program = TimedNode(Netns("node")), PolicyProgram("here", 4, WRITERS[cni](4))
    state = everything(policies, pods, guards)
    gc.collect()
    begin = process_time()
    program.sync(state, node)
    full_s, load_s = process_time() - begin, node.load_s
    peer_s, peer_lines = changes_s(program, node, lambda number: pod(number, peer=True))
    subject_s, subject_lines = changes_s(program, node, lambda number: pod(number, app=number % APPS + 1))
    kinds = f"{policies}+{guards}" if guards else f"{policies}"
    return [
        cni, kinds, f"{pods}", f"{full_s - load_s:.2f}", f"{load_s:.2f}", f"{full_s:.2f}", f"{full_s / FULL_AIM_S:.2f}",
        f"{peer_s * 1000:.2f} ({peer_lines})", f"{subject_s * 1000:.2f} ({subject_lines})", f"{full_s / subject_s:.0f}",
    ]  # fmt: skip


def matrix(policies: int, pods: int) -> list[str]:
    """The whole matrix, and one cell for comparison."""
    state = everything(policies, pods, 20)
    places = [Place(one.name, one.ip(4), one) for one in state.pods.values() if one is not None]
    chosen = [one for one in state.policies.values() if one is not None]
    around = Surroundings({name: labels for name, labels in state.namespaces.items() if labels is not None})
    begin = process_time()
    decided: Judge = judge(places, chosen, around, "TCP", 80)
    allowed = sum(decided.is_allowed(source, target) for source in range(pods) for target in range(pods))
    taken = process_time() - begin
    return [f"{pods} x {pods}", f"{policies}+20", f"{allowed}", f"{taken:.2f}", f"{taken / MATRIX_AIM_S:.3f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller sizes")
    quick = parser.parse_args().quick
    sizes = (
        [(100, 200, 0), (200, 400, 0)] if quick else [(250, 500, 0), (500, 1000, 0), (1000, 2000, 0), (1000, 2000, 50)]
    )
    console = Console(width=max(Console().width, WIDTH))
    table = Table(title=f"policies on one node; the aim is {FULL_AIM_S:.0f} s for 1000 and 2000 Pods")
    headings = ("cni", "policies", "Pods", "render s", "load s", "full s", "of the aim",
                "peer ms (lines)", "subject ms (lines)", "full/subject")  # fmt: skip
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "cni" else "right")
    for cni in WRITERS:
        row(cni, 10, 100, 2)  # what is imported and compiled once
        for size in sizes:
            table.add_row(*row(cni, *size))
    console.print(table)
    who = Table(title=f"who may talk to whom, one port, by structure; the aim is {MATRIX_AIM_S:.0f} s for 500 x 500")
    for heading in ("matrix", "policies", "allowed", "s", "of the aim"):
        who.add_column(heading, justify="right")
    for pods in (100, 200) if quick else (125, 250, 500):
        who.add_row(*matrix(2 * pods, pods))
    console.print(who)


if __name__ == "__main__":
    main()
