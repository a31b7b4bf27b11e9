"""What is done to a recorded packet before it is injected: restored when it was snapped, readdressed, checksums mended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from struct import Struct
from typing import TYPE_CHECKING

import attrs

from fakecluster.cni.nodes import OUTSIDE
from fakecluster.errors import FakeclusterError
from fakecluster.fabric.captures import Captured
from fakecluster.kernel.checksums import checksum
from fakecluster.kernel.conntrack.tcp_window import sack_edges
from fakecluster.kernel.packet import TCP, BadPacket, Skb
from fakecluster.kernel.tcp_segments import MASK
from fakecluster.replay.headers import Headers

if TYPE_CHECKING:
    from fakecluster.cluster import Cluster

_U16, _U32 = Struct("!H"), Struct("!I")
#: Bytes of a transport header that must have been captured for a snapped packet to be restored.
_TRANSPORT_HEADER = {6: 20, 17: 8, 132: 12, 1: 8, 58: 8}


#: How a complaint about an address to map begins.
UNMET = "no packet has the address to map: "


class MapError(FakeclusterError):
    """An address map cannot be read, or names what does not exist."""


@attrs.frozen
class AddressMap:
    """Which addresses of the capture stand for which of the cluster, as (family, integer); `met` are those that came."""

    addresses: Mapping[tuple[int, int], tuple[int, int]]
    met: set[tuple[int, int]] = attrs.field(factory=set, eq=False)

    def __bool__(self) -> bool:
        return bool(self.addresses)

    @classmethod
    def of(cls, cluster: Cluster, words: Mapping[str, str]) -> AddressMap:
        """From `{"10.1.2.3": "pod/web-1", "10.1.0.9": "10.96.0.10"}`: an address, pod/, svc/, node/ or outside.

        Raises `MapError`.
        """
        found: dict[tuple[int, int], tuple[int, int]] = {}
        for source, target in words.items():
            try:
                before = ip_address(source)
                after = ip_address(_address(cluster, target, before.version))
            except (ValueError, LookupError, FakeclusterError) as wrong:
                raise MapError(f"--map {source}={target}: {wrong}") from None
            if before.version != after.version:
                raise MapError(f"--map {source}={target}: IPv{before.version} cannot become IPv{after.version}")
            found[before.version, int(before)] = (after.version, int(after))
        return cls(found)

    def apply(self, skb: Skb) -> bool:
        """Readdress a packet, checksums included; whether anything changed."""
        ends = (skb.family, skb.src), (skb.family, skb.dst)
        src, dst = self.addresses.get(ends[0]), self.addresses.get(ends[1])
        if src is not None:
            self.met.add(ends[0])
            skb.set_src(src[1])
        if dst is not None:
            self.met.add(ends[1])
            skb.set_dst(dst[1])
        return src is not None or dst is not None

    def complaints(self) -> Iterator[str]:
        """What is to be said of addresses that no packet of the capture had (a slip of the pen, most likely)."""
        for family, address in self.addresses:
            if (family, address) not in self.met:
                yield f"{UNMET}{ip_address(address.to_bytes(4 if family == 4 else 16))}"


def _address(cluster: Cluster, target: str, family: int) -> str:
    """The address that a target has in a family. Raises LookupError, ValueError."""
    kind, slash, name = target.partition("/")
    if not slash and target != OUTSIDE:
        return str(ip_address(target))
    namespace, _, own = name.rpartition("/")
    if kind == "pod":
        addresses = cluster.pod(own, namespace or "default").ips
    elif kind in ("node", OUTSIDE):
        addresses = (cluster.node(own) if own else cluster.outside).ips
    elif kind in ("svc", "service"):
        spec = cluster.service(own, namespace or "default").object["spec"]
        addresses = [address for address in spec.get("clusterIPs") or () if address != "None"]
    else:
        raise ValueError(f"expected an address, pod/NAME, svc/NAME, node/NAME or outside, not {target!r}")
    for address in addresses:
        if ip_address(address).version == family:
            return address
    raise LookupError(f"{target} has no IPv{family} address")


def restored(captured: Captured) -> bytes:
    """The whole packet: what the capture cut off (snap length) is put back as zeros, with checksums that fit.

    Raises `BadPacket` when too little was captured.
    """
    packet = captured.packet
    if len(packet) >= captured.length:
        return packet
    if len(packet) < 20:
        raise BadPacket(f"only {len(packet)} bytes were captured")
    whole = packet + bytes(captured.length - len(packet))
    skb = Skb(whole)
    if len(packet) < skb.l4 + _TRANSPORT_HEADER.get(skb.proto, 0):
        raise BadPacket(f"only {len(packet)} of {captured.length} bytes were captured: the transport header is cut")
    if not skb.is_fragment:
        skb.refresh_l4_checksum()
    return bytes(skb.data)


def with_ack_shifted(headers: Headers, shift: int) -> bytes:
    """A TCP packet with so much added to its acknowledgment numbers (modulo 2^32), those of SACK blocks included.

    Its checksum is computed anew.
    """
    packet, key, _, _, begin, _ = headers
    data, places = bytearray(packet[begin:]), [8]
    size, header = len(data), (data[12] >> 4) * 4
    if header > 20:
        places += [20 + edge for edge in sack_edges(bytes(data[20:header]))]
    for at in places:
        _U32.pack_into(data, at, _U32.unpack_from(data, at)[0] + shift & MASK)
    data[16] = data[17] = 0
    _U16.pack_into(data, 16, checksum(data, key.src + key.dst + TCP + size))
    return packet[:begin] + data


def ack_of(packet: bytes) -> int:
    """The acknowledgment number of a TCP packet without IP options."""
    at = 28 if packet[0] >> 4 == 4 else 48
    return int.from_bytes(packet[at : at + 4])
