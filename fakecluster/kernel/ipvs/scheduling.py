"""Opening a connection (ip_vs_core.c): which service a packet is for, its template if it has one, its destination.

packet -> service (by mark, by address and port, by address alone) -> template or scheduler -> entry
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakecluster.errors import Unsupported
from fakecluster.kernel.hooks import ACCEPT, DROP
from fakecluster.kernel.ipvs import protocols
from fakecluster.kernel.ipvs.connection import Connection, Key
from fakecluster.kernel.ipvs.schedulers import Request
from fakecluster.kernel.ipvs.service import Destination, Service
from fakecluster.kernel.ipvs.transmit import send_port_unreachable
from fakecluster.kernel.packet import TCP, UDP, Skb
from fakecluster.rules.ipvsadm_endpoint import endpoint_text

if TYPE_CHECKING:
    from fakecluster.kernel.ipvs.control import Ipvs

FTP_PORT, FTP_DATA_PORT = 21, 20
FIRST_UNPRIVILEGED_PORT = 1024
#: The protocol of a template that serves a firewall mark.
ANY_PROTOCOL = 0
NS_PER_S = 1_000_000_000


def find_service(ipvs: Ipvs, skb: Skb) -> Service | None:
    """The service that a packet is addressed to (ip_vs_service_find)."""
    services = ipvs.services
    if skb.mark:
        by_mark = services.get((skb.family, skb.mark))
        if by_mark is not None:
            return by_mark
    found = services.get((skb.family, skb.proto, skb.dst, skb.dport))
    if found is None and skb.proto == TCP and (skb.dport == FTP_DATA_PORT or skb.dport >= FIRST_UNPRIVILEGED_PORT):
        found = services.get((skb.family, TCP, skb.dst, FTP_PORT))
    return found or services.get((skb.family, skb.proto, skb.dst, 0))


def open_connection(ipvs: Ipvs, skb: Skb, *, is_error: bool = False) -> tuple[Connection | None, int]:
    """The new entry for a packet, or None and what is to become of it (ip_vs_try_to_schedule)."""
    if not skb.has_ports or not (is_error or protocols.is_complete(skb)):
        return None, DROP
    if not is_error and not protocols.may_schedule(skb, ipvs):
        return None, ACCEPT
    service = find_service(ipvs, skb)
    if service is None:
        return None, ACCEPT
    if ipvs.defence.refuses(ipvs):
        return None, DROP
    if skb.tracer is not None:
        skb.tracer.rules_walked += 1  # the look-up in the table of services
    service = ipvs.own(service)
    if skb.sport == FTP_DATA_PORT or _is_reply_of_local_server(ipvs, skb):
        return None, ACCEPT
    if service.options.persistence_s:
        connection = _through_template(ipvs, service, skb)
    elif not service.id.mark and skb.dport != service.id.port:
        connection = None
    else:
        destination = _choose(ipvs, service, skb)
        connection = None
        if destination is not None:
            connection = _make(ipvs, service, skb, destination, destination.port or skb.dport)
    if connection is None:
        return None, _leave(ipvs, service, skb, is_error=is_error)
    service.counters.conns += 1
    ipvs.destination_of(connection).counters.conns += 1
    ipvs.counters.conns += 1
    ipvs.defence.watch(ipvs)
    return connection, ACCEPT


def _is_reply_of_local_server(ipvs: Ipvs, skb: Skb) -> bool:
    """What a real server on this host answers by itself must not be balanced again."""
    if skb.iif not in ("", "lo"):
        return False
    return (skb.family, skb.proto, skb.dst, skb.dport, skb.src, skb.sport) in ipvs.connections.by_client


def _choose(ipvs: Ipvs, service: Service, skb: Skb) -> Destination | None:
    request = Request(ipvs.netns, skb.family, skb.src, skb.sport, skb.dst)
    chosen = service.scheduler.choose(request)
    if skb.tracer is not None:
        where = endpoint_text(*chosen.endpoint) if chosen is not None else "nobody"
        skb.tracer.note("ipvs", f"{service.options.scheduler} chooses {where}")
    return chosen


def _make(ipvs: Ipvs, service: Service, skb: Skb, destination: Destination, port: int) -> Connection:
    key = (skb.family, skb.proto, skb.src, skb.sport, skb.dst, skb.dport)
    connection = Connection(key, destination, port, mark=skb.mark)
    connection.one_packet = service.options.one_packet and skb.proto == UDP
    _enter(ipvs, connection)
    return connection


def _enter(ipvs: Ipvs, connection: Connection) -> None:
    ipvs.bind(connection)
    connection.tracked = bool(ipvs.setting("conntrack"))
    if not connection.one_packet:
        ipvs.connections.insert(connection)


# --- persistence


def _through_template(ipvs: Ipvs, service: Service, skb: Skb) -> Connection | None:
    """ip_vs_sched_persist(): to where this client's earlier connections went; else schedule, and remember."""
    key = _template_key(service, skb)
    template = ipvs.connections.templates.get(key)
    if template is not None and not _is_valid(ipvs, template):
        ipvs.connections.invalidate(template)
        template = None
    own_port = skb.dport == service.id.port
    if template is None:
        destination = _choose(ipvs, service, skb)
        if destination is None:
            return None
        port = destination.port if own_port and service.id.port != FTP_PORT else 0
        template = Connection(key, destination, port, mark=skb.mark, template=True)
        _enter(ipvs, template)
        template.timeout_ns = service.options.persistence_s * NS_PER_S
    elif skb.tracer is not None:
        skb.tracer.note("ipvs", f"persistence: as before, {endpoint_text(*template.destination.endpoint)}")
    destination = ipvs.destination_of(template)
    port = destination.port if own_port and destination.port else skb.dport
    connection = _make(ipvs, service, skb, destination, port)
    connection.control = template
    template.controlled += 1
    ipvs.connections.renew(template, ipvs.clock.now_ns)
    return connection


def _template_key(service: Service, skb: Skb) -> Key:
    mask = service.options.netmask
    client = skb.src & mask if skb.family == 4 else skb.src >> 128 - mask << 128 - mask
    if skb.dport == service.id.port:
        port = skb.dport if service.id.port != FTP_PORT else 0
        return (skb.family, skb.proto, client, 0, skb.dst, port)
    if service.id.mark:
        mark = service.id.mark if skb.family == 4 else service.id.mark << 96  # in the place of an address
        return (skb.family, ANY_PROTOCOL, client, 0, mark, 0)
    return (skb.family, skb.proto, client, 0, skb.dst, 0)


def _is_valid(ipvs: Ipvs, template: Connection) -> bool:
    destination = ipvs.destination_of(template)
    quiescent = not destination.weight and ipvs.setting("expire_quiescent_template")
    return destination.available and not quiescent


# --- no destination


def _leave(ipvs: Ipvs, service: Service, skb: Skb, *, is_error: bool) -> int:
    """Tell the client that the port is unreachable (ip_vs_leave), whatever the protocol."""
    if service.id.port == FTP_PORT and skb.dport != FTP_PORT:
        return ACCEPT
    if service.id.mark and ipvs.setting("cache_bypass"):
        raise Unsupported("net.ipv4.vs.cache_bypass", token="cache_bypass")
    if is_error:
        return DROP
    send_port_unreachable(ipvs.netns, skb)
    return DROP
