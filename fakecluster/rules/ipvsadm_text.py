"""ipvsadm's language, printed: how services, real servers and commands are written.

Source: the output of ipvsadm 1.31.
"""

from __future__ import annotations

from fakecluster.rules.iptables.numbers import address_text
from fakecluster.rules.ipvsadm import (
    DETAILS,
    FULL_MASK,
    SCHEDULER_FLAGS,
    SCTP,
    TCP,
    UDP,
    Command,
    Server,
    ServiceId,
    ServiceOptions,
)
from fakecluster.rules.ipvsadm_endpoint import endpoint_text
from fakecluster.rules.ipvsadm_options import COMMANDS

PROTOCOL_FLAGS = {TCP: "-t", UDP: "-u", SCTP: "--sctp-service"}
METHOD_FLAGS = {"masquerade": "-m", "tunnel": "-i", "route": "-g", "local": "-g"}


def signed(value: int) -> int:
    """A 32-bit number as ipvsadm prints marks: large ones come out negative, and cannot be read back."""
    return value - (1 << 32) if value >> 31 else value


def service_text(service: ServiceId, *, numeric: bool = True) -> str:
    """A service as it is named on a command line: "-t 10.0.0.1:80" or "-f 5 -6"."""
    if service.mark:
        return f"-f {signed(service.mark)}" + (" -6" if service.family == 6 else "")
    flag = PROTOCOL_FLAGS[service.protocol]
    return f"{flag} {endpoint_text(service.family, service.address, service.port, numeric=numeric)}"


def flags_text(scheduler: str, flags: int) -> str:
    """The scheduler flags that are set, by name, separated by commas."""
    names = {bit: name for name, (owner, bit) in SCHEDULER_FLAGS.items() if owner in ("", scheduler)}
    names.update({bit: name for name, (owner, bit) in SCHEDULER_FLAGS.items() if owner == scheduler})
    return ",".join(names[bit] for bit in (1, 2, 4) if flags & bit)


def add_service_text(service: ServiceId, chosen: ServiceOptions, *, numeric: bool = True) -> str:
    """The line that `ipvsadm -S` writes for a service."""
    words = [f"-A {service_text(service, numeric=numeric)} -s {chosen.scheduler}"]
    if chosen.persistence_s:
        words.append(f"-p {chosen.persistence_s}")
        if chosen.netmask != FULL_MASK[service.family]:
            words.append(f"-M {address_text(chosen.netmask, 4) if service.family == 4 else chosen.netmask}")
    if chosen.engine:
        words.append(f"--pe {chosen.engine}")
    if chosen.one_packet:
        words.append("-o")
    if chosen.flags:
        words.append(f"-b {flags_text(chosen.scheduler, chosen.flags)}")
    return " ".join(words)


def add_server_text(service: ServiceId, server: Server, *, numeric: bool = True) -> str:
    """The line that `ipvsadm -S` writes for a real server: thresholds are not saved."""
    where = endpoint_text(server.family, server.address, server.port, numeric=numeric)
    name = service_text(service, numeric=numeric)
    text = f"-a {name} -r {where} {METHOD_FLAGS[server.method]} -w {server.weight}"
    if server.method != "tunnel":
        return text
    text += f" --tun-type {server.tunnel}"
    if server.tunnel == "gue":
        text += f" --tun-port {server.tunnel_port}"
    if server.tunnel != "ipip":
        text += f" --tun-{server.tunnel_checksum or 'nocsum'}"
    return text


def command_text(command: Command) -> str:
    """A command as words for `parse`: services and servers with every option, so that nothing is lost."""
    words = [_SPELLINGS[command.verb]]
    if command.service is not None:
        words.append(service_text(command.service))
    if command.options is not None and command.service is not None:
        words.extend(add_service_text(command.service, command.options).split()[_words_of(command.service) :])
    server = command.server
    if server is not None and command.service is not None:
        words.append(f"-r {endpoint_text(server.family, server.address, server.port)}")
        if command.verb != "delete-server":
            words.append(add_server_text(command.service, server).partition(" -r ")[2].partition(" ")[2])
            words.append(f"-x {server.upper} -y {server.lower}")
    if command.verb == "set":
        words.extend(str(value) for value in command.timeouts)
    words.extend(f"--{name}" for name in sorted(command.given) if name in _PLAIN)
    return " ".join(words)


def _words_of(service: ServiceId) -> int:
    return 1 + len(service_text(service).split())


_SPELLINGS = {name: spelling for spelling, name in reversed(list(COMMANDS.items()))}
_PLAIN = DETAILS | {"connection", "numeric", "timeout", "persistent-conn", "tun-info"}
