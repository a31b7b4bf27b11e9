"""One rule as a frozen value, and how iptables-save prints it.

A rule keeps the words it was written in and is taken apart when somebody looks inside, so that loading hundreds of
thousands of them is cheap.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import attrs

from fakecluster.rules.iptables.extensions import MATCHES, TARGETS
from fakecluster.rules.iptables.numbers import PROTOCOL_NAMES, address_text, bits, mask_of, mask_text


class Network(NamedTuple):
    """An address under a mask, perhaps inverted."""

    address: int
    mask: int
    inverted: bool = False


class Interface(NamedTuple):
    """An interface name; a trailing + is a wildcard."""

    name: str
    inverted: bool = False


class Protocol(NamedTuple):
    number: int
    inverted: bool = False


class Match(NamedTuple):
    """A match: its extension's name and that extension's frozen value."""

    name: str
    value: Any


class Target(NamedTuple):
    """Where the packet goes: a verdict ("ACCEPT", ...), a target extension with its value, or a user chain."""

    name: str
    value: Any = None
    goto: bool = False
    is_chain: bool = False


@attrs.frozen
class RuleParts:
    """What a rule says. `fragment` is "", "-f" or "! -f"; `target` None does nothing but count."""

    family: int
    src: Network | None = None
    dst: Network | None = None
    iif: Interface | None = None
    oif: Interface | None = None
    protocol: Protocol | None = None
    fragment: str = ""
    matches: tuple[Match, ...] = ()
    target: Target | None = None
    #: its text, once it was asked for: the same rules are printed again and again, by every node that has them
    _text: str = attrs.field(init=False, default="", eq=False, repr=False)

    def __str__(self) -> str:
        if not self._text:
            text = "".join(_header(self)) + "".join(map(match_text, self.matches)) + target_text(self.target)
            object.__setattr__(self, "_text", text.lstrip())
        return self._text


def _network_text(option: str, network: Network, family: int) -> str:
    sign = " !" if network.inverted else ""
    return f"{sign} {option} {address_text(network.address, family)}/{mask_text(network.mask, family)}"


def _interface_text(option: str, interface: Interface) -> str:
    return f"{' !' if interface.inverted else ''} {option} {interface.name}"


def _header(parts: RuleParts) -> list[str]:
    """The part before the matches, in iptables-save's order."""
    words = []
    if parts.src:
        words.append(_network_text("-s", parts.src, parts.family))
    if parts.dst:
        words.append(_network_text("-d", parts.dst, parts.family))
    if parts.iif and parts.iif.name:
        words.append(_interface_text("-i", parts.iif))
    if parts.oif and parts.oif.name:
        words.append(_interface_text("-o", parts.oif))
    if parts.protocol:
        name = PROTOCOL_NAMES.get(parts.protocol.number, str(parts.protocol.number))
        words.append(f"{' !' if parts.protocol.inverted else ''} -p {name}")
    if parts.fragment:
        words.append(f" {parts.fragment}")
    return words


def match_text(match: Match) -> str:
    extension = MATCHES[match.name]
    return f" -m {extension.saved or extension.name}{extension.text(match.value)}"


def target_text(target: Target | None) -> str:
    """` -j ...` or ` -g ...`, with the target's options."""
    if target is None:
        return ""
    extension = None if target.is_chain else TARGETS.get(target.name)
    options = extension.text(target.value) if extension else ""
    return f" {'-g' if target.goto else '-j'} {target.name}{options}"


def placed_name(match: Match) -> str:
    """What decides in which chains the match may stand: its name, of some with the option that matters."""
    if match.name == "addrtype" and match.value.limit:
        return f"addrtype --limit-iface-{match.value.limit}"
    if match.name == "physdev" and any(
        name.startswith(("physdev-out", "physdev-is-out")) for name, *_ in match.value.tests
    ):
        bridged = any(name == "physdev-is-bridged" and not inverted for name, _, inverted in match.value.tests)
        return "physdev" if bridged else "physdev --physdev-out"
    return match.name


_NOTHING: frozenset[str] = frozenset()
_DNAT, _MASQUERADE = frozenset(("DNAT",)), frozenset(("MASQUERADE",))


class Rule:
    """A rule in a chain. Never changed after it was made; two rules are alike when their `parts` are equal.

    `target` names the chain it jumps to ("" when it does not); `tracks` says that it makes the kernel track
    connections; `text` is what it was written as when it is of a plain shape.
    """

    __slots__ = ("_parts", "family", "target", "text", "tracks")

    def __init__(self, family: int, text: str, target: str, *, tracks: bool, parts: RuleParts | None = None) -> None:
        self.family, self.text, self.target, self.tracks, self._parts = family, text, target, tracks, parts

    @property
    def parts(self) -> RuleParts:
        if self._parts is None:
            from fakecluster.rules.iptables.shapes import take_apart

            self._parts = take_apart(self.text, self.family)
        return self._parts

    @property
    def plain(self) -> bool:
        """The rule was written in one of the shapes that need nothing but their chains."""
        return bool(self.text)

    def extensions(self) -> frozenset[str]:
        """The names of its matches and of its target; of a plain rule only those that need conntrack."""
        if self.text:
            if not self.tracks:
                return _NOTHING
            return _DNAT if " -j DNAT --to-destination " in self.text else _MASQUERADE
        target = self.parts.target
        names = set(map(placed_name, self.parts.matches))
        if target is not None and not target.is_chain:
            clamps = target.name == "TCPMSS" and target.value.mss is None
            names |= {target.name, "TCPMSS --clamp-mss-to-pmtu"} if clamps else {target.name}
        return frozenset(names)

    def __str__(self) -> str:
        return str(self.parts)

    def __repr__(self) -> str:
        return f"<Rule {self}>"


#: matches and targets that make the kernel track connections (nf_ct_netns_get() in their checkentry)
TRACKING_MATCHES = frozenset(("conntrack", "state", "connmark", "connbytes", "connlimit", "helper"))
TRACKING_TARGETS = frozenset(("DNAT", "SNAT", "MASQUERADE", "REDIRECT", "NETMAP", "CONNMARK"))


def rule_of(parts: RuleParts) -> Rule:
    """A rule from its parts."""
    target = parts.target
    tracks = any(match.name in TRACKING_MATCHES for match in parts.matches) or (
        target is not None and not target.is_chain and _target_tracks(target)
    )
    chain = target.name if target is not None and target.is_chain else ""
    return Rule(parts.family, "", chain, tracks=tracks, parts=parts)


def _target_tracks(target: Target) -> bool:
    """CT makes a template, which needs conntrack, unless all it says is not to track (xt_ct_tg_check)."""
    return target.name in TRACKING_TARGETS or (target.name == "CT" and not target.value.notrack)


def whole_mask(family: int) -> int:
    return mask_of(bits(family), family)
