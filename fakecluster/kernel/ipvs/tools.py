"""The ipvsadm command of a namespace."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fakecluster.errors import CommandError
from fakecluster.kernel.ipvs import protocols
from fakecluster.kernel.ipvs.connection import Connection
from fakecluster.kernel.ipvs.control import NS_PER_S, Ipvs, IpvsError
from fakecluster.kernel.ipvs.service import Destination, Service
from fakecluster.kernel.packet import TCP, UDP
from fakecluster.rules import ipvsadm, ipvsadm_listing
from fakecluster.rules.ipvsadm import Command, Server
from fakecluster.rules.ipvsadm_listing import ConnectionEntry, ServerEntry, ServiceEntry
from fakecluster.rules.ipvsadm_options import KERNEL_REFUSED, IpvsadmError

if TYPE_CHECKING:
    from fakecluster.kernel.netns import Netns

#: What ipvsadm says for an errno, for one command or for all of them ("").
WORDS: dict[tuple[str, str], str] = {
    ("add-service", "EEXIST"): "Service already exists",
    ("add-service", "ENOENT"): "Scheduler or persistence engine not found",
    ("edit-service", "ENOENT"): "Scheduler or persistence engine not found",
    ("edit-service", "ESRCH"): "No such service",
    ("delete-service", "ESRCH"): "No such service",
    ("zero", "ESRCH"): "No such service",
    ("list", "ESRCH"): "No such service",
    ("add-server", "ESRCH"): "Service not defined",
    ("add-server", "EEXIST"): "Destination already exists",
    ("edit-server", "ESRCH"): "Service not defined",
    ("edit-server", "ENOENT"): "No such destination",
    ("delete-server", "ESRCH"): "Service not defined",
    ("delete-server", "ENOENT"): "No such destination",
    ("", "EINVAL"): "Invalid operation.  Possibly wrong module version, address not unicast, ...",
    ("", "ERANGE"): "Numerical result out of range",
}


def run(netns: Netns, argv: tuple[str, ...], stdin: str) -> str:
    """Run one ipvsadm command, or with -R a file of them up to the first bad line. Raises `CommandError`."""
    try:
        command = ipvsadm.parse(argv[1:])
        if command.verb == "restore":
            return _restore(netns.ipvs, argv, stdin)
        return execute(netns.ipvs, command)
    except IpvsadmError as problem:
        raise CommandError(argv, problem.status, f"{problem.reason}\n") from None
    except IpvsError as refused:
        raise CommandError(argv, 1 if command.verb == "list" else KERNEL_REFUSED, _words(command, refused)) from None


def _words(command: Command, refused: IpvsError) -> str:
    return f"{WORDS.get((command.verb, refused.name)) or WORDS.get(('', refused.name)) or refused.name}\n"


def _restore(ipvs: Ipvs, argv: tuple[str, ...], text: str) -> str:
    """Line by line: what the kernel refuses is reported at the end, a line that cannot be read ends it at once."""
    output, complaints, last_failed = [], [], False
    try:
        for command in ipvsadm.parse_restore(text):
            last_failed = False
            try:
                output.append(execute(ipvs, command))
            except IpvsError as refused:
                complaints.append(_words(command, refused))
                last_failed = True
    except IpvsadmError as problem:
        raise CommandError(argv, problem.status, "".join([*complaints, f"{problem.reason}\n"])) from None
    if complaints:
        raise CommandError(argv, KERNEL_REFUSED if last_failed else 0, "".join(complaints))
    return "".join(output)


def execute(ipvs: Ipvs, command: Command) -> str:
    """Carry out one command; returns what it prints. Raises `IpvsError`."""
    return _HANDLERS[command.verb](ipvs, command)


def _add_service(ipvs: Ipvs, command: Command) -> str:
    assert command.service is not None and command.options is not None
    ipvs.new_service(command.service, command.options)
    return ""


def _edit_service(ipvs: Ipvs, command: Command) -> str:
    assert command.service is not None and command.options is not None
    ipvs.edit_service(command.service, command.options)
    return ""


def _delete_service(ipvs: Ipvs, command: Command) -> str:
    assert command.service is not None
    ipvs.delete_service(command.service)
    return ""


def _add_server(ipvs: Ipvs, command: Command) -> str:
    assert command.service is not None and command.server is not None
    ipvs.new_destination(command.service, command.server)
    return ""


def _edit_server(ipvs: Ipvs, command: Command) -> str:
    assert command.service is not None and command.server is not None
    ipvs.edit_destination(command.service, command.server)
    return ""


def _delete_server(ipvs: Ipvs, command: Command) -> str:
    assert command.service is not None and command.server is not None
    ipvs.delete_destination(command.service, command.server)
    return ""


def _flush(ipvs: Ipvs, command: Command) -> str:
    ipvs.flush()
    return ""


def _zero(ipvs: Ipvs, command: Command) -> str:
    ipvs.zero(command.service)
    return ""


def _set(ipvs: Ipvs, command: Command) -> str:
    ipvs.set_timeouts(*command.timeouts)
    return ""


def _save(ipvs: Ipvs, command: Command) -> str:
    return ipvsadm_listing.rules([service_entry(each) for each in ipvs.services.values()], command.given)


def _list(ipvs: Ipvs, command: Command) -> str:
    if "timeout" in command.given:
        tcp, udp = ipvs.timeouts[TCP], ipvs.timeouts[UDP]
        seconds = (tcp[protocols.ESTABLISHED], tcp[protocols.FIN_WAIT], udp[0])
        return ipvsadm_listing.timeouts(*(value // NS_PER_S for value in seconds))
    if "daemon" in command.given:
        return ""  # none can be started
    if "connection" in command.given:
        now = ipvs.clock.now_ns
        return ipvsadm_listing.connections([connection_entry(each, now) for each in ipvs.connections], command.given)
    if command.service is None and "nosort" in command.given and not ipvsadm_listing.form(command.given):
        lines = (_remembered_lines(each, command.given) for each in ipvs.services.values())
        return ipvsadm_listing.title(command.given) + "".join(lines)
    chosen = [ipvs.service(command.service)] if command.service is not None else ipvs.services.values()
    period = ipvs.period if "rate" in command.given else 0
    entries = (service_entry(each, period) for each in chosen)
    return ipvsadm_listing.services(entries, command.given, heading=command.service is None)


def _remembered_lines(service: Service, given: frozenset[str]) -> str:
    """The plain listing of a service, as it was when nothing of what it shows has changed: kube-proxy asks at every sync."""
    shown = (given, service.options, [(one, one.method, one.weight, one.active, one.inactive) for one in service.destinations])
    if service.listed is None or service.listed[0] != shown:
        service.listed = shown, ipvsadm_listing.service_lines(service_entry(service), given)
    return service.listed[1]


def _version(ipvs: Ipvs, command: Command) -> str:
    return ipvsadm_listing.VERSION


_HANDLERS: dict[str, Callable[[Ipvs, Command], str]] = {
    "add-service": _add_service,
    "edit-service": _edit_service,
    "delete-service": _delete_service,
    "add-server": _add_server,
    "edit-server": _edit_server,
    "delete-server": _delete_server,
    "flush": _flush,
    "zero": _zero,
    "set": _set,
    "save": _save,
    "list": _list,
    "version": _version,
}


def service_entry(service: Service, period: int = 0) -> ServiceEntry:
    """A service as the kernel reports it; rates are those of the estimators' `period`, and left out without one."""
    servers = tuple(server_entry(destination, period) for destination in service.destinations)
    rates = service.counters.rates(period) if period else (0, 0, 0, 0, 0)
    return ServiceEntry(service.id, service.options, servers, service.counters.totals, rates)


def server_entry(destination: Destination, period: int = 0) -> ServerEntry:
    server = Server(
        destination.family, destination.address, destination.port, destination.method, destination.weight,
        destination.upper, destination.lower, destination.tunnel,
    )  # fmt: skip
    rates = destination.counters.rates(period) if period else (0, 0, 0, 0, 0)
    counts = (destination.active, destination.inactive, destination.persistent)
    return ServerEntry(server, *counts, destination.counters.totals, rates)


def connection_entry(connection: Connection, now_ns: int) -> ConnectionEntry:
    """An entry of the connection table; a template made for a firewall mark shows the mark as its address."""
    return ConnectionEntry(
        connection.family, connection.protocol, connection.client, connection.virtual,
        (connection.destination.family, connection.address, connection.port), protocols.state_name(connection),
        max(connection.expires_ns - now_ns, 0) // NS_PER_S,
    )  # fmt: skip
