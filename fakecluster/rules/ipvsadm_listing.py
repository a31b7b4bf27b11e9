"""What ipvsadm prints: the table of services in its several forms, rules for -R, connections, timeouts.

Source: the output of ipvsadm 1.31.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TypeVar

import attrs

from fakecluster.rules.iptables.numbers import address_text
from fakecluster.rules.ipvsadm import FULL_MASK, Server, ServiceId, ServiceOptions
from fakecluster.rules.ipvsadm_endpoint import endpoint_text
from fakecluster.rules.ipvsadm_text import add_server_text, add_service_text, flags_text, signed

T = TypeVar("T")
Five = tuple[int, int, int, int, int]

VERSION = "ipvsadm v1.31 2019/12/24 (compiled with popt and IPVS v1.2.1)\n"
HEADING = "IP Virtual Server version 1.2.1 (size=4096)\n"
PROTOCOL_NAMES = {0: "IP", 6: "TCP", 17: "UDP", 132: "SCTP"}
METHOD_NAMES = {"masquerade": "Masq", "tunnel": "Tunnel", "route": "Route", "local": "Local"}


@attrs.frozen
class ServerEntry:
    """A real server as the kernel reports it; `totals` and `rates`: connections, packets in, out, bytes in, out."""

    server: Server
    active: int = 0
    inactive: int = 0
    persistent: int = 0
    totals: Five = (0, 0, 0, 0, 0)
    rates: Five = (0, 0, 0, 0, 0)


@attrs.frozen
class ServiceEntry:
    """A virtual service as the kernel reports it, its servers in the kernel's order."""

    service: ServiceId
    options: ServiceOptions
    servers: tuple[ServerEntry, ...] = ()
    totals: Five = (0, 0, 0, 0, 0)
    rates: Five = (0, 0, 0, 0, 0)


@attrs.frozen
class ConnectionEntry:
    """A connection entry: ends as (address, port), the server's with its family; `expires_s` seconds are left."""

    family: int
    protocol: int
    client: tuple[int, int]
    virtual: tuple[int, int]
    server: tuple[int, int, int]
    state: str
    expires_s: int


def services(entries: Iterable[ServiceEntry], given: Collection[str], *, heading: bool = True) -> str:
    """`ipvsadm -L` in the form that the options `given` ask for; `heading` is left out when one service was named.

    With --nosort entries are taken one by one, and need not all be there at once.
    """
    ordered = entries if "nosort" in given else _sorted(list(entries), _compare_services)
    return title(given, heading=heading) + "".join(service_lines(entry, given) for entry in ordered)


def title(given: Collection[str], *, heading: bool = True) -> str:
    """What stands above the services."""
    return (HEADING if heading else "") + _FORMS[form(given)][0]


def form(given: Collection[str]) -> str:
    """The form of a listing; "" is the one that shows no numbers but weights and connections."""
    return next((name for name in ("stats", "rate", "thresholds", "persistent-conn", "tun-info") if name in given), "")


def service_lines(entry: ServiceEntry, given: Collection[str]) -> str:
    """A service and its servers in a listing."""
    _, service_line, server_line = _FORMS[form(given)]
    ordered = entry.servers if "nosort" in given else _sorted(entry.servers, _compare_servers)
    return service_line(entry, given) + "".join(server_line(each, given) for each in ordered)


def rules(entries: Sequence[ServiceEntry], given: Collection[str]) -> str:
    """`ipvsadm -S`: the commands that make the table anew."""
    numeric = "numeric" in given
    lines = []
    for entry in _sorted(entries, _compare_services):
        lines.append(add_service_text(entry.service, entry.options, numeric=numeric))
        lines.extend(
            add_server_text(entry.service, each.server, numeric=numeric)
            for each in _sorted(entry.servers, _compare_servers)
        )
    return "".join(f"{line}\n" for line in lines)


def timeouts(tcp_s: int, tcp_fin_s: int, udp_s: int) -> str:
    """`ipvsadm -L --timeout`."""
    return f"Timeout (tcp tcpfin udp): {tcp_s} {tcp_fin_s} {udp_s}\n"


def connections(entries: Sequence[ConnectionEntry], given: Collection[str]) -> str:
    """`ipvsadm -Lc`."""
    numeric = "numeric" in given
    lines = ["IPVS connection entries\n"]
    ends = f"{'source':18} {'virtual':18}"
    if "persistent-conn" in given:
        lines.append(f"pro expire {'state':11} {ends} {'destination':18} {'pe name':16} pe_data\n")
    else:
        lines.append(f"pro expire {'state':11} {ends} destination\n")
    for entry in entries:
        name = PROTOCOL_NAMES.get(entry.protocol, str(entry.protocol))
        time = f"{entry.expires_s // 60:02}:{entry.expires_s % 60:02}"
        client = endpoint_text(entry.family, *entry.client, numeric=numeric)
        virtual = endpoint_text(entry.family, *entry.virtual, numeric=numeric)
        server = endpoint_text(*entry.server, numeric=numeric)
        lines.append(f"{name:3} {time:6} {entry.state:11} {client:18} {virtual:18} {server}\n")
    return "".join(lines)


# --- the lines of the forms


def _service_name(entry: ServiceEntry, given: Collection[str]) -> str:
    service = entry.service
    if service.mark:
        return f"FWM  {signed(service.mark)}" + (" IPv6" if service.family == 6 else "")
    where = endpoint_text(service.family, service.address, service.port, numeric="numeric" in given)
    return f"{PROTOCOL_NAMES[service.protocol]:4} {where}"


def _service_line(entry: ServiceEntry, given: Collection[str]) -> str:
    options, family = entry.options, entry.service.family
    words = [_service_name(entry, given), options.scheduler]
    if options.flags:
        words.append(f"({flags_text(options.scheduler, options.flags)})")
    if options.persistence_s:
        words.append(f"persistent {options.persistence_s}")
        if options.netmask != FULL_MASK[family]:
            words.append(f"mask {address_text(options.netmask, 4) if family == 4 else options.netmask}")
    if options.engine:
        words.append(f"pe {options.engine}")
    if options.one_packet:
        words.append("ops")
    return " ".join(words) + "\n"


def _server_name(entry: ServerEntry, given: Collection[str]) -> str:
    server = entry.server
    return endpoint_text(server.family, server.address, server.port, numeric="numeric" in given)


def _server_line(entry: ServerEntry, given: Collection[str]) -> str:
    server, name = entry.server, _server_name(entry, given)
    method = METHOD_NAMES[server.method]
    return f"  -> {name:28} {method:7} {server.weight:<6} {entry.active:<10} {entry.inactive:<10}\n"


def _tunnel_line(entry: ServerEntry, given: Collection[str]) -> str:
    server, name = entry.server, _server_name(entry, given)
    method, tunnel = METHOD_NAMES[server.method], server.tunnel if server.method == "tunnel" else "n/a"
    return f"  -> {name:28} {method:7} {tunnel:13} {server.weight:<6} {entry.active:<10} {entry.inactive:<10}\n"


def _threshold_line(entry: ServerEntry, given: Collection[str]) -> str:
    server, name = entry.server, _server_name(entry, given)
    return f"  -> {name:28} {server.upper:<10} {server.lower:<10} {entry.active:<10} {entry.inactive:<10}\n"


def _persistent_line(entry: ServerEntry, given: Collection[str]) -> str:
    name = _server_name(entry, given)
    weight, persistent = entry.server.weight, entry.persistent
    return f"  -> {name:28} {weight:<9} {persistent:<11} {entry.active:<10} {entry.inactive:<10}\n"


def _numbers(values: Five, given: Collection[str]) -> str:
    return "".join(_large(value, "exact" in given) for value in values) + "\n"


def _large(value: int, exact: bool) -> str:
    """Nine columns; large numbers in thousands and so on, cut off."""
    if exact or value < 10**8:
        return f"{value:9}" if value < 10**8 else f" {value}"
    for unit, limit, size in (("K", 10**9, 10**3), ("M", 10**11, 10**6), ("G", 10**14, 10**9)):
        if value < limit:
            return f"{value // size:8}{unit}"
    return f"{value // 10**12:8}T"


def _service_totals(entry: ServiceEntry, given: Collection[str]) -> str:
    return f"{_service_name(entry, given):33}{_numbers(entry.totals, given)}"


def _server_totals(entry: ServerEntry, given: Collection[str]) -> str:
    return f"  -> {_server_name(entry, given):28}{_numbers(entry.totals, given)}"


def _service_rates(entry: ServiceEntry, given: Collection[str]) -> str:
    return f"{_service_name(entry, given):33}{_numbers(entry.rates, given)}"


def _server_rates(entry: ServerEntry, given: Collection[str]) -> str:
    return f"  -> {_server_name(entry, given):28}{_numbers(entry.rates, given)}"


def _title(*columns: str) -> str:
    words = "".join(f" {column}" for column in columns)
    return f"{'Prot LocalAddress:Port':33}{words}\n  -> RemoteAddress:Port\n"


_Form = tuple[str, Callable[[ServiceEntry, Collection[str]], str], Callable[[ServerEntry, Collection[str]], str]]
_FORMS: dict[str, _Form] = {
    "": (
        "Prot LocalAddress:Port Scheduler Flags\n"
        "  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n",
        _service_line,
        _server_line,
    ),
    "tun-info": (
        "Prot LocalAddress:Port Scheduler Flags\n"
        "  -> RemoteAddress:Port           Forward TunnelInfo    Weight ActiveConn InActConn\n",
        _service_line,
        _tunnel_line,
    ),
    "stats": (
        _title("   Conns", "  InPkts", " OutPkts", " InBytes", "OutBytes"),
        _service_totals,
        _server_totals,
    ),
    "rate": (_title("     CPS", "   InPPS", "  OutPPS", "   InBPS", "  OutBPS"), _service_rates, _server_rates),
    "thresholds": (
        _title("Uthreshold", "Lthreshold", "ActiveConn", "InActConn "),
        _service_line,
        _threshold_line,
    ),
    "persistent-conn": (
        _title("Weight   ", "PersistConn", "ActiveConn", "InActConn "),
        _service_line,
        _persistent_line,
    ),
}


# --- order


def _difference(one: int, other: int) -> int:
    """What C's subtraction of two unsigned 32-bit numbers gives as an int: it wraps, so 192.0.0.0 < 10.0.0.0."""
    return signed(one - other & 0xFFFFFFFF)


def _compare_addresses(family: int, one: int, other: int) -> int:
    for shift in (96, 64, 32, 0) if family == 6 else (0,):
        difference = _difference(one >> shift & 0xFFFFFFFF, other >> shift & 0xFFFFFFFF)
        if difference:
            return difference
    return 0


def _compare_services(one: ServiceEntry, other: ServiceEntry) -> int:
    a, b = one.service, other.service
    return (
        _difference(a.mark, b.mark)
        or a.family - b.family
        or a.protocol - b.protocol
        or _compare_addresses(a.family, a.address, b.address)
        or a.port - b.port
    )


def _compare_servers(one: ServerEntry, other: ServerEntry) -> int:
    a, b = one.server, other.server
    return a.family - b.family or _compare_addresses(a.family, a.address, b.address) or a.port - b.port


def _sorted(entries: Sequence[T], compare: Callable[[T, T], int]) -> list[T]:
    """Merge sort as C's qsort does it: with a comparison that wraps, the way of sorting shows in the result."""
    if len(entries) < 2:
        return list(entries)
    half = len(entries) // 2
    left, right = _sorted(entries[:half], compare), _sorted(entries[half:], compare)
    merged: list[T] = []
    at = 0
    for each in left:
        while at < len(right) and compare(each, right[at]) > 0:
            merged.append(right[at])
            at += 1
        merged.append(each)
    return merged + right[at:]
