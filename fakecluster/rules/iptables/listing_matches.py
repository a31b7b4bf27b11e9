"""The words of each match in `iptables -L`, which are not those of iptables-save.

Every entry gives what the match prints behind the columns, with the space before it. Source: print() of each extension
in extensions/ of iptables 1.8.9.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from fakecluster.rules.iptables.extensions import MATCHES
from fakecluster.rules.iptables.match_content import StringMatch, U32Match, pattern_text
from fakecluster.rules.iptables.match_flow import (
    CT_ADDRESSES,
    ConnbytesMatch,
    ConnlimitMatch,
    ConntrackMatch,
    HelperMatch,
    MarkMatch,
    ct_value,
    mark_text,
)
from fakecluster.rules.iptables.match_hashlimit import HashlimitMatch, bucket_words, rate_words
from fakecluster.rules.iptables.match_header import (
    ADDRESS_TYPES,
    TOS_NAMES,
    AddrtypeMatch,
    DscpMatch,
    IprangeMatch,
    TosMatch,
    TtlMatch,
)
from fakecluster.rules.iptables.match_message import ICMP6_TYPES, ICMP_TYPES, FragMatch, IcmpMatch, RangeMatch
from fakecluster.rules.iptables.match_packet import CommentMatch, CpuMatch, MacMatch, OwnerMatch, PkttypeMatch
from fakecluster.rules.iptables.match_rate import (
    LIMIT_SCALE,
    LimitMatch,
    QuotaMatch,
    RecentMatch,
    StatisticMatch,
    rate_text,
)
from fakecluster.rules.iptables.match_transport import (
    EVERY_PORT,
    SCTP_CHUNKS,
    MultiportMatch,
    PortsMatch,
    Range,
    SctpMatch,
    TcpMatch,
    flags_text,
)
from fakecluster.rules.iptables.numbers import U16, U32, address_name, address_text, service_name
from fakecluster.rules.iptables.option import range_text


@attrs.frozen
class Shown:
    """How a rule is shown: with numbers only (-n) or with names, and which protocol its ports belong to."""

    numeric: bool
    protocol: int = 0

    def port(self, number: int) -> str:
        """A port by its number or its service's name."""
        return str(number) if self.numeric else service_name(number, self.protocol)


Words = Callable[[Any, Shown], str]


def _sign(inverted: bool) -> str:
    return "!" if inverted else ""


def _port(name: str, span: Range, inverted: bool, shown: Shown) -> str:
    if span == EVERY_PORT and not inverted:
        return ""
    low, high = span
    if low == high:
        return f" {name}:{_sign(inverted)}{shown.port(low)}"
    return f" {name}s:{_sign(inverted)}{shown.port(low)}:{shown.port(high)}"


def _ports(name: str) -> Words:
    def words(value: PortsMatch, shown: Shown) -> str:
        source = _port("spt", value.sport, value.not_sport, shown)
        return f" {name}{source}{_port('dpt', value.dport, value.not_dport, shown)}"

    return words


def _tcp(value: TcpMatch, shown: Shown) -> str:
    text = _ports("tcp")(value, shown)
    if value.option or value.not_option:
        text += f" option={_sign(value.not_option)}{value.option}"
    mask, wanted = value.flags
    if mask or value.not_flags:
        both = f"0x{mask:02X}/0x{wanted:02X}" if shown.numeric else f"{flags_text(mask)}/{flags_text(wanted)}"
        text += f" flags:{_sign(value.not_flags)}{both}"
    return text


def _sctp(value: SctpMatch, shown: Shown) -> str:
    text = _ports("sctp")(value, shown)
    if not value.scope:
        return text
    names = [name for name, *_ in value.chunks]
    chunks = value.shown or ",".join(f"0x{SCTP_CHUNKS[name]:04X}" if shown.numeric else name for name in names)
    return f"{text}{' !' if value.not_chunks else ''} {value.scope} {chunks}"


def _multiport(value: MultiportMatch, shown: Shown) -> str:
    ranges = (shown.port(low) + ("" if low == high else f":{shown.port(high)}") for low, high in value.ranges)
    return f" multiport {value.side} {' !' if value.inverted else ''}{','.join(ranges)}"


def _icmp(protocol: str, names: dict[str, tuple[int, int, int]]) -> Words:
    def words(value: IcmpMatch, shown: Shown) -> str:
        asked = (value.type, *value.codes)
        name = next((name for name, known in names.items() if known == asked), "")
        if name and not shown.numeric:
            return f" {protocol} {_sign(value.inverted)}{name}"
        text = f" {protocol}{' !' if value.inverted else ''}type {value.type}"
        low, high = value.codes
        return text + (f" code {low}" if low == high else f" codes {low}-{high}" if value.codes != (0, 255) else "")

    return words


def _range(title: str) -> Words:
    return lambda value, _shown: f" {title} {_sign(value.inverted)}{range_text(value.low, value.high)}"


def _spi(value: RangeMatch, _shown: Shown) -> str:
    if (value.low, value.high) == (0, U32) and not value.inverted:
        return " esp"
    plural = "" if value.low == value.high else "s"
    return f" esp spi{plural}:{_sign(value.inverted)}{range_text(value.low, value.high)}"


_FRAG_WORDS = {"fragres": "reserved", "fragfirst": "first", "fragmore": "more", "fraglast": "last"}


def _frag(value: FragMatch, _shown: Shown) -> str:
    text = " frag "
    if value.ids != (0, U32) or value.not_ids:
        text += f"id{'' if value.ids[0] == value.ids[1] else 's'}:{_sign(value.not_ids)}{range_text(*value.ids)}"
    if value.length is not None:
        text += f" length:{_sign(value.not_length)}{value.length}"
    return text + "".join(f" {_FRAG_WORDS[name]}" for name in value.tests)


def _ct_value(name: str, value: object, family: int, shown: Shown) -> str:
    """One test's value; an address by its name, any one of zeros as `anywhere`."""
    text = ct_value(name, value, family)
    if shown.numeric or name not in CT_ADDRESSES or not isinstance(value, tuple):
        return text
    slash, mask = text.partition("/")[1:]
    return f"{address_name(value[0], family)}{slash}{mask}" if value[0] else "anywhere"


def _conntrack(value: ConntrackMatch, shown: Shown) -> str:
    text = ""
    for name, test in value.tests:
        called = "state" if value.is_state else name
        text += f"{' !' if test.inverted else ''} {called} {_ct_value(name, test.value, value.family, shown)}"
    return text


def _mark(value: MarkMatch, _shown: Shown) -> str:
    return f" mark match{' !' if value.inverted else ''} {mark_text(value.value, value.mask)}"


def _connmark(value: MarkMatch, _shown: Shown) -> str:
    return f" connmark match {_sign(value.inverted)} {mark_text(value.value, value.mask)}"


def _connbytes(value: ConnbytesMatch, _shown: Shown) -> str:
    span = MATCHES["connbytes"].text(value)
    return (
        span.replace(" --connbytes ", " connbytes ")
        .replace(" --connbytes-", " connbytes ")
        .replace("dir ", "direction ")
    )


def _connlimit(value: ConnlimitMatch, _shown: Shown) -> str:
    side, sign = "dst" if value.by_destination else "src", ">" if value.above else "<="
    return f" #conn {side}/{bin(value.mask).count('1')} {sign} {value.limit}"


def _helper(value: HelperMatch, _shown: Shown) -> str:
    return f' helper match {"! " if value.inverted else ""}"{value.helper}"'


_RECENT = {"set": "SET", "rcheck": "CHECK", "update": "UPDATE", "remove": "REMOVE"}


def _recent(value: RecentMatch, _shown: Shown) -> str:
    text = f"{' !' if value.inverted else ''} recent: {_RECENT[value.action]}"
    text += f" seconds: {value.seconds}" if value.seconds else ""
    text += " reap" if value.reap else ""
    text += f" hit_count: {value.hitcount}" if value.hitcount else ""
    text += " TTL-Match" if value.rttl else ""
    side = "dest" if value.by_destination else "source"
    return f"{text} name: {value.name} side: {side} mask: {address_text(value.mask, value.family)}"


def _limit(value: LimitMatch, _shown: Shown) -> str:
    return f" limit: avg {rate_text(value.period, LIMIT_SCALE)} burst {value.burst}"


def _hashlimit(value: HashlimitMatch, _shown: Shown) -> str:
    rate, burst, quantum = rate_words(value)
    text = f" limit: {'above' if value.above else 'up to'} {rate}"
    text += f" burst {burst}" if burst else ""
    text += f" mode {'-'.join(value.mode)}" if value.mode else ""
    return text + "".join(f" {option} {number}" for option, number in bucket_words(value, quantum))


def _addrtype(value: AddrtypeMatch, _shown: Shown) -> str:
    text = " ADDRTYPE match"
    for name, types, inverted in (("src-type", value.src, value.not_src), ("dst-type", value.dst, value.not_dst)):
        if types:
            text += f" {name} {_sign(inverted)}{','.join(each for each in ADDRESS_TYPES if each in types)}"
    return text + (f" limit-{value.limit}" if value.limit else "")


def _iprange(value: IprangeMatch, _shown: Shown) -> str:
    text = ""
    for name, span, inverted in (("source", value.src, value.not_src), ("destination", value.dst, value.not_dst)):
        if span:
            ends = "-".join(address_text(end, value.family) for end in span)
            text += f" {name} IP range{' !' if inverted else ''} {ends}"
    return text


_COMPARED = {"eq": "==", "lt": "<", "gt": ">"}


def _statistic(value: StatisticMatch, _shown: Shown) -> str:
    text = MATCHES["statistic"].text(value).replace(" --", " ")
    return f" statistic{text if value.mode == 'random' else text.removesuffix(' packet 0')}"


def _ttl(name: str) -> Words:
    def words(value: TtlMatch, _shown: Shown) -> str:
        return f" {name} match {name} {'!=' if value.inverted else _COMPARED[value.test]} {value.value}"

    return words


#: TOS values by the names that -L without -n prints
TOS_TITLES = {value: name.title() for name, value in TOS_NAMES.items()}
#: the mask that goes with them
TOS_NAME_MASK = 0x3F


def _tos(value: TosMatch, shown: Shown) -> str:
    if not shown.numeric and value.mask == TOS_NAME_MASK and value.value in TOS_TITLES:
        return f" tos match{_sign(value.inverted)} {TOS_TITLES[value.value]}"
    return f" tos match{_sign(value.inverted)}0x{value.value:02x}/0x{value.mask:02x}"


def _owner(value: OwnerMatch, shown: Shown) -> str:
    text = "" if value.exists is None else f"{'' if value.exists else ' !'} owner socket exists"
    if value.uid:
        first, last = value.uid
        user = f"{first}-{last}" if first != last else "root" if first == 0 and not shown.numeric else str(first)
        text += f"{' !' if value.not_uid else ''} owner UID match {user}"
    return text


def _string(value: StringMatch, _shown: Shown) -> str:
    text = f" STRING match {_sign(value.inverted)} {pattern_text(value.pattern)} ALGO name {value.algorithm}"
    text += f" FROM {value.start}" if value.start else ""
    text += f" TO {value.end}" if value.end != U16 else ""
    return text + (" ICASE" if value.ignore_case else "")


def _u32(value: U32Match, _shown: Shown) -> str:
    return f" u32{MATCHES['u32'].text(value).replace(' --u32', '')}"


def _pkttype(value: PkttypeMatch, _shown: Shown) -> str:
    return f" PKTTYPE {'!=' if value.inverted else '='} {value.kind}"


def _mac(value: MacMatch, _shown: Shown) -> str:
    return f" MAC {'! ' if value.inverted else ''}{value.mac.hex(':')}"


def _cpu(value: CpuMatch, _shown: Shown) -> str:
    return f" cpu {'! ' if value.inverted else ''}{value.cpu}"


def _dscp(value: DscpMatch, _shown: Shown) -> str:
    return f" DSCP match {_sign(value.inverted)}0x{value.value:02x}"


def _comment(value: CommentMatch, _shown: Shown) -> str:
    return f" /* {value.text} */"


def _quota(value: QuotaMatch, _shown: Shown) -> str:
    return f" quota: {value.bytes} bytes"


def _as_saved(name: str, *, title: str = "", dashes: bool = False) -> Words:
    """The options as iptables-save writes them, behind a title, mostly without their dashes."""

    def words(value: Any, _shown: Shown) -> str:
        text = MATCHES[name].text(value)
        return title + (text if dashes else text.replace(" --", " "))

    return words


#: match -> its words
MATCH_WORDS: dict[str, Words] = {
    "addrtype": _addrtype, "comment": _comment, "connbytes": _connbytes, "connlimit": _connlimit,
    "connmark": _connmark, "conntrack": _conntrack, "cpu": _cpu, "dccp": _ports("dccp"), "dscp": _dscp, "esp": _spi,
    "frag": _frag, "hashlimit": _hashlimit, "helper": _helper, "hl": _ttl("HL"), "icmp": _icmp("icmp", ICMP_TYPES),
    "icmp6": _icmp("ipv6-icmp", ICMP6_TYPES), "iprange": _iprange, "ipvs": _as_saved("ipvs"),
    "length": _range("length"), "limit": _limit, "mac": _mac, "mark": _mark, "multiport": _multiport,
    "nfacct": _as_saved("nfacct"), "owner": _owner, "physdev": _as_saved("physdev", title=" PHYSDEV match", dashes=True),
    "pkttype": _pkttype, "quota": _quota, "recent": _recent, "rpfilter": _as_saved("rpfilter", title=" rpfilter"),
    "sctp": _sctp, "set": _as_saved("set"), "socket": _as_saved("socket", title=" socket", dashes=True),
    "state": _conntrack, "statistic": _statistic, "string": _string, "tcp": _tcp,
    "tcpmss": _range("tcpmss match"), "tos": _tos, "ttl": _ttl("TTL"), "u32": _u32, "udp": _ports("udp"),
}  # fmt: skip
