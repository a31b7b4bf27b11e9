"""Runs one scenario on the real kernel and in the model, and says what differs.

Undetermined, and therefore not compared: identification and checksum of packets that the node makes itself, time-outs
within `TIMEOUT_TOLERANCE_S`. When the model had to draw a random port, the rest of the scenario is not compared.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator

import attrs
from reactions import react
from real_node import SILENCE, RealNode
from scenario import Inject, Pause, React, Run, Scenario, Send
from topology import arrive, model

from fakecluster.errors import CommandError, Unsupported
from fakecluster.kernel.conntrack.text import listing
from fakecluster.kernel.effects import Effect, SendError, Transmit
from fakecluster.kernel.netns import Netns
from fakecluster.sim import Seeded

TIMEOUT_TOLERANCE_S = 2
TIMESTAMP_REPLY = 14
SAVES = ("iptables-save -c", "ip6tables-save -c")
LEGACY_SAVES = ("iptables-legacy-save -c", "ip6tables-legacy-save -c")


class Watched(Seeded):
    """Choices that remember whether a value was drawn that the kernel draws differently."""

    def __init__(self) -> None:
        super().__init__(1)
        self.undetermined = False

    def draw(self, below: int, why: str) -> int:
        if why.startswith("port in"):
            self.undetermined = True
        return super().draw(below, why)

    def pick(self, weights: object, why: str) -> int:
        self.undetermined = self.undetermined or sum(1 for weight in weights if weight) > 1  # type: ignore[attr-defined]
        return super().pick(weights, why)  # type: ignore[arg-type]


@attrs.define
class Result:
    """`differences` is empty when both agree; `outcome` is compared, refused (both), unsupported or undetermined."""

    outcome: str = "compared"
    differences: list[str] = attrs.field(factory=list)
    packets: int = 0


def compare(scenario: Scenario) -> Result:
    """Run the scenario in a fresh machine of either kind."""
    choices, result = Watched(), Result()
    netns, real = model(choices), RealNode()
    try:
        if _load(scenario, netns, real, result):
            _play(scenario, netns, real, choices, result)
    finally:
        real.close()
    return result


def _load(scenario: Scenario, netns: Netns, real: RealNode, result: Result) -> bool:
    for load in scenario.loads:
        theirs = ours = ""
        try:
            real.run(load.argv, load.stdin)
        except subprocess.CalledProcessError as refused:
            theirs = refused.stderr or "refused"
        try:
            netns.run(load.argv, load.stdin)
        except CommandError as refused_too:
            ours = refused_too.stderr or "refused"
        except Unsupported as gap:
            result.outcome = f"unsupported: {gap.what}"
            return False
        if bool(theirs) != bool(ours):
            result.differences.append(f"{' '.join(load.argv)}: the kernel says {theirs!r}, the model {ours!r}")
        if theirs or ours:
            result.outcome = "refused"
            return False
    return True


def _play(scenario: Scenario, netns: Netns, real: RealNode, choices: Watched, result: Result) -> None:
    real.captured()
    out: list[tuple[str, bytes]] = []
    since = time.monotonic()
    for number, step in enumerate(scenario.steps, 1):
        if isinstance(step, Pause):
            since = _pause(step, netns, since)
            continue
        action = _resolve(step, out)
        if action is None:
            continue
        result.packets += 1
        error, captured = _real(real, action)
        model_error, effects = _model(netns, action)
        if choices.undetermined:
            result.outcome = "undetermined"
            return
        if error != model_error:
            result.differences.append(f"step {number}: {error!r} to the sender, the model {model_error!r}")
        result.differences += [f"step {number}: {line}" for line in _outputs(captured, effects)]
        out += [(name, packet) for name, packets in captured.items() for packet in packets]
        if result.differences:
            return
    result.differences += _state(scenario, netns, real)


def _pause(step: Pause, netns: Netns, since: float) -> float:
    """Let time pass in both; what the steps since the last pause took passes in the model too."""
    time.sleep(step.seconds)
    now = time.monotonic()
    netns.clock.advance(now - since)
    return now


def _resolve(step: Inject | Send | React | Run, out: list[tuple[str, bytes]]) -> Inject | Send | Run | None:
    if not isinstance(step, React):
        return step
    if not out:
        return None
    iface, packet = out[step.to % len(out)]
    reaction = react(packet, step.how)
    return None if reaction is None else Inject(reaction, iface)


def _real(real: RealNode, action: Inject | Send | Run) -> tuple[str, dict[str, list[bytes]]]:
    error = ""
    if isinstance(action, Inject):
        real.inject(action.packet, action.iface)
    elif isinstance(action, Send):
        error = real.send(action.packet, mark=action.mark)
    else:
        try:
            real.run(action.argv, action.stdin)
        except subprocess.CalledProcessError:
            error = "refused"
    return error, real.captured()


def _model(netns: Netns, action: Inject | Send | Run) -> tuple[str, list[Effect]]:
    try:
        if isinstance(action, Inject):
            return "", arrive(netns, action)
        if isinstance(action, Send):
            return "", netns.send_local(action.packet, mark=action.mark)
        netns.run(action.argv, action.stdin)
    except SendError as error:
        return str(error), error.effects
    except CommandError:
        return "refused", []
    return "", []


def _outputs(captured: dict[str, list[bytes]], effects: list[Effect]) -> Iterator[str]:
    for name, packets in captured.items():
        ours = [effect for effect in effects if isinstance(effect, Transmit) and effect.iface == name]
        if len(ours) != len(packets):
            shown = [effect.packet.hex() for effect in ours]
            yield f"{name}: the kernel sent {[packet.hex() for packet in packets]}, the model {shown}"
            continue
        for packet, effect in zip(packets, ours, strict=True):
            masked = _masked(packet, generated=effect.generated), _masked(effect.packet, generated=effect.generated)
            if masked[0] != masked[1]:
                yield f"{name}: the kernel sent {packet.hex()}, the model {effect.packet.hex()}"


def _masked(packet: bytes, *, generated: bool) -> bytes:
    """Without identification (and the checksum over it), the flow label, or the time, of what the node made itself."""
    if packet[0] >> 4 == 6 and packet[6] == 44:  # put together and taken apart again: a new identification
        packet = packet[:44] + bytes(4) + packet[48:]
    if not generated:
        return packet
    blank = bytearray(packet)
    if packet[0] >> 4 == 4:
        blank[4:6] = blank[10:12] = b"\0\0"
        icmp = (packet[0] & 15) * 4
        if packet[9] == 1 and packet[icmp] == TIMESTAMP_REPLY:  # the time of day, and the checksum over it
            blank[icmp + 2 : icmp + 4], blank[icmp + 12 : icmp + 20] = bytes(2), bytes(8)
    else:
        blank[1:4] = bytes((blank[1] & 0xF0, 0, 0))
    return bytes(blank)


def _state(scenario: Scenario, netns: Netns, real: RealNode) -> Iterator[str]:
    """Connections and counters at the end."""
    yield from _connections(netns, real)
    for command in _saves(scenario):
        theirs, ours = comparable_lines(real.run(command.split())), comparable_lines(netns.run(command))
        if command.startswith("ipset"):  # a hash's own order
            theirs, ours = sorted(theirs), sorted(ours)
        if theirs != ours:
            missing = [line for line in theirs if line not in ours]
            extra = [line for line in ours if line not in theirs]
            yield f"{command}: the kernel has {missing}, the model {extra}"


def _saves(scenario: Scenario) -> Iterator[str]:
    tools = {load.argv[0] for load in scenario.loads}
    if any("legacy" in tool for tool in tools):
        yield from LEGACY_SAVES
    elif any("tables" in tool for tool in tools):
        yield from SAVES
    if "nft" in tools:
        yield "nft list ruleset"
    if "ipset" in tools:
        yield "ipset save"


def comparable_lines(text: str) -> list[str]:
    """A saved text's lines without what no two machines share."""
    text = re.sub(rf"table {SILENCE} {{.*?\n}}\n", "", text, flags=re.S)
    text = re.sub(r",\n\s+", ", ", text)
    lines = [re.sub(r" expires \w+| initval 0x\w+", "", line.rstrip()) for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    return [_sorted_elements(line) for line in lines]


def _sorted_elements(line: str) -> str:
    """The elements of a set in one order: the kernel lists a hash as it lies."""
    head, found, tail = line.partition("elements = { ")
    return f"{head}{found}{', '.join(sorted(tail.removesuffix(' }').split(', ')))} }}" if found else line


def _connections(netns: Netns, real: RealNode) -> Iterator[str]:
    text = "".join(real.run(["conntrack", "-L", "-o", "extended", "-f", name]) for name in ("ipv4", "ipv6"))
    theirs = dict(map(_entry, text.splitlines()))
    ours = dict(map(_entry, listing(netns.conntrack, list(netns.conntrack)).splitlines()))
    for entry in sorted(theirs.keys() | ours.keys()):
        if entry not in ours or entry not in theirs:
            yield f"only the {'kernel' if entry in theirs else 'model'} has the connection {entry}"
        elif abs(theirs[entry] - ours[entry]) > TIMEOUT_TOLERANCE_S:
            yield f"time-out {theirs[entry]} in the kernel, {ours[entry]} in the model: {entry}"


def _entry(line: str) -> tuple[str, int]:
    words = [word for word in line.split() if not word.startswith("use=")]
    timeout = int(words.pop(4))
    return " ".join(words), timeout
