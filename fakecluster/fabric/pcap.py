"""Writing captures that tcpdump, tshark and Wireshark read: classic pcap with nanoseconds, raw IP packets."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from struct import Struct

#: pcap-savefile(5): the magic number of nanosecond files; LINKTYPE_RAW packets begin with the IP header.
MAGIC_NS, LINKTYPE_RAW, SNAPLEN = 0xA1B23C4D, 101, 262144
_HEADER, _RECORD = Struct("<IHHiIII"), Struct("<IIII")
NS_PER_S = 1_000_000_000


def write_pcap(path: Path, packets: Iterable[tuple[int, bytes]]) -> int:
    """Write (Unix time in ns, L3 bytes) pairs; returns how many."""
    count = 0
    with path.open("wb") as file:
        file.write(_HEADER.pack(MAGIC_NS, 2, 4, 0, 0, SNAPLEN, LINKTYPE_RAW))
        for time_ns, packet in packets:
            seconds, ns = divmod(time_ns, NS_PER_S)
            file.write(_RECORD.pack(seconds, ns, len(packet), len(packet)) + packet)
            count += 1
    return count
