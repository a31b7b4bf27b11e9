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


#: Where a virtual server's lines begin in a listing.
_BLOCK = re.compile(r"\n(?=[A-Z])")


class ServerReader:
    """Reads what the kernel has, and reads a virtual server's lines anew only when they are others than last time."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[ServerKey, VirtualServer]] = {}

    def read(self, kernel: NodeKernel, family: Family) -> VirtualServers:
        """The virtual servers of one family; those of firewall marks are not kube-proxy's business."""
        blocks, self._known = self._known, {}
        servers: VirtualServers = {}
        for block in _BLOCK.split(kernel.run(["ipvsadm", "-Ln", "--nosort"]).rstrip("\n")):
            if block.partition(" ")[0] not in _OPTION:
                continue
            key, server = self._known[block] = blocks.get(block) or _server(block)
            if key.family == family:
                servers[key] = server
        return servers


def _server(block: str) -> tuple[ServerKey, VirtualServer]:
    """One virtual server and its real servers."""
    first, *others = block.split("\n")
    protocol, address, *options = first.split()
    real_servers = {}
    for line in others:
        _, real, _, weight, active, inactive = line.split()
        real_servers[real] = RealServer(int(weight), int(active) + int(inactive))
    return ServerKey(protocol, address), VirtualServer(_scheduling(options), real_servers)


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
