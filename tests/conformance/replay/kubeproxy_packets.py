"""The packets of a recording: inject them, name what came of them, compare with what the real kernel did.

Every outcome that was seen must be possible in the model with the exact probabilities that make the counts believable.
The model is then steered to the outcome that was seen, so that later packets meet the same state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from ipaddress import ip_address
from math import comb
from typing import Any

import attrs

from fakecluster.kernel.effects import Deliver, Effect, SendError, Transmit
from fakecluster.kernel.netns import Netns
from fakecluster.sim import Choices, Scripted, Seeded, enumerate_outcomes
from replay.kubeproxy_node import Node
from replay.kubeproxy_wire import describe, has_right_checksum, is_protocol_unreachable, masked, patched_ports, ports_of
from replay.result import Difference

Json = dict[str, Any]
Outcome = tuple[str, ...]

#: A seen distribution is called impossible below this probability; recordings hold some ten thousand groups.
BELIEVABLE = 1e-7
#: Longer than the short affinity timeouts in the recordings, shorter than all others.
PAUSE_S = 3
NOTHING = "no output (dropped)"


class Steered(Scripted):
    """Takes the choices of a script and draws free numbers from a shared source."""

    def __init__(self, script: Sequence[int], numbers: Seeded) -> None:
        super().__init__(script)
        self.numbers = numbers

    def draw(self, below: int, why: str) -> int:
        return self.numbers.draw(below, why)

    def pick(self, weights: Sequence[int], why: str) -> int:
        position = len(self.taken)
        if position < len(self.script) and not (
            self.script[position] < len(weights) and weights[self.script[position]]
        ):
            self.script = ()  # the state has changed since the script was made: any choice will do
        return super().pick(weights, why)

    def fork(self) -> Steered:
        copy = Steered(self.script, self.numbers.fork())
        copy.taken = self.taken.copy()
        return copy


@attrs.frozen
class Seen:
    """What came of one packet: texts as the recordings write them, and the captured packets."""

    outcome: Outcome
    packets: tuple[tuple[str, bytes], ...]


@attrs.frozen
class Possibilities:
    """What the model says can happen to a packet: probability and script of choices of each outcome."""

    probability: Mapping[Outcome, Fraction]
    script: Mapping[Outcome, tuple[int, ...]]


class Injector:
    """Sends the packets of one probe into a node."""

    def __init__(self, node: Node, probe: Json, numbers: Seeded) -> None:
        self.node, self.probe, self.numbers = node, probe, numbers
        self.source = probe["from"]

    def send(self, netns: Netns, packet: bytes) -> Seen:
        texts, effects = [], list[Effect]()
        try:
            effects = netns.send_local(packet) if self.source == "host" else netns.receive(packet, self.source)
        except SendError as error:
            texts.append(f"senderror: {error}")
            effects = error.effects
        return self.seen(effects, packet, texts)

    def seen(self, effects: Sequence[Effect], packet: bytes, texts: Sequence[str] = ()) -> Seen:
        packets = list(captured(self.node, effects, self.source))
        sport = ports_of(packet)[0]
        lines = [*texts, *(describe(iface, data, sport) for iface, data in packets)]
        return Seen(tuple(sorted(lines or [NOTHING])), tuple(packets))

    def possibilities(self, packet: bytes) -> Possibilities:
        probability: Counter[Outcome] = Counter()
        script: dict[Outcome, tuple[int, ...]] = {}

        def run(choices: Choices) -> Outcome:
            return self.send(self.node.fork(choices), packet).outcome

        for chance, outcome, taken in enumerate_outcomes(run):
            probability[outcome] += chance  # type: ignore[assignment]
            script.setdefault(outcome, tuple(choice.index for choice in taken))
        return Possibilities(probability, script)  # type: ignore[arg-type]

    def send_for_real(self, packet: bytes, script: Sequence[int]) -> Seen:
        netns = self.node.netns
        netns.choices = Steered(script, self.numbers)
        return self.send(netns, packet)


def captured(node: Node, effects: Sequence[Effect], source: str) -> Iterator[tuple[str, bytes]]:
    """Packets that a capture on the interfaces and (IPv4 only) on raw sockets would show.

    A bridge sends a frame out of the port behind which its destination is, but never back out of its `source` port.
    """
    for effect in effects:
        if isinstance(effect, Transmit | Deliver) and is_protocol_unreachable(effect.packet):
            continue  # the recorder held a raw IPv4 SCTP socket open
        if isinstance(effect, Transmit):
            iface = effect.iface
            if iface == node.bridge:
                iface = node.bridge_ports.get(_destination(effect.packet), iface)
                if iface == source and not effect.generated:
                    continue
            yield iface, effect.packet
        elif isinstance(effect, Deliver) and effect.packet[0] >> 4 == 4:
            yield "local", effect.packet


def _destination(packet: bytes) -> str:
    return str(ip_address(packet[16:20] if packet[0] >> 4 == 4 else packet[24:40]))


def probe_differences(node: Node, probe: Json, numbers: Seeded, hints: Mapping[Any, str]) -> Iterator[Difference]:
    """Replay one probe with all its tries."""
    yield from (Difference(probe["name"], text) for text in _Probe(node, probe, numbers, hints).run())


class _Probe:
    def __init__(self, node: Node, probe: Json, numbers: Seeded, hints: Mapping[Any, str]) -> None:
        self.probe, self.hints = probe, hints
        self.injector = Injector(node, probe, numbers)
        self.groups: list[Json] = probe["groups"]
        self.first_try = {self._try_of(bytes.fromhex(group["in"]["hex"])): group for group in reversed(self.groups)}
        self.left = Counter({id(group): group["count"] for group in self.groups})

    def _try_of(self, packet: bytes) -> int:
        return 0 if self.probe["sameSport"] else (ports_of(packet)[0] - self.probe["sportBase"]) & 0xFFFF

    def run(self) -> Iterator[str]:
        first_packet = self._packet(0)
        possible = start = self.injector.possibilities(first_packet)
        for group in self.groups:
            if outcome_of(group) not in possible.probability and not self._depends_on_history():
                possible = start = self._after_pause(first_packet)
                if outcome_of(group) not in possible.probability:
                    yield f"outcome {list(outcome_of(group))} is not possible; possible: {_names(possible)}"
                    return
        for number in range(self.probe["tries"]):
            group = self._group_for(number)
            packet = self._packet(number)
            if outcome_of(group) not in possible.script:
                possible = self.injector.possibilities(packet)
            seen = self.injector.send_for_real(packet, possible.script.get(outcome_of(group), ()))
            if seen.outcome != outcome_of(group):
                other = self._other_group(seen.outcome)
                if other is None or self.first_try.get(number) is group:
                    yield f"try {number}: {list(seen.outcome)} instead of {list(outcome_of(group))}"
                    return
                group = other
            self.left[id(group)] -= 1
            if self.first_try.get(number) is group:
                yield from self._compare_first(group, packet, seen)
        yield from self._believability(start)

    def _after_pause(self, packet: bytes) -> Possibilities:
        """The recorder paused before some probes, to let affinity run out; its pauses are not recorded."""
        self.injector.node.clock.advance(PAUSE_S)
        return self.injector.possibilities(packet)

    def _depends_on_history(self) -> bool:
        return len(self.groups) > 1 or self.probe["sameSport"]

    def _group_for(self, number: int) -> Json:
        if number in self.first_try:
            return self.first_try[number]
        hinted = self._hinted(number)
        if hinted is not None:
            return hinted
        begun = [self.first_try[n] for n in sorted(self.first_try) if n < number]
        return next((group for group in begun if self.left[id(group)] > self._reserved(group, number)), begun[-1])

    def _reserved(self, group: Json, number: int) -> int:
        return sum(1 for later, other in self.first_try.items() if later > number and other is group)

    def _hinted(self, number: int) -> Json | None:
        """The group whose endpoint the conntrack listing names for this try's source port."""
        key = (self.probe["proto"].lower(), self.probe["src"], self.probe["sportBase"] + number, self.probe["dst"])
        endpoint = self.hints.get(key)
        if endpoint is None:
            return None
        fits = [g for g in self.groups if any(text.endswith(f"dst={endpoint}") for text in g["outcome"])]
        return fits[0] if fits and self.left[id(fits[0])] > 0 else None

    def _other_group(self, outcome: Outcome) -> Json | None:
        return next((g for g in self.groups if outcome_of(g) == outcome and self.left[id(g)] > 0), None)

    def _packet(self, number: int) -> bytes:
        if number in self.first_try:
            return bytes.fromhex(self.first_try[number]["in"]["hex"])
        template = bytes.fromhex(self.groups[0]["in"]["hex"])
        if self.probe["sameSport"]:
            return template
        return patched_ports(template, sport=(self.probe["sportBase"] + number) & 0xFFFF)

    # -- the first try of a group: packets byte by byte, the answer, the packet after it ----------------------------

    def _compare_first(self, group: Json, packet: bytes, seen: Seen) -> Iterator[str]:
        kept = (out for out in group["out"] if "ICMPv6 type 137 " not in out["text"])
        expected = [(out["iface"], bytes.fromhex(out["hex"])) for out in kept]
        client_port = ports_of(packet)[0]
        ports = changed_port(expected, client_port), changed_port(seen.packets, client_port)
        yield from packet_differences("out", expected, seen.packets, ports)
        reply = group.get("reply")
        if reply is None:
            return
        answer = bytes.fromhex(reply["in"]["hex"])
        if ports[0] is not None and ports[1] is not None and ports_of(answer)[1] == ports[0]:
            answer = patched_ports(answer, dport=ports[1])
        yield from self._exchange("reply", reply, answer, reply["in"]["iface"], ports)
        follow = group.get("followup")
        if follow is not None:
            source = follow["in"]["iface"]
            yield from self._exchange("followup", follow, bytes.fromhex(follow["in"]["hex"]), source, ports)

    def _exchange(
        self, what: str, recorded: Json, packet: bytes, iface: str, ports: tuple[int | None, int | None]
    ) -> Iterator[str]:
        netns = self.injector.node.netns
        netns.choices = Steered((), self.injector.numbers)
        try:
            effects = netns.send_local(packet) if iface == "host" else netns.receive(packet, iface)
        except SendError as error:
            effects = error.effects
        actual = tuple(captured(self.injector.node, effects, iface))
        expected = [(out["iface"], bytes.fromhex(out["hex"])) for out in recorded["out"] if out["hex"]]
        yield from packet_differences(what, expected, actual, ports)

    # -- counts ----------------------------------------------------------------------------------------------------

    def _believability(self, start: Possibilities) -> Iterator[str]:
        """Whether the counts could come from the model's probabilities, when tries do not depend on each other."""
        tries = self.probe["tries"]
        after = self.injector.possibilities(self._fresh_packet())
        if self.probe["sameSport"] or after.probability != start.probability:
            return
        for outcome, probability in start.probability.items():
            count = sum(group["count"] for group in self.groups if outcome_of(group) == outcome)
            if _tail(count, tries, float(probability)) < BELIEVABLE:
                yield f"{list(outcome)} seen {count} times in {tries}, probability {float(probability):.4f}"

    def _fresh_packet(self) -> bytes:
        template = bytes.fromhex(self.groups[0]["in"]["hex"])
        return patched_ports(template, sport=(self.probe["sportBase"] + self.probe["tries"] + 1) & 0xFFFF)


def outcome_of(group: Json) -> Outcome:
    return tuple(sorted(text for text in group["outcome"] if not _is_redirect(text)))


def _is_redirect(text: str) -> bool:
    """Neighbour discovery is not part of the captures; rate-limited redirects slipped through."""
    return "ICMPv6 type 137 " in text


def _names(possible: Possibilities) -> str:
    return "; ".join(f"{list(outcome)} p={probability}" for outcome, probability in possible.probability.items())


def changed_port(packets: Sequence[tuple[str, bytes]], client_port: int) -> int | None:
    """The source port after masquerade: that of the first packet sent on, when it is not the client's."""
    for _, packet in packets:
        sport = ports_of(packet)[0]
        if sport and sport != client_port:
            return sport
    return None


def packet_differences(
    what: str,
    expected: Sequence[tuple[str, bytes]],
    actual: Sequence[tuple[str, bytes]],
    ports: tuple[int | None, int | None],
) -> Iterator[str]:
    for iface, packet in actual:
        if not has_right_checksum(packet):
            yield f"{what}: wrong checksum on {iface}: {packet.hex()}"
    want = sorted((iface, masked(packet, ports[0])) for iface, packet in expected)
    have = sorted((iface, masked(packet, ports[1])) for iface, packet in actual)
    if want == have:
        return
    for iface, packet in want:
        if (iface, packet) not in have:
            yield f"{what}: missing on {iface}: {packet.hex()}"
    for iface, packet in have:
        if (iface, packet) not in want:
            yield f"{what}: too much on {iface}: {packet.hex()}"


def _tail(count: int, tries: int, probability: float) -> float:
    """Probability of a count at least this far on its side of the mean."""

    def exactly(k: int) -> float:
        return comb(tries, k) * probability**k * (1 - probability) ** (tries - k)

    low = sum(exactly(k) for k in range(count + 1))
    high = sum(exactly(k) for k in range(count, tries + 1))
    return min(low, high)
