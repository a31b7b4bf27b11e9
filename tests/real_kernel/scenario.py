"""What is done to a machine, real or model: rules to load, then packets one after the other."""

from __future__ import annotations

import attrs


@attrs.frozen
class Load:
    """One command of the set-up, run before the first packet."""

    argv: tuple[str, ...]
    stdin: str = ""


@attrs.frozen
class Inject:
    """An L3 packet arrives on `iface`."""

    packet: bytes
    iface: str

    def __repr__(self) -> str:
        return f"Inject(bytes.fromhex({self.packet.hex()!r}), {self.iface!r})"


@attrs.frozen
class Send:
    """A process in the machine sends a finished packet."""

    packet: bytes
    mark: int = 0

    def __repr__(self) -> str:
        return f"Send(bytes.fromhex({self.packet.hex()!r}), mark={self.mark})"


@attrs.frozen
class React:
    """The far end reacts to the packet that left as number `to` (modulo how many there were).

    `how` is answer (the other side's next packet), refuse (a TCP reset or port unreachable), error (an ICMP error of a
    router in between) or again (the same packet comes back as it is).
    """

    to: int
    how: str


@attrs.frozen
class Run:
    """A command between packets."""

    argv: tuple[str, ...]
    stdin: str = ""


@attrs.frozen
class Pause:
    """Time passes. The kernel counts in jiffies and machines are slow: choose times far from where things change."""

    seconds: float


Step = Inject | Send | React | Run | Pause


@attrs.frozen
class Scenario:
    """All of it; `repr` can be pasted into a test."""

    loads: tuple[Load, ...]
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        rules = "\n".join(f"$ {' '.join(load.argv)}\n{load.stdin}" for load in self.loads)
        return rules + "\n".join(f"{number}. {step!r}" for number, step in enumerate(self.steps, 1))
