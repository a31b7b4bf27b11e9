"""Link layers of captures: where the IP packet begins in a frame, and which way the frame went.

Source: https://www.tcpdump.org/linktypes.html, LINKTYPE_LINUX_SLL and LINKTYPE_LINUX_SLL2.
"""

from __future__ import annotations

from collections.abc import Callable

ETHERNET, RAW, COOKED, COOKED_2 = 1, 101, 113, 276
#: Where an IP packet begins in an Ethernet frame without tags.
ETHERNET_HEADER = 14
_IP_TYPES = frozenset((0x0800, 0x86DD))
IP_ETHERTYPES = frozenset((b"\x08\x00", b"\x86\xdd"))
IP_VERSIONS = (4, 6)
_VLAN_TYPES = frozenset((0x8100, 0x88A8, 0x9100))
#: VLAN tags that one frame may carry before we stop looking.
MAX_TAGS = 8
#: sll_pkttype: sent by us; the others arrived (or were somebody else's)
_OUTGOING = 4

#: Packets of up to this size may be padded: an Ethernet frame carries 46 bytes or more, and some captures have its FCS.
MAX_PADDED = 50

#: Takes a frame; gives the offset of its IP packet (-1: it has none) and "in", "out" or "".
LinkLayer = Callable[[bytes], tuple[int, str]]


def link_layer(link_type: int) -> LinkLayer | None:
    """How frames of a link type are read, None when they are not. The upper bits (FCS length) mean nothing here."""
    return _LINK_LAYERS.get(link_type & 0xFFFF)


def _ethernet(frame: bytes) -> tuple[int, str]:
    if frame[12:14] in IP_ETHERTYPES:
        return ETHERNET_HEADER, ""
    return _after_type(frame, 12), ""


def _after_type(frame: bytes, at: int) -> int:
    """The offset after an EtherType at `at`, VLAN tags passed over."""
    for _ in range(MAX_TAGS):
        kind = int.from_bytes(frame[at : at + 2])
        if kind in _IP_TYPES:
            return at + 2
        if kind not in _VLAN_TYPES:
            break
        at += 4
    return -1


def raw_ip(frame: bytes) -> tuple[int, str]:
    """Frames that are IP packets."""
    return (0 if frame and frame[0] >> 4 in IP_VERSIONS else -1), ""


def _loopback(frame: bytes) -> tuple[int, str]:
    """BSD loopback: an address family of four bytes, in whichever byte order."""
    return (4 if len(frame) > 4 and frame[4] >> 4 in (4, 6) else -1), ""


def _cooked(frame: bytes) -> tuple[int, str]:
    way = "out" if frame[0:2] == b"\0\x04" else "in"
    at = _after_type(frame, 14)
    return at, way


def _cooked_2(frame: bytes) -> tuple[int, str]:
    way = "out" if frame[10:11] == bytes((_OUTGOING,)) else "in"
    kind = int.from_bytes(frame[0:2])
    if kind in _IP_TYPES:
        return 20, way
    return (_after_type(frame, 22) if kind in _VLAN_TYPES else -1), way


#: 12 and 14 are what BSDs wrote for raw IP.
_LINK_LAYERS: dict[int, LinkLayer] = {
    0: _loopback, 1: _ethernet, 12: raw_ip, 14: raw_ip, 101: raw_ip, 108: _loopback, 113: _cooked, 228: raw_ip, 229: raw_ip,
    276: _cooked_2,
}  # fmt: skip


#: Link layers most of whose frames carry an IP packet behind a header of so many bytes.
PLAIN: dict[LinkLayer, int] = {raw_ip: 0, _ethernet: ETHERNET_HEADER}


def packet_in(frame: bytes, at: int, length: int) -> tuple[bytes, int]:
    """The IP packet at an offset of a frame that was `length` long on the wire, and its own length there."""
    if at < 0:
        return b"", length
    packet = frame[at:] if at else frame
    size = len(packet)
    if size < length - at:
        return packet, length - at
    if size > MAX_PADDED:
        return packet, size
    packet = _unpadded(packet)
    return packet, len(packet)


def _unpadded(packet: bytes) -> bytes:
    """A packet of up to `MAX_PADDED` bytes without what a link put behind it."""
    size = len(packet)
    if size >= 20 and packet[0] >> 4 == 4:
        total = packet[2] << 8 | packet[3]
        return packet[:total] if 20 <= total < size else packet
    if size >= 40 and packet[0] >> 4 == 6:
        return packet[: 40 + (packet[4] << 8 | packet[5])]
    return packet
