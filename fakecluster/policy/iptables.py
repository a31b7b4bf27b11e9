"""Policies in the words of ipset and iptables-restore.

What an earlier run has left behind is taken over with the first change: its sets are filled anew, its chains replaced or
deleted. The rules stand in table mangle: what other components accept in table filter (kube-proxy accepts marked packets there)
must not hide a denial, whoever inserted its rules last. Sets are made before the rules that use them and destroyed after
them; everything else is one iptables-restore, which replaces the chains that changed as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fakecluster.errors import CommandError
from fakecluster.policy.model import Block, Ports
from fakecluster.policy.names import SetName, comment_text, iptables_chain, set_name
from fakecluster.policy.program import Delta, NodeKernel
from fakecluster.policy.rules import POD_SIDE, Chain, ChainRule, Stage, Target
from fakecluster.policy.view import Element

WAIT = ("-w", "5")
TOOL = {4: "iptables", 6: "ip6tables"}
TABLE = "mangle"
FORWARD, OUTPUT = "NP-FORWARD", "NP-OUTPUT"
HOOKS = {"FORWARD": FORWARD, "OUTPUT": OUTPUT}
JUMP_COMMENT = "network policies"
#: Elements that a set may have (ipset's own default is 65536).
MAX_ELEMENTS = 1 << 20
#: xt_comment takes 255 bytes.
MAX_COMMENT = 240
_BITS = {4: 32, 6: 128}
_FAMILY = {4: "inet", 6: "inet6"}
_SIDE_FLAG = {"src": "-s", "dst": "-d"}


class IptablesWriter:
    """Writes one family's rules."""

    def __init__(self, family: int) -> None:
        self.family = family
        self._hooked = False
        self._chains: set[str] = set()
        self._sets: set[str] = set()
        #: sets of an earlier run, until the first change has been written
        self._found: set[str] = set()
        #: the blocks that need a set, by the chain that uses them
        self._blocks: dict[Chain, tuple[Block, ...]] = {}

    def fork(self) -> IptablesWriter:
        copy = IptablesWriter(self.family)
        copy._hooked, copy._chains, copy._sets = self._hooked, self._chains.copy(), self._sets.copy()
        copy._found = self._found.copy()
        copy._blocks = self._blocks.copy()
        return copy

    def write(self, delta: Delta, kernel: NodeKernel) -> None:
        """Bring the node up to date: sets, rules, then away with what is not used any more."""
        if not self._hooked:
            self._take_over(kernel)
        blocks = self._replace_blocks(delta)
        made = "".join((*self._created(delta, blocks), *self._updated(delta)))
        if made:
            kernel.run(["ipset", "restore"], made)
        rules = self._rules(delta)
        if rules:
            kernel.run([f"{TOOL[self.family]}-restore", *WAIT, "--noflush"], rules)
        if not self._hooked:
            self._hook(kernel)
        gone = [*map(self._set, delta.gone_sets), *self._unused_blocks(), *sorted(self._found - self._sets)]
        self._found = set()
        if gone:
            kernel.run(["ipset", "restore"], "".join(f"destroy {name}\n" for name in gone))
            self._sets.difference_update(gone)

    def _take_over(self, kernel: NodeKernel) -> None:
        """Find what an earlier run has left on the node."""
        saved = kernel.run([f"{TOOL[self.family]}-save", "-t", TABLE])
        names = (line[1:].split()[0] for line in saved.splitlines() if line.startswith(":NP-"))
        self._chains = {name for name in names if name not in (FORWARD, OUTPUT)}
        self._found = {name for name in kernel.run(["ipset", "list", "-n"]).split() if name.startswith(self._prefix)}

    def clear(self, kernel: NodeKernel) -> None:
        """Unhook and delete every chain and set."""
        if not self._hooked:
            return
        lines = [f"-D {hook} {_jump(chain)}\n" for hook, chain in HOOKS.items()]
        chains = [FORWARD, OUTPUT, *sorted(self._chains)]
        lines = [*(f":{chain} - [0:0]\n" for chain in chains), *lines, *(f"-X {chain}\n" for chain in chains)]
        kernel.run([f"{TOOL[self.family]}-restore", *WAIT, "--noflush"], f"*{TABLE}\n{''.join(lines)}COMMIT\n")
        if self._sets:
            kernel.run(["ipset", "restore"], "".join(f"destroy {name}\n" for name in sorted(self._sets)))
        self._hooked, self._chains, self._sets, self._blocks = False, set(), set(), {}

    # --- sets

    @property
    def _prefix(self) -> str:
        return f"NP{self.family}-"

    def _set(self, name: SetName) -> str:
        return f"{self._prefix}{set_name(name)}"

    def _new(self, name: str, kind: str) -> str:
        """Makes a set, or empties the one that is there: equal names mean equal types."""
        self._sets.add(name)
        if name in self._found:
            return f"flush {name}\n"
        return f"create {name} {kind} family {_FAMILY[self.family]} maxelem {MAX_ELEMENTS}\n"

    def _replace_blocks(self, delta: Delta) -> dict[str, Block]:
        """Note which chains use which blocks; returns those that have no set yet."""
        for chain in delta.gone:
            self._blocks.pop(chain, None)
        found: dict[str, Block] = {}
        for chain, rules in delta.chains.items():
            blocks = tuple(rule.peer for rule in rules if isinstance(rule.peer, Block) and rule.peer.holes)
            self._blocks.pop(chain, None)
            if blocks:
                self._blocks[chain] = blocks
            found |= {self._set(block): block for block in blocks}
        return {name: block for name, block in found.items() if name not in self._sets}

    def _unused_blocks(self) -> list[str]:
        used = {self._set(block) for blocks in self._blocks.values() for block in blocks}
        start = f"{self._prefix}NET-"
        return sorted(name for name in self._sets if name.startswith(start) and name not in used)

    def _created(self, delta: Delta, blocks: Mapping[str, Block]) -> Iterator[str]:
        for key, members in delta.created.items():
            name = self._set(key)
            yield self._new(name, "hash:ip,port" if isinstance(key, tuple) else "hash:ip")
            yield from (f"add {name} {_element(element)}\n" for element in members.owners)
            members.added.clear()
            members.removed.clear()
        for name, block in sorted(blocks.items()):
            yield self._new(name, "hash:net")
            yield from (f"add {name} {word}\n" for word in _block_elements(block))

    def _updated(self, delta: Delta) -> Iterator[str]:
        for key, members in delta.updated.items():
            name = self._set(key)
            yield from (f"del {name} {_element(element)}\n" for element in sorted(members.removed))
            yield from (f"add {name} {_element(element)}\n" for element in sorted(members.added))
            members.added.clear()
            members.removed.clear()

    # --- rules

    def _rules(self, delta: Delta) -> str:
        chains = {iptables_chain(chain): [self._line(rule) for rule in rules] for chain, rules in delta.chains.items()}
        chains |= {iptables_chain(stage.chain): list(_stage_lines(stage)) for stage in delta.stages}
        gone = [iptables_chain(chain) for chain in delta.gone]
        if delta.stages:
            of_stages = [name for name in self._chains if not self._hooked or _is_stage(name)]
            gone += sorted(name for name in of_stages if name not in chains and name not in gone)
            chains |= _entrance(iptables_chain(delta.stages[0].chain))
        if not chains and not gone and not delta.stage_changes:
            return ""
        self._chains.update(name for name in chains if name not in (FORWARD, OUTPUT))
        self._chains.difference_update(gone)
        text = [f":{name} - [0:0]\n" for name in (*chains, *gone)]
        text += [f"-A {name} {line}\n" for name, lines in chains.items() for line in lines]
        for change in delta.stage_changes:
            name = iptables_chain(change.chain)
            text += [f"-D {name} {_pod_line(change.chain, *entry)}\n" for entry in change.removed.items()]
            text += [f"-I {name} 1 {_pod_line(change.chain, *entry)}\n" for entry in change.added.items()]
        text += [f"-X {name}\n" for name in gone]
        return f"*{TABLE}\n{''.join(text)}COMMIT\n"

    def _line(self, rule: ChainRule) -> str:
        words = []
        if rule.address:
            words.append(f"{_SIDE_FLAG[rule.side]} {rule.address}/{_BITS[self.family]}")
        if isinstance(rule.peer, Block) and not rule.peer.holes:
            words.append(f"{_SIDE_FLAG[rule.side]} {rule.peer.cidr}")
        if rule.ports is not None:
            words += self._ports(rule.ports)
        if rule.peer is not None and (not isinstance(rule.peer, Block) or rule.peer.holes):
            words.append(f"-m set --match-set {self._set(rule.peer)} {rule.side}")
        if rule.comment:
            words.append(f'-m comment --comment "{comment_text(rule.comment, MAX_COMMENT)}"')
        return " ".join((*words, _target(rule.target, call=rule.call)))

    def _ports(self, ports: Ports) -> Iterator[str]:
        protocol = ports.protocol.lower()
        if ports.name:
            if protocol:
                yield f"-p {protocol}"
            yield f"-m set --match-set {self._set((ports.name, ports.protocol))} dst,dst"
        elif ports.is_every:
            yield f"-p {protocol}"
        else:
            numbers = str(ports.first) if ports.first == ports.last else f"{ports.first}:{ports.last}"
            yield f"-p {protocol} -m {protocol} --dport {numbers}"

    def _hook(self, kernel: NodeKernel) -> None:
        """Lead the built-in chains through ours, unless they do already."""
        start = (TOOL[self.family], *WAIT, "-t", TABLE)
        for hook, chain in HOOKS.items():
            rule = ("-m", "comment", "--comment", JUMP_COMMENT, "-j", chain)
            try:
                kernel.run([*start, "-C", hook, *rule])
            except CommandError as error:
                if error.status != 1:  # 1: no such rule
                    raise
                kernel.run([*start, "-I", hook, *rule])
        self._hooked = True


def _jump(chain: str) -> str:
    return f'-m comment --comment "{JUMP_COMMENT}" -j {chain}'


def _entrance(first: str) -> dict[str, list[str]]:
    """What is judged at all: what is forwarded or IPVS sends on, and belongs to no established connection."""
    established = '-m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment "replies pass" -j RETURN'
    own = '-m addrtype --src-type LOCAL -m comment --comment "the node reaches its Pods" -j RETURN'
    return {FORWARD: [established, f"-g {first}"], OUTPUT: [own, established, f"-g {first}"]}


def _is_stage(name: str) -> bool:
    return name.startswith(("NP-INGRESS", "NP-EGRESS"))


def _stage_lines(stage: Stage) -> Iterator[str]:
    yield from (_pod_line(stage.chain, address, chain) for address, chain in stage.pods.items())
    yield _target(stage.otherwise, call=False)


def _pod_line(stage: Chain, address: str, chain: Chain) -> str:
    """How a stage sends one Pod's packets to its chain."""
    flag, bits = _SIDE_FLAG[POD_SIDE[stage.direction]], _BITS[6 if ":" in address else 4]
    comment = comment_text(f"{chain.direction.lower()} of {chain.what}", MAX_COMMENT)
    return f'{flag} {address}/{bits} -m comment --comment "{comment}" {_target(chain, call=False)}'


def _target(target: Target, *, call: bool) -> str:
    if isinstance(target, Chain):
        return f"{'-j' if call else '-g'} {iptables_chain(target)}"
    return f"-j {target.upper()}"


def _element(element: Element) -> str:
    """`10.0.0.1`, or `10.0.0.1,tcp:80`."""
    return element[0] if len(element) == 1 else f"{element[0]},{element[1]}:{element[2]}"


def _block_elements(block: Block) -> Iterator[str]:
    """The elements of a set of networks; it cannot hold a network of prefix 0, but its two halves."""
    holes = dict.fromkeys(block.holes)
    halves = {"0.0.0.0/0": ("0.0.0.0/1", "128.0.0.0/1"), "::/0": ("::/1", "8000::/1")}
    yield from (word for word in halves.get(block.cidr, (block.cidr,)) if word not in holes)
    yield from (f"{word} nomatch" for word in holes)
