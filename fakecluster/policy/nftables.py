"""Policies in the words of nft: a table of its own for each family, one transaction per change.

Pods are found by verdict maps, so that a packet's cost does not grow with the number of Pods. The base chains come just
before everything at priority filter; a drop there is final, an accept only ends this table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_network

from fakecluster.api.kinds_network.ip_text import Network
from fakecluster.policy.model import Block, Ports
from fakecluster.policy.names import SetName, comment_text, nftables_chain, set_name
from fakecluster.policy.program import Delta, NodeKernel
from fakecluster.policy.rules import POD_SIDE, Chain, ChainRule, Stage, Target

TABLE = "network-policies"
#: Just before kube-proxy's and everyone else's filter chains.
PRIORITY = "filter - 10"
#: nft's limit is 128 bytes with the end's zero.
MAX_COMMENT = 120
FAMILY = {4: "ip", 6: "ip6"}
_ADDRESS = {4: "ipv4_addr", 6: "ipv6_addr"}
_SIDE = {"src": "saddr", "dst": "daddr"}


class NftablesWriter:
    """Writes one family's table."""

    def __init__(self, family: int) -> None:
        self.family = family
        self._written = False
        self._stages: dict[str, None] = {}
        self._sets: set[str] = set()
        self._blocks: dict[Chain, tuple[Block, ...]] = {}

    @property
    def table(self) -> str:
        return f"{FAMILY[self.family]} {TABLE}"

    def fork(self) -> NftablesWriter:
        copy = NftablesWriter(self.family)
        copy._written, copy._stages, copy._sets = self._written, self._stages.copy(), self._sets.copy()
        copy._blocks = self._blocks.copy()
        return copy

    def write(self, delta: Delta, kernel: NodeKernel) -> None:
        """Bring the node up to date."""
        lines = list(self._lines(delta))
        if lines:
            kernel.run(["nft", "-f", "-"], "\n".join((*lines, "")))
            self._written = True

    def clear(self, kernel: NodeKernel) -> None:
        """Delete the table."""
        if self._written:
            kernel.run(["nft", "delete", "table", *self.table.split()])
        self._written, self._stages, self._sets, self._blocks = False, {}, set(), {}

    def _lines(self, delta: Delta) -> Iterator[str]:
        """One transaction: what is new, what goes where, and last what nothing refers to any more."""
        if not self._written:  # an earlier run may have left its table
            yield f"add table {self.table}"
            yield f"delete table {self.table}"
            yield f"add table {self.table}"
        yield from self._sets_made(delta)
        stages = {nftables_chain(stage.chain): stage for stage in delta.stages}
        chains = {nftables_chain(chain): rules for chain, rules in delta.chains.items()}
        for name in (*chains, *stages):
            yield f"add chain {self.table} {name}"
            yield f"flush chain {self.table} {name}"
        for name, rules in chains.items():
            yield from (f"add rule {self.table} {name} {self._rule(rule)}" for rule in rules)
        for name, stage in stages.items():
            yield from self._stage(name, stage)
        for change in delta.stage_changes:
            yield from self._pods("delete", nftables_chain(change.chain), change.removed)
            yield from self._pods("add", nftables_chain(change.chain), change.added)
        gone = [nftables_chain(chain) for chain in delta.gone]
        yield from (f"flush chain {self.table} {name}" for name in gone)  # they may lead to stages that go as well
        if stages:
            yield from self._entrance(next(iter(stages)))
            yield from self._old_stages(stages)
        yield from (f"delete chain {self.table} {name}" for name in gone)
        for name in (*map(set_name, delta.gone_sets), *self._unused_blocks()):
            self._sets.discard(name)
            yield f"delete set {self.table} {name}"

    # --- sets

    def _sets_made(self, delta: Delta) -> Iterator[str]:
        address = _ADDRESS[self.family]
        for key, members in delta.created.items():
            kind = f"{address} . inet_proto . inet_service" if isinstance(key, tuple) else address
            yield f"add set {self.table} {set_name(key)} {{ type {kind} ; }}"
            yield from self._elements("add", key, members.owners)
            members.added.clear()
            members.removed.clear()
        for key, members in delta.updated.items():
            yield from self._elements("delete", key, sorted(members.removed))
            yield from self._elements("add", key, sorted(members.added))
            members.added.clear()
            members.removed.clear()
        yield from self._new_blocks(delta)

    def _elements(self, verb: str, key: SetName, elements: Iterable[tuple[str, ...]]) -> Iterator[str]:
        words = ", ".join(" . ".join(element) for element in elements)
        if words:
            yield f"{verb} element {self.table} {set_name(key)} {{ {words} }}"

    def _new_blocks(self, delta: Delta) -> Iterator[str]:
        for chain in delta.gone:
            self._blocks.pop(chain, None)
        for chain, rules in delta.chains.items():
            blocks = tuple(rule.peer for rule in rules if isinstance(rule.peer, Block) and rule.peer.holes)
            self._blocks.pop(chain, None)
            if blocks:
                self._blocks[chain] = blocks
            for block in blocks:
                if set_name(block) not in self._sets:
                    self._sets.add(set_name(block))
                    kind = f"type {_ADDRESS[self.family]} ; flags interval ;"
                    yield f"add set {self.table} {set_name(block)} {{ {kind} }}"
                    yield from self._elements("add", block, ((word,) for word in networks(block)))

    def _unused_blocks(self) -> list[str]:
        used = {set_name(block) for blocks in self._blocks.values() for block in blocks}
        return sorted(self._sets - used)

    # --- rules

    def _entrance(self, first: str) -> Iterator[str]:
        for hook in ("forward", "output"):
            base = f"type filter hook {hook} priority {PRIORITY} ; policy accept ;"
            yield f"add chain {self.table} {hook} {{ {base} }}"
            yield f"flush chain {self.table} {hook}"
        yield f'add rule {self.table} output fib saddr type local return comment "the node reaches its Pods"'
        for hook in ("forward", "output"):
            yield f'add rule {self.table} {hook} ct state established,related return comment "replies pass"'
            yield f"add rule {self.table} {hook} goto {first}"

    def _stage(self, name: str, stage: Stage) -> Iterator[str]:
        pods = f"{name}-pods"
        yield f"add map {self.table} {pods} {{ type {_ADDRESS[self.family]} : verdict ; }}"
        yield f"flush map {self.table} {pods}"
        yield from self._pods("add", name, stage.pods)
        side = _SIDE[POD_SIDE[stage.chain.direction]]
        yield f"add rule {self.table} {name} {FAMILY[self.family]} {side} vmap @{pods}"
        yield f"add rule {self.table} {name} {_target(stage.otherwise, call=False)}"
        self._stages[name] = None

    def _pods(self, verb: str, stage: str, pods: Mapping[str, Chain]) -> Iterator[str]:
        if pods:
            words = ", ".join(f"{ip} : {_target(chain, call=False)}" for ip, chain in pods.items())
            yield f"{verb} element {self.table} {stage}-pods {{ {words} }}"

    def _old_stages(self, stages: dict[str, Stage]) -> Iterator[str]:
        """Stages that are not in use any more; first all of them are emptied: they lead to each other."""
        old = [name for name in self._stages if name not in stages]
        yield from (f"flush chain {self.table} {name}" for name in old)
        for name in old:
            del self._stages[name]
            yield f"delete map {self.table} {name}-pods"
            yield f"delete chain {self.table} {name}"

    def _rule(self, rule: ChainRule) -> str:
        words = []
        place = f"{FAMILY[self.family]} {_SIDE.get(rule.side, '')}"
        if rule.address:
            words.append(f"{place} {rule.address}")
        if isinstance(rule.peer, Block) and not rule.peer.holes:
            words += [f"{place} {rule.peer.cidr}"] if not rule.peer.cidr.endswith("/0") else []
        elif rule.peer is not None:
            words.append(f"{place} @{set_name(rule.peer)}")
        if rule.ports is not None:
            words.append(self._ports(rule.ports))
        words.append(_target(rule.target, call=rule.call))
        if rule.comment:
            words.append(f'comment "{comment_text(rule.comment, MAX_COMMENT)}"')
        return " ".join(words)

    def _ports(self, ports: Ports) -> str:
        protocol = ports.protocol.lower()
        if ports.name:
            named = set_name((ports.name, ports.protocol))
            return f"{FAMILY[self.family]} daddr . meta l4proto . th dport @{named}"
        if ports.is_every:
            return f"meta l4proto {protocol}"
        numbers = str(ports.first) if ports.first == ports.last else f"{ports.first}-{ports.last}"
        return f"{protocol} dport {numbers}"


def _target(target: Target, *, call: bool) -> str:
    return f"{'jump' if call else 'goto'} {nftables_chain(target)}" if isinstance(target, Chain) else target


def networks(block: Block) -> list[str]:
    """A block without its holes, as networks that do not overlap, in order."""
    left = [ip_network(block.cidr)]
    for hole in map(ip_network, block.holes):
        left = [piece for one in left for piece in _without(one, hole)]
    return [str(one) for one in sorted(left, key=lambda one: int(one.network_address))]


def _without(network: Network, hole: Network) -> Iterator[Network]:
    """What a hole of the same family leaves of a network."""
    first, last = int(hole.network_address), int(hole.broadcast_address)
    if last < int(network.network_address) or first > int(network.broadcast_address):
        yield network
    elif not (first <= int(network.network_address) and last >= int(network.broadcast_address)):
        for half in network.subnets():
            yield from _without(half, hole)
