"""Which packets of a capture belong to one of several runs: all flows of a far end go to the same one."""

from __future__ import annotations

from zlib import crc32

import attrs


@attrs.frozen
class Part:
    """Part `number` (from 0) of `count`. What an address shares (session affinity, rates, ports) stays together."""

    number: int = 0
    count: int = 1

    def has(self, address: int) -> bool:
        """Whether packets from or to a far end are for this part."""
        return self.count == 1 or crc32(address.to_bytes(16)) % self.count == self.number


WHOLE = Part()
