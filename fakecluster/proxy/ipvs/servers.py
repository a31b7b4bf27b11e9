"""Virtual and real servers: as values, as `ipvsadm -Ln` lists them, and as the commands that change them.

The real kube-proxy speaks netlink (moby/ipvs); `ipvsadm -R` reads the same requests as text, one per line, in order.
Source: Kubernetes pkg/proxy/ipvs/util; ipvsadm(8).
"""

from __future__ import annotations

import re
from typing import NamedTuple

import attrs

from fakecluster.proxy.program import NodeKernel
from fakecluster.proxy.view import Family, family_of, host_port

_OPTION = {"TCP": "-t", "UDP": "-u", "SCTP": "--sctp-service"}
_FLAGS = re.compile(r"\((.*)\)")


@attrs.frozen(cache_hash=True)
class ServerKey:
    """Where a virtual server listens: `service` is ``ip:port`` or ``[ip]:port``."""

    protocol: str
    service: str

    @classmethod
    def of(cls, protocol: str, ip: str, port: int) -> ServerKey:
        return cls(protocol, host_port(ip, port))

    @property
    def ip(self) -> str:
        return self.service.rpartition(":")[0].strip("[]")

    @property
    def family(self) -> Family:
        return family_of(self.ip)

    @property
    def option(self) -> str:
        """How ipvsadm names it."""
        return f"{_OPTION[self.protocol]} {self.service}"

    def __str__(self) -> str:
        return f"{self.protocol} {self.service}"


@attrs.frozen
class Scheduling:
    """How a virtual server chooses: scheduler, its flags, and seconds of persistence (0: none)."""

    scheduler: str
    persistence_s: int = 0
    flags: tuple[str, ...] = ()

    @property
    def options(self) -> str:
        text = f"-s {self.scheduler}"
        if self.persistence_s:
            text += f" -p {self.persistence_s}"
        return text + (f" -b {','.join(self.flags)}" if self.flags else "")


class RealServer(NamedTuple):
    """A destination: weight, and connections counted active and inactive together."""

    weight: int
    connections: int = 0


@attrs.define
class VirtualServer:
    """What the kernel has: real servers by ``ip:port``, in the order of its list."""

    scheduling: Scheduling
    real_servers: dict[str, RealServer] = attrs.field(factory=dict)


VirtualServers = dict[ServerKey, VirtualServer]


def read_servers(kernel: NodeKernel, family: Family) -> VirtualServers:
    """The virtual servers of one family; those of firewall marks are not kube-proxy's business."""
    servers: VirtualServers = {}
    real_servers: dict[str, RealServer] | None = None
    for line in kernel.run(["ipvsadm", "-Ln", "--nosort"]).splitlines():
        words = line.split()
        if line.startswith("  ->"):
            if real_servers is not None:
                _, real, _, weight, active, inactive = words
                real_servers[real] = RealServer(int(weight), int(active) + int(inactive))
        elif words and words[0] in _OPTION:
            key = ServerKey(words[0], words[1])
            real_servers = {}
            if key.family == family:
                servers[key] = VirtualServer(_scheduling(words[2:]), real_servers)
        else:
            real_servers = None
    return servers


def _scheduling(words: list[str]) -> Scheduling:
    """The end of a service's line: ``rr persistent 10800``, ``mh (mh-port)``; what kube-proxy never sets is a flag."""
    persistence_s, flags = 0, list[str]()
    rest = words[1:]
    while rest:
        word = rest.pop(0)
        if word == "persistent":
            persistence_s = int(rest.pop(0))
        elif found := _FLAGS.fullmatch(word):
            flags += found[1].split(",")
        else:
            flags.append(word)
    return Scheduling(words[0], persistence_s, tuple(flags))


def add_server(key: ServerKey, scheduling: Scheduling) -> str:
    return f"-A {key.option} {scheduling.options}\n"


def edit_server(key: ServerKey, scheduling: Scheduling) -> str:
    return f"-E {key.option} {scheduling.options}\n"


def delete_server(key: ServerKey) -> str:
    return f"-D {key.option}\n"


def add_real(key: ServerKey, real: str) -> str:
    return f"-a {key.option} -r {real} -m -w 1\n"


def set_weight(key: ServerKey, real: str, weight: int) -> str:
    return f"-e {key.option} -r {real} -m -w {weight}\n"


def delete_real(key: ServerKey, real: str) -> str:
    return f"-d {key.option} -r {real}\n"


def carry_out(kernel: NodeKernel, requests: list[str]) -> None:
    """Ask the kernel for changes, in order."""
    if requests:
        kernel.run(["ipvsadm", "-R"], "".join(requests))
