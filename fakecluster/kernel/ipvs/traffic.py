"""IPVS on a packet's way (ip_vs_core.c): the functions at the hooks.

    INPUT, OUTPUT             reply, then request: what servers send gets the virtual address as its source; what
                              clients send goes to the entry's destination, a new one if need be
    FORWARD                   errors for clients' packets, then reply

A packet that IPVS has dealt with is marked (`ipvs_property`) and passed over at the next hooks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakecluster.kernel.hooks import ACCEPT, DROP, INPUT, OUTPUT, HookContext
from fakecluster.kernel.ipvs import errors, protocols
from fakecluster.kernel.ipvs.connection import Connection
from fakecluster.kernel.ipvs.scheduling import open_connection
from fakecluster.kernel.ipvs.service import MASQUERADE
from fakecluster.kernel.ipvs.tracking import track, uses_old_conntrack
from fakecluster.kernel.ipvs.transmit import describe, send, send_port_unreachable
from fakecluster.kernel.packet import ICMP, ICMPV6, SCTP, TCP, Skb
from fakecluster.kernel.routing import address_text

if TYPE_CHECKING:
    from fakecluster.kernel.ipvs.control import Ipvs


def reply(skb: Skb, ctx: HookContext) -> int:
    """ip_vs_out_hook(): a server's packet leaves with the virtual address as its source."""
    if skb.ipvs_property:
        return ACCEPT
    ipvs = ctx.netns.ipvs
    if ipvs.is_due:
        ipvs.run_due()
    if skb.proto in (ICMP, ICMPV6):
        return errors.from_server(ipvs, skb, ctx)
    if skb.proto not in protocols.TRANSITIONS:
        return ACCEPT
    if skb.is_fragment and skb.family == 4 and (verdict := ctx.netns.fragments.gather(skb, "ipvs")) != ACCEPT:
        return verdict
    if not skb.has_ports:
        return ACCEPT
    connection = ipvs.connections.from_server((skb.family, skb.proto, skb.src, skb.sport, skb.dst, skb.dport))
    if connection is None:
        return _unknown_reply(ipvs, skb)
    if connection.method == MASQUERADE and not _restore_source(ipvs, skb, ctx, connection):
        return DROP
    ipvs.count_out(connection, skb)
    protocols.move(ipvs, connection, protocols.FROM_SERVER, skb)
    skb.ipvs_property = True
    track(skb, connection, request=False)
    ipvs.renew(connection)
    return ACCEPT


def _restore_source(ipvs: Ipvs, skb: Skb, ctx: HookContext, connection: Connection) -> bool:
    virtual, port = connection.virtual
    if skb.tracer is not None:
        skb.tracer.note("ipvs", f"reply of {describe(connection)}")
        skb.tracer.rewrite("src", address_text(skb.family, skb.src), address_text(skb.family, virtual), "ipvs")
        skb.tracer.rewrite("sport", skb.sport, port, "ipvs")
    skb.set_src(virtual)
    if skb.sport != port:
        skb.set_sport(port)
    return ctx.hook == INPUT or ipvs.reroute_reply(skb)


def _unknown_reply(ipvs: Ipvs, skb: Skb) -> int:
    """With nat_icmp_send a real server hears that nobody waits for what it sends."""
    if not ipvs.setting("nat_icmp_send") or not ipvs.is_server(skb.family, skb.proto, skb.src, skb.sport):
        return ACCEPT
    ends_by_itself = bool(skb.tcp_flags & 4) if skb.proto == TCP else False
    if skb.proto == SCTP:
        ends_by_itself = protocols.chunk_type(skb) == protocols.SCTP_ABORT
    if ends_by_itself:
        return ACCEPT
    send_port_unreachable(ipvs.netns, skb)
    return DROP


def request(skb: Skb, ctx: HookContext) -> int:
    """ip_vs_in_hook(): a client's packet goes to the destination of its entry."""
    if skb.ipvs_property or (skb.pkttype != "unicast" and ctx.hook != OUTPUT):
        return ACCEPT
    ipvs = ctx.netns.ipvs
    if ipvs.is_due:
        ipvs.run_due()
    if skb.proto in (ICMP, ICMPV6):
        return errors.from_client(ipvs, skb, ctx)
    if skb.proto not in protocols.TRANSITIONS:
        return _unbalanced(ipvs, skb, ctx)
    tracer = skb.tracer
    if tracer is not None:
        tracer.rules_walked += 1  # the look-up in the table of entries
    key = (skb.family, skb.proto, skb.src, skb.sport, skb.dst, skb.dport)
    connection = ipvs.connections.by_client.get(key)
    if connection is not None and protocols.opens(skb) and _is_over(ipvs, connection, skb):
        if _forget(ipvs, connection, skb):
            return DROP
        connection = None
    if connection is not None and not ipvs.destination_of(connection).available:
        if not ipvs.setting("expire_nodest_conn") or _expire(ipvs, connection, skb):
            return DROP
        connection = None
    if connection is None:
        connection, verdict = open_connection(ipvs, skb)
        if connection is None:
            return verdict
    if tracer is not None:
        tracer.note("ipvs", describe(connection))
    ipvs.count_in(connection, skb)
    protocols.move(ipvs, connection, protocols.FROM_CLIENT, skb)
    verdict = send(ctx.netns, skb, ctx, connection)
    connection.packets += 1
    ipvs.renew(connection)
    return verdict


def _unbalanced(ipvs: Ipvs, skb: Skb, ctx: HookContext) -> int:
    """IPsec follows the entry of its key exchange; of the rest the kernel remembers only that it was here."""
    if skb.proto in (protocols.ESP, protocols.AH):
        port = protocols.ISAKMP_PORT
        connection = ipvs.connections.by_client.get((skb.family, 17, skb.src, port, skb.dst, port))
        if connection is not None:
            ipvs.count_in(connection, skb)
            verdict = send(ctx.netns, skb, ctx, connection)
            ipvs.renew(connection)
            return verdict
    elif ipvs.setting("ignore_tunneled"):
        skb.ipvs_property = True
    return ACCEPT


def _is_over(ipvs: Ipvs, connection: Connection, skb: Skb) -> bool:
    """Whether a SYN on an existing entry means a new connection, to be scheduled anew."""
    if ipvs.setting("expire_nodest_conn") and not ipvs.destination_of(connection).weight:
        return True
    mode = ipvs.setting("conn_reuse_mode")
    if not mode or connection.control is not None or not _has_ended(connection, mode):
        return False
    return not connection.controlled or not uses_old_conntrack(skb)


def _has_ended(connection: Connection, mode: int) -> bool:
    if connection.protocol == TCP:
        half = bool(mode & 2) and connection.state == protocols.FIN_WAIT and connection.input_only
        return connection.state in (protocols.TIME_WAIT, protocols.CLOSE) or half
    return connection.protocol == SCTP and connection.state == protocols.SCTP_CLOSED


def _forget(ipvs: Ipvs, connection: Connection, skb: Skb) -> bool:
    """Let an ended entry go; True when the packet must be dropped, because conntrack still holds the old flow."""
    old = uses_old_conntrack(skb)
    if not old:
        connection.tracked = False
    if not connection.controlled:
        ipvs.expire_now(connection)
    return old


def _expire(ipvs: Ipvs, connection: Connection, skb: Skb) -> bool:
    """Let an entry go whose destination was removed; True when the packet must be dropped."""
    old = uses_old_conntrack(skb)
    if not old:
        connection.tracked = False
    ipvs.expire_now(connection)
    return old


def forwarded_error(skb: Skb, ctx: HookContext) -> int:
    """ip_vs_forward_icmp(): errors for clients' packets that are not addressed to this host."""
    if skb.ipvs_property or skb.proto not in (ICMP, ICMPV6):
        return ACCEPT
    ipvs = ctx.netns.ipvs
    if ipvs.is_due:
        ipvs.run_due()
    return errors.from_client(ipvs, skb, ctx)
