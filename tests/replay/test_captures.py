"""Reading captures: formats, link layers, and what is said of damaged ones."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from struct import pack

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Dot1Q, Ether

from fakecluster.fabric.captures import CaptureError, open_capture
from fakecluster.fabric.pcapng import PcapngWriter

PACKET = bytes(IP(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=1, dport=2) / b"hi")


def pcap(frame: bytes, link_type: int, *, order: str = "<", magic: int = 0xA1B2C3D4, fraction: int = 5) -> bytes:
    head = pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65535, link_type)
    return head + pack(f"{order}IIII", 100, fraction, len(frame), len(frame)) + frame


@pytest.mark.parametrize(
    ("link_type", "before", "direction"),
    [
        (1, bytes(12) + b"\x08\x00", ""),
        (1, bytes(12) + b"\x81\x00\x00\x07\x08\x00", ""),
        (1, bytes(12) + b"\x88\xa8\x00\x07\x81\x00\x00\x08\x08\x00", ""),
        (101, b"", ""),
        (228, b"", ""),
        (0, b"\x02\0\0\0", ""),
        (113, b"\0\x04" + bytes(12) + b"\x08\x00", "out"),
        (113, b"\0\x00" + bytes(12) + b"\x08\x00", "in"),
        (276, b"\x08\x00" + bytes(8) + b"\x04" + bytes(9), "out"),
        (276, b"\x08\x00" + bytes(8) + b"\x00" + bytes(9), "in"),
    ],
)
def test_every_link_layer_leads_to_the_ip_packet(link_type: int, before: bytes, direction: str) -> None:
    (found,) = open_capture(pcap(before + PACKET, link_type))
    assert (found.packet, found.length, found.direction) == (PACKET, len(PACKET), direction)


@pytest.mark.parametrize(("padding", "kept"), [(16, 0), (20, 0), (21, 21)])
def test_what_ethernet_puts_behind_a_short_packet_is_left_out(padding: int, kept: int) -> None:
    (found,) = open_capture(pcap(bytes(12) + b"\x08\x00" + PACKET + bytes(padding), 1))
    assert (found.packet, found.length) == (PACKET + bytes(kept), 30 + kept)


@pytest.mark.parametrize(
    ("order", "magic", "time_ns"),
    [
        ("<", 0xA1B2C3D4, 100_000_005_000),
        (">", 0xA1B2C3D4, 100_000_005_000),
        ("<", 0xA1B23C4D, 100_000_000_005),
        (">", 0xA1B23C4D, 100_000_000_005),
    ],
)
def test_either_byte_order_and_resolution_is_read(order: str, magic: int, time_ns: int) -> None:
    (found,) = open_capture(pcap(PACKET, 101, order=order, magic=magic))
    assert (found.time_ns, found.packet) == (time_ns, PACKET)


def test_frames_that_are_no_ip_are_there_without_bytes() -> None:
    (found,) = open_capture(pcap(bytes(12) + b"\x08\x06" + bytes(28), 1))
    assert found.packet == b""


def test_scapys_captures_are_read(tmp_path: Path) -> None:
    from scapy.utils import PcapNgWriter, wrpcap

    frames = [Ether() / IP(PACKET), Ether() / Dot1Q(vlan=9) / IP(PACKET)]
    wrpcap(str(tmp_path / "a.pcap"), frames)
    writer = PcapNgWriter(str(tmp_path / "a.pcapng"))
    for frame in frames:
        writer.write(frame)
    writer.close()
    for name in ("a.pcap", "a.pcapng"):
        assert [one.packet for one in open_capture(tmp_path / name)] == [PACKET, PACKET], name


def written() -> bytes:
    file = BytesIO()
    writer = PcapngWriter(file)
    writer.write(
        writer.stamp("node/a:eth0", direction="in", comment="dropped at FORWARD"), 1_700_000_000_123_456_789, PACKET
    )
    writer.write(writer.stamp("pod/web:eth0", direction="out"), 1_700_000_000_123_456_790, PACKET)
    return file.getvalue()


def test_what_the_writer_writes_is_read_back() -> None:
    capture = open_capture(written())
    first, second = capture
    assert [one.name for one in capture.interfaces] == ["node/a:eth0", "pod/web:eth0"]
    assert (first.time_ns, first.direction, first.interface) == (1_700_000_000_123_456_789, "in", 0)
    assert (second.packet, second.direction, second.interface) == (PACKET, "out", 1)


def test_scapy_reads_what_the_writer_writes() -> None:
    from scapy.utils import PcapNgReader

    packets = list(PcapNgReader(BytesIO(written())))  # type: ignore[no-untyped-call]
    assert [bytes(one) for one in packets] == [PACKET, PACKET]


WHOLE = pcap(PACKET, 101)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "offset 0: the file is empty"),
        (b"hello, world, this is no capture", "offset 0: neither pcap nor pcapng (it begins with 68 65 6c 6c)"),
        (b"\x1f\x8b" + bytes(30), "offset 0: compressed: unpack it first"),
        (WHOLE[:20], "offset 0: the file header is cut off (20 of 24 bytes)"),
        (WHOLE[:30], "offset 24: the file ends inside a packet header (6 of 16 bytes)"),
        (WHOLE[:-3], "offset 24: the file ends inside a packet (27 of 30 bytes)"),
        (WHOLE + WHOLE[24:50], "offset 70: the file ends inside a packet (10 of 30 bytes); 1 packets before it were read"),
        (pcap(PACKET, 105), "offset 0: link type 105 is not read"),
        (WHOLE[:32] + pack("<II", 1 << 30, 1 << 30), "offset 24: a packet of 1073741824 bytes is not believed"),
        (written()[:-4], "the file ends inside a block"),
        (written()[:-4] + bytes(4), "ends as one of 0: the file is damaged"),
    ],
)  # fmt: skip
def test_damaged_captures_are_refused_with_the_offset(data: bytes, words: str) -> None:
    with pytest.raises(CaptureError) as caught:
        list(open_capture(data))
    assert words in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=r"nothing\.pcap: offset 0: No such file"):
        open_capture(tmp_path / "nothing.pcap")
