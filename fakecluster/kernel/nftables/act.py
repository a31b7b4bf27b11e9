"""The statements that act: rejects, translations, assignments, logs, changes of sets."""

from __future__ import annotations

from typing import Any

from fakecluster.errors import Unsupported
from fakecluster.kernel import hooks
from fakecluster.kernel.conntrack.entry import UNTRACKED
from fakecluster.kernel.nat_range import NatRange
from fakecluster.kernel.nftables import stateful
from fakecluster.kernel.nftables.compile_expression import data_value, finder, getter
from fakecluster.kernel.nftables.program import ACCEPT, BREAK, DROP, Answer, Getter, Operation, Packet
from fakecluster.kernel.nftables.read_payload import write, write_option
from fakecluster.kernel.reject import reject as send_reject
from fakecluster.rules.nft.expressions import Ct, Element, Expression, Meta, Payload, Prefix, Range, TcpOption
from fakecluster.rules.nft.intervals import bounds
from fakecluster.rules.nft.reject_words import ICMP_WORDS, ICMPV6_WORDS, ICMPX_CODES
from fakecluster.rules.nft.statements import (
    Assign,
    ConnLimit,
    Log,
    MapName,
    Named,
    Nat,
    Notrack,
    Reject,
    SetUpdate,
    Tproxy,
)  # fmt: skip


def reject(statement: Reject, _place: object, _family: str) -> Operation:
    """nft_reject: answer, then drop."""
    words = _reject_words(statement)

    def run(packet: Packet) -> Answer:
        word = words.get(packet.skb.family)
        if word is not None:
            send_reject(packet.skb, packet.ctx, word)
        return DROP

    return run


def _reject_words(statement: Reject) -> dict[int, str]:
    if statement.kind == "tcp":
        return {4: "tcp-reset", 6: "tcp-reset"}
    codes4, codes6 = {"icmp": (statement.code, None), "icmpv6": (None, statement.code)}.get(
        statement.kind, ICMPX_CODES.get(statement.code, (None, None))
    )
    words = {}
    if codes4 is not None:
        words[4] = _known(ICMP_WORDS, codes4, statement)
    if codes6 is not None:
        words[6] = _known(ICMPV6_WORDS, codes6, statement)
    return words


def _known(words: dict[int, str], code: int, statement: Reject) -> str:
    if code not in words:
        raise Unsupported(f"reject with {statement.kind} code {code}")
    return words[code]


def nat(statement: Nat, place: object, _family: str) -> Operation:
    """nft_nat, nft_masq, nft_redir: set the flow up; the chain ends with what that gives."""
    flags = {
        "random": "random" in statement.flags,
        "fully_random": "fully-random" in statement.flags,
        "persistent": "persistent" in statement.flags,
    }
    address, port = _bounds_getter(statement.address, (place, "a")), _bounds_getter(statement.port, (place, "p"))
    manip = "src" if statement.kind == "snat" else "dst"
    wanted = {"ip": 4, "ip6": 6}.get(statement.family)

    def run(packet: Packet) -> Answer:
        skb, ctx, nat_table = packet.skb, packet.ctx, packet.ruleset.netns.nat
        if wanted is not None and skb.family != wanted:
            return BREAK
        addresses, ports = address(packet), port(packet)
        if addresses is None or ports is None:
            return BREAK
        if len(addresses) == 4:
            addresses, ports = addresses[:2], addresses[2:]
        target = NatRange(*addresses, *ports, **flags)
        if statement.kind == "masquerade":
            verdict = nat_table.masquerade(skb, ctx, target)
        elif statement.kind == "redirect":
            verdict = nat_table.redirect(skb, ctx, target)
        else:
            verdict = nat_table.setup(skb, target, manip)
        return ACCEPT if verdict == hooks.ACCEPT else DROP

    return run


def _bounds_getter(expression: Expression | None, place: object) -> Getter:
    """A function that gives (low, high), or (low, high, low port, high port) for a joined answer."""
    if expression is None:
        return lambda packet: (None, None)
    if isinstance(expression, Range | Prefix):
        fixed = bounds(expression, expression.datatype.bits)
        return lambda packet: fixed
    read = getter(expression, place)

    def value(packet: Packet) -> Any:
        found = read(packet)
        if found is None:
            return None
        if isinstance(found, tuple):
            return found[0], found[0], found[1], found[1]
        if isinstance(found, Range | Prefix):
            return bounds(found, found.datatype.bits)
        return found, found

    return value


def assign(statement: Assign, place: object, _family: str) -> Operation:
    """``meta mark set``, ``ct mark set``, header fields and TCP options."""
    target, read = statement.target, getter(statement.value, place)
    if isinstance(target, Meta):
        return _set_meta(target, read)
    if isinstance(target, Ct):
        return _set_ct(target, read)
    return _set_field(target, read)


def _set_meta(target: Meta, read: Getter) -> Operation:
    field = {"mark": "mark", "priority": "priority"}.get(target.key)
    if target.key == "nftrace":
        return lambda packet: None
    if field is None:
        raise Unsupported(f"meta {target.key} set", token=target.key)

    def run(packet: Packet) -> Answer:
        value = read(packet)
        if value is None:
            return BREAK
        setattr(packet.skb, field, value)
        return None

    return run


def _set_ct(target: Ct, read: Getter) -> Operation:
    def mark(packet: Packet) -> Answer:
        value = read(packet)
        conn = packet.skb.ct
        if value is None:
            return BREAK
        if conn is not None:
            conn.mark = value
        return None

    def zone(packet: Packet) -> Answer:
        value = read(packet)
        if value is None:
            return BREAK
        if packet.skb.ct is None:
            way = {"original": "original", "reply": "reply"}.get(target.direction, "both")
            packet.skb.zone_tmpl = packet.ruleset.netns.conntrack.new_template(zone=value, direction=way)
        return None

    return mark if target.key == "mark" else zone


def _set_field(target: Payload | TcpOption, read: Getter) -> Operation:
    def run(packet: Packet) -> Answer:
        value = read(packet)
        if value is None:
            return BREAK
        if isinstance(target, TcpOption):
            return None if write_option(target, packet.skb, value) else BREAK
        return None if write(target, packet.skb, value) else BREAK

    return run


def notrack(_statement: Notrack, _place: object, _family: str) -> Operation:
    """nft_notrack: only before conntrack has seen the packet."""

    def run(packet: Packet) -> Answer:
        if packet.skb.ct is None and packet.skb.zone_tmpl is None and packet.skb.ctinfo != UNTRACKED:
            packet.skb.ctinfo = UNTRACKED
        return None

    return run


def log(statement: Log, _place: object, _family: str) -> Operation:
    """nft_log: to a group, or to the kernel's log (group None)."""

    def run(packet: Packet) -> Answer:
        packet.ruleset.netns.log(packet.skb, packet.ctx, statement.group, statement.prefix)
        return None

    return run


def named(statement: Named, place: object, _family: str) -> Operation:
    """A reference to a named counter, quota or limit (nft_objref)."""
    kind, name = statement.kind, statement.name
    find = finder(name.source, name.key, place) if isinstance(name, MapName) else None

    def run(packet: Packet) -> Answer:
        wanted: object = name
        if find is not None:
            element = find(packet)
            if not isinstance(element, Element):
                return BREAK
            wanted = data_value(element.data)
        found = packet.table.objects.get((kind, str(wanted)))
        if found is None:
            return BREAK
        now = packet.now_ns
        spec = found.spec
        state = packet.ruleset.state(packet.table, (kind, spec.name), lambda: stateful.initial(spec.state, now))
        if kind == "counter":
            stateful.count(state, packet.skb)
            return None
        return None if stateful.passes(spec.state, state, len(packet.skb.data), now) else BREAK

    return run


def connlimit(statement: ConnLimit, place: object, _family: str) -> Operation:
    """``ct count``: how many flows that met this rule are still tracked (nf_conncount)."""

    def run(packet: Packet) -> Answer:
        conn = packet.skb.ct
        if conn is None:
            return DROP if packet.skb.ctinfo != UNTRACKED else BREAK
        count = packet.ruleset.count_flows(packet.table, place, conn)
        return None if (count > statement.count) == statement.over else BREAK

    return run


def update(statement: SetUpdate, place: object, _family: str) -> Operation:
    """nft_dynset: the packet adds, refreshes or deletes an element."""
    key_of, element = statement.element.key, statement.element
    assert key_of is not None
    read = getter(key_of, place)
    data = getter(element.data, (place, "d")) if element.data is not None else None

    def run(packet: Packet) -> Answer:
        key = read(packet)
        if key is None:
            return BREAK
        answer = None if data is None else data(packet)
        if data is not None and answer is None:
            return BREAK
        return None if packet.ruleset.update_set(packet, statement, key, answer) else BREAK

    return run


def tproxy(statement: Tproxy, place: object, _family: str) -> Operation:
    """nft_tproxy: hand the packet to a local socket without changing it."""
    address = getter(statement.address, (place, "a")) if statement.address is not None else None
    port = getter(statement.port, (place, "p")) if statement.port is not None else None
    wanted = {"ip": 4, "ip6": 6}.get(statement.family)

    def run(packet: Packet) -> Answer:
        skb, netns = packet.skb, packet.ruleset.netns
        if (wanted is not None and skb.family != wanted) or not skb.has_ports:
            return BREAK
        target = address(packet) if address else netns.addresses.primary(skb.iif, skb.family) or skb.dst
        target_port = port(packet) if port else skb.dport
        found = netns.sockets.lookup(skb.family, skb.proto, skb.src, skb.sport, skb.dst, skb.dport, skb.iif)
        if found is None or not found.address:
            found = netns.sockets.lookup(skb.family, skb.proto, skb.src, skb.sport, target, target_port, skb.iif)
        if found is None or not found.transparent:
            return BREAK
        skb.sock = found
        return None

    return run
