"""The sums that packets carry: the Internet checksum and what a rewritten field changes of it (RFC 1071, RFC 1624), CRC32c."""

from __future__ import annotations

LOW_6144, LOW_3072, LOW_1536 = ((1 << bits) - 1 for bits in (6144, 3072, 1536))


def checksum_change(before: int, after: int) -> int:
    """What a rewritten field adds to the one's complement sum (1 to 0xFFFF), 0 when it stays as it was.

    The sum of a number's 16-bit words is the number modulo 0xFFFF, where zero stands as 0xFFFF (RFC 1624).
    """
    return 0 if before == after else (after - before) % 0xFFFF or 0xFFFF


def folded(total: int, size: int) -> int:
    """A smaller number with the same remainder modulo 0xFFFF, for about `size` bytes.

    The sum of 16-bit words is the number that they make, modulo 0xFFFF. Adding halves of a long number at a multiple of
    16 bits is faster than dividing all of it.
    """
    if size > 420:
        if size > 800:
            total = (total >> 6144) + (total & LOW_6144)
        total = (total >> 3072) + (total & LOW_3072)
    return (total >> 1536) + (total & LOW_1536)


def checksum(data: bytes | bytearray, initial: int = 0) -> int:
    """The Internet checksum (RFC 1071) of `data`, as it stands in a header.

    The one's complement sum of 16-bit words is the number that they make modulo 0xFFFF; only nothing adds up to 0.
    """
    size, total = len(data), int.from_bytes(data)
    if size > 200:
        total = folded(total, size)
    total = initial + (total << 8 if size & 1 else total)
    return 0xFFFF - (total % 0xFFFF or 0xFFFF) if total else 0xFFFF


def _crc32c_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ 0x82F63B78 if byte & 1 else byte >> 1
        table.append(byte)
    return tuple(table)


_CRC32C = _crc32c_table()


def crc32c(data: bytes) -> int:
    """Castagnoli's CRC, as SCTP uses it (RFC 3309)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC32C[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF
