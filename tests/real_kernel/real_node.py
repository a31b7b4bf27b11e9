"""A machine made of the real kernel: a network namespace with veth pairs whose far ends are packet sockets.

    wire namespace                 node namespace
    packet socket ─ eth0  ══veth══  eth0   rules, conntrack, routes
    packet socket ─ vethA ══veth══  vethA

The far ends have no addresses, so that nothing answers there by itself. Needs CAP_NET_ADMIN and CAP_SYS_ADMIN;
`why_not()` says what is missing.
"""

from __future__ import annotations

import array
import ctypes
import fcntl
import itertools
import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from topology import ADDRESSES, INTERFACES, NEIGHBOURS, ROUTES, SYSCTLS

_CLONE_NEWNET = 0x40000000
_SIOCETHTOOL, _ETHTOOL_STXCSUM, _ETHTOOL_STSO = 0x8946, 0x17, 0x1F
_ETH_P_ALL = 3
_SO_MARK, _IPV6_HDRINCL, _SOL_PACKET, _PACKET_IGNORE_OUTGOING = 36, 36, 263, 23
_ETHERTYPE = {4: b"\x08\x00", 6: b"\x86\xdd"}
#: How long the kernel may take to answer the ARP request that follows each packet.
BARRIER_S = 10.0
ASK_AGAIN_S = 0.5
TOOLS = ("ip", "nsenter", "iptables-restore", "iptables-legacy-restore", "nft", "ipset", "conntrack")

#: The node's own neighbour discovery and group reports come at any time; nobody is to count them. (Not compared.)
SILENCE = "ip6 silence"
_SILENCE = f"""table {SILENCE} {{
    chain output {{
        type filter hook output priority -500
        icmpv6 type {{ 130, 131, 132, 133, 134, 135, 136, 137, 143 }} drop
    }}
}}
"""

_libc = ctypes.CDLL(None, use_errno=True)


def why_not() -> str:
    """Why no real node can be made here; "" when one can."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    try:
        with _inside(_new_namespace()):
            pass
    except OSError as refused:
        return f"no network namespace of our own: {refused.strerror}"
    return ""


def _own_namespace() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY)


def _set(fd: int) -> None:
    if _libc.setns(fd, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _new_namespace() -> int:
    home = _own_namespace()
    try:
        if _libc.unshare(_CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return _own_namespace()
    finally:
        _set(home)
        os.close(home)


@contextmanager
def _inside(fd: int) -> Iterator[None]:
    home = _own_namespace()
    _set(fd)
    try:
        yield
    finally:
        _set(home)
        os.close(home)


class RealNode:
    """The machine; `run` a command in it, `inject` packets, `send` from it, `captured` is what came out."""

    def __init__(self) -> None:
        self.node, self.wire = _new_namespace(), _new_namespace()
        self._sockets: dict[str, socket.socket] = {}
        self._raw: dict[tuple[int, int], socket.socket] = {}
        self._askers = itertools.count(1)
        with _inside(self.wire):
            _write_sysctls({"net.ipv6.conf.all.disable_ipv6": "1", "net.ipv6.conf.default.disable_ipv6": "1"})
        with _inside(self.node):
            _write_sysctls(SYSCTLS)
            self._batch()
        with _inside(self.wire):
            for name in INTERFACES:
                self._open(name)
        with _inside(self.node):
            for name in INTERFACES:
                _without_offload(name)
        self.run(["nft", "-f", "-"], _SILENCE)

    def close(self) -> None:
        for sock in (*self._sockets.values(), *self._raw.values()):
            sock.close()
        os.close(self.node)
        os.close(self.wire)

    def _batch(self) -> None:
        """Devices, addresses, routes and neighbours in one go."""
        wire = f"/proc/{os.getpid()}/fd/{self.wire}"
        lines = ["link set lo up"]
        for name, link in INTERFACES.items():
            lines += [
                f"link add {name} address {link.mac} mtu {link.mtu} type veth"
                f" peer name {name} address {link.peer_mac} mtu {link.mtu} netns {wire}",
                f"link set {name} addrgenmode none up",
            ]
        lines += [
            f"address add {address} dev {name}{' nodad' if ':' in address else ''}" for name, address in ADDRESSES
        ]
        lines += [f"route add {route}" for route in ROUTES]
        lines += [f"neigh replace {ip} lladdr {mac} dev {name} nud permanent" for ip, mac, name in NEIGHBOURS]
        subprocess.run(["ip", "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True, capture_output=True)

    def _open(self, name: str) -> None:
        subprocess.run(["ip", "link", "set", name, "addrgenmode", "none", "up"], check=True)
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        sock.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        sock.bind((name, _ETH_P_ALL))
        sock.settimeout(ASK_AGAIN_S)
        self._sockets[name] = sock
        _without_offload(name)

    def run(self, argv: Sequence[str], stdin: str = "") -> str:
        """Run a program in the node. Raises CalledProcessError with what it said."""
        inside = ["nsenter", f"--net=/proc/{os.getpid()}/fd/{self.node}", *argv]
        return subprocess.run(inside, input=stdin, text=True, check=True, capture_output=True).stdout

    def inject(self, packet: bytes, iface: str) -> None:
        """An L3 packet arrives on `iface`, in a frame addressed to the node."""
        link = INTERFACES[iface]
        header = _mac(link.mac) + _mac(link.peer_mac) + _ETHERTYPE.get(packet[0] >> 4, _ETHERTYPE[4])
        self._sockets[iface].send(header + packet)

    def send(self, packet: bytes, *, mark: int = 0) -> str:
        """A process in the node sends a finished packet; the errno's text, "" when it went out."""
        family = packet[0] >> 4
        sock = self._raw.get((family, mark))
        if sock is None:
            sock = self._raw[family, mark] = self._raw_socket(family, mark)
        target = socket.inet_ntop(socket.AF_INET, packet[16:20]) if family == 4 else ""
        target = target or socket.inet_ntop(socket.AF_INET6, packet[24:40])
        try:
            sock.sendto(packet, (target, 0))
        except OSError as refused:
            return refused.strerror or str(refused)
        return ""

    def _raw_socket(self, family: int, mark: int) -> socket.socket:
        with _inside(self.node):
            sock = socket.socket(
                socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW
            )
        if family == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_HDRINCL, 1)
        if mark:
            sock.setsockopt(socket.SOL_SOCKET, _SO_MARK, mark)
        return sock

    def captured(self) -> dict[str, list[bytes]]:
        """What left the node since the last call, by interface: L3 packets, without ARP and neighbour discovery."""
        return {name: list(self._drain(name)) for name in self._sockets}

    def _drain(self, name: str) -> Iterator[bytes]:
        """Read until the answer to an ARP request of ours, which the kernel sends behind everything else.

        It is asked again when no answer comes: a device that was just made loses frames until it is fully up.
        """
        sock, asked = self._sockets[name], {self._ask(name)}
        deadline = time.monotonic() + BARRIER_S
        while time.monotonic() < deadline:
            try:
                frame = sock.recv(65600)
            except TimeoutError:
                asked.add(self._ask(name))
                continue
            if frame[12:14] == b"\x08\x06":
                if frame[20:22] == b"\x00\x02" and frame[:6] in asked:
                    return
            elif not _is_discovery(frame[14:]):
                yield frame[14:]
        raise TimeoutError(f"{name} does not answer ARP")

    def _ask(self, name: str) -> bytes:
        """Send an ARP request; the answer goes to this hardware address, which is no other request's."""
        link = INTERFACES[name]
        asker = b"\x02\x00" + next(self._askers).to_bytes(4)
        question = _mac(link.mac) + asker + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x800, 6, 4, 1)
        question += asker + bytes(4) + bytes(6) + socket.inet_aton(link.address)
        self._sockets[name].send(question)
        return asker


def _write_sysctls(values: Mapping[str, str]) -> None:
    for name, value in values.items():
        path = f"/proc/sys/{name.replace('.', '/')}"
        if os.path.exists(path):
            with open(path, "w") as file:
                file.write(value)


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _is_discovery(packet: bytes) -> bool:
    """Neighbour discovery and multicast listener reports."""
    if packet[:1] and packet[0] >> 4 == 6 and len(packet) > 40:
        return (packet[6] == 58 and 133 <= packet[40] <= 137) or (packet[6] == 0 and packet[24] == 0xFF)
    return False


def _without_offload(name: str) -> None:
    """All checksums on the wire are to be real."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for command in (_ETHTOOL_STXCSUM, _ETHTOOL_STSO):
            value = array.array("B", struct.pack("II", command, 0))
            request = struct.pack("16sP", name.encode(), value.buffer_info()[0])
            fcntl.ioctl(sock, _SIOCETHTOOL, request)
