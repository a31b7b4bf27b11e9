"""REJECT's answers (nf_reject_ipv4.c, nf_reject_ipv6.c)."""

from __future__ import annotations

from fakecluster.kernel import icmp
from fakecluster.kernel.checksums import checksum
from fakecluster.kernel.conntrack.tcp import set_closing
from fakecluster.kernel.hooks import HookContext
from fakecluster.kernel.packet import ACK, AH, DCCP, ESP, FIN, GRE, RST, SCTP, SYN, TCP, UDP, UDPLITE, Skb

#: --reject-with word -> (ICMP type, code)
KINDS4 = {
    "icmp-net-unreachable": (icmp.DEST_UNREACH, icmp.NET_UNREACH),
    "icmp-host-unreachable": (icmp.DEST_UNREACH, icmp.HOST_UNREACH),
    "icmp-proto-unreachable": (icmp.DEST_UNREACH, icmp.PROT_UNREACH),
    "icmp-port-unreachable": (icmp.DEST_UNREACH, icmp.PORT_UNREACH),
    "icmp-net-prohibited": (icmp.DEST_UNREACH, icmp.NET_ANO),
    "icmp-host-prohibited": (icmp.DEST_UNREACH, icmp.HOST_ANO),
    "icmp-admin-prohibited": (icmp.DEST_UNREACH, icmp.PKT_FILTERED),
}
#: Protocols with other integrity checks, or checksums over a part.
OTHER_INTEGRITY = frozenset((AH, ESP, SCTP, UDPLITE, DCCP))
KINDS6 = {
    "icmp6-no-route": (icmp.V6_UNREACH, icmp.V6_NO_ROUTE),
    "icmp6-adm-prohibited": (icmp.V6_UNREACH, icmp.V6_ADM_PROHIBITED),
    "icmp6-addr-unreachable": (icmp.V6_UNREACH, icmp.V6_ADDR_UNREACH),
    "icmp6-port-unreachable": (icmp.V6_UNREACH, icmp.V6_PORT_UNREACH),
    "icmp6-policy-fail": (icmp.V6_UNREACH, icmp.V6_POLICY_FAIL),
    "icmp6-reject-route": (icmp.V6_UNREACH, icmp.V6_REJECT_ROUTE),
}


def reject(skb: Skb, ctx: HookContext, kind: str) -> None:
    """Send the answer that `kind` names (the caller then drops the packet)."""
    netns = ctx.netns
    if kind in ("tcp-reset", "tcp reset"):
        send_reset(skb, ctx)
        return
    number, code = (KINDS4 if skb.family == 4 else KINDS6)[kind]
    if _quotable(skb):
        icmp.send_error(netns, skb, number, code)


def _quotable(skb: Skb) -> bool:
    """nf_send_unreach() answers no later fragments, and no packet whose checksum is wrong."""
    if skb.frag_offset:
        return False
    return not _is_verified(skb) or payload_checksum(skb) == 0


def _is_verified(skb: Skb) -> bool:
    """nf_reject_verify_csum(): whether a checksum covers all of the payload; unknown protocols count as such."""
    if skb.proto == UDP:
        return len(skb.data) < skb.l4 + 8 or any(skb.data[skb.l4 + 6 : skb.l4 + 8])
    if skb.proto == GRE:
        return len(skb.data) > skb.l4 and bool(skb.data[skb.l4] & 0x80)
    return skb.proto not in OTHER_INTEGRITY


def payload_checksum(skb: Skb) -> int:
    """nf_checksum(): the sum over the payload, 0 when it is right; with the pseudo header where the kernel takes it."""
    with_header = skb.family == 6 or skb.proto in (TCP, UDP)
    return checksum(skb.data[skb.l4 :], skb.pseudo_header_sum() if with_header else 0)


def send_reset(skb: Skb, ctx: HookContext) -> None:
    """Answer a TCP segment with RST, as the host that was addressed would; never a RST with a RST."""
    at = skb.l4
    if skb.proto != TCP or skb.frag_offset or len(skb.data) < at + 20 or skb.tcp_flags & RST:
        return
    if skb.pkttype != "unicast" or not skb.l4_checksum_ok():
        return
    data, flags = skb.data, skb.tcp_flags
    if flags & ACK:
        sequence, acknowledged, answer_flags = int.from_bytes(data[at + 8 : at + 12]), 0, RST
    else:
        length = len(data) - at - (data[at + 12] >> 4) * 4 + bool(flags & SYN) + bool(flags & FIN)
        sequence, answer_flags = 0, RST | ACK
        acknowledged = (int.from_bytes(data[at + 4 : at + 8]) + length) & 0xFFFFFFFF
    netns = ctx.netns
    answer = tcp_packet(skb, sequence, acknowledged, answer_flags, ttl=icmp.ttl_of(netns, skb.family))
    answer.generated = True
    answer.mark = skb.mark if netns.sysctls.number("net.ipv4.fwmark_reflect") else 0
    answer.reply_to = skb
    if skb.ct is not None:
        set_closing(netns.conntrack, skb.ct)
    netns.send_generated(answer)


def tcp_packet(
    skb: Skb, sequence: int, acknowledged: int, flags: int, *, ttl: int, tos: int = 0, options: bytes = b""
) -> Skb:
    """A bare segment that goes back where `skb` came from."""
    body = bytearray(skb.dport.to_bytes(2) + skb.sport.to_bytes(2) + sequence.to_bytes(4) + acknowledged.to_bytes(4))
    body += bytes((0x50, flags, 0, 0, 0, 0, 0, 0))
    if skb.family == 4:
        header = icmp.ipv4_header(skb.dst, skb.src, TCP, len(body), tos=tos, ttl=ttl, df=True, options=options)
    else:
        header = icmp.ipv6_header(skb.dst, skb.src, TCP, len(body), traffic_class=tos, hop_limit=ttl)
    answer = Skb(header + body)
    answer.refresh_l4_checksum()
    return answer
