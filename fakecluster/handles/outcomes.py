"""Exact outcomes: every sequence of choices that a packet or a connection can meet, with its probability.

Modes in which endpoints take turns (ipvs, userspace) leave nothing to chance but where in the round they stand: earlier
connections are made in the copies until the first endpoint has its turn again, and each place counts alike.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

import attrs

from fakecluster.handles.packets import PacketTrace
from fakecluster.handles.places import Place
from fakecluster.kernel.packet import Skb
from fakecluster.kernel.sockets import PROTOCOL_WORDS
from fakecluster.sim.choices import Choice, Choices, enumerate_outcomes
from fakecluster.trace import Trace

if TYPE_CHECKING:
    from fakecluster.handles.host import Host
    from fakecluster.handles.world import World


#: Turns that one round may have; a Service with more endpoints is shown by the first of them.
ROUND_LIMIT = 64


@attrs.frozen
class Branch:
    """One way that it can go: its exact probability, its end, and the choices that lead there."""

    probability: Fraction
    outcome: str
    choices: tuple[Choice, ...] = attrs.field(default=(), repr=False)
    trace: Trace | None = attrs.field(default=None, repr=False)


@attrs.frozen
class Outcomes:
    """Every branch; `probabilities` adds them up by outcome.

    An outcome is the name of whoever answered (`web-1`, `shop/web-1` outside the namespace default, `node/a`,
    `outside`), or what happened instead: `refused`, `no answer`, `dropped`, `rejected`, ...; for a name its addresses,
    or NXDOMAIN and the like.
    """

    branches: tuple[Branch, ...]

    @property
    def probabilities(self) -> dict[str, Fraction]:
        found: dict[str, Fraction] = {}
        for branch in self.branches:
            found[branch.outcome] = found.get(branch.outcome, Fraction(0)) + branch.probability
        return found

    @property
    def destinations(self) -> frozenset[str]:
        """The outcomes that have a probability above 0."""
        return frozenset(branch.outcome for branch in self.branches if branch.probability)

    def __str__(self) -> str:
        return "\n".join(f"{p!s:>12}  {outcome}" for outcome, p in sorted(self.probabilities.items()))


def packet_outcomes(host: Host, packet: bytes, *, explain: bool = False) -> Outcomes:
    """Where one packet can end."""

    def run(twin: Host, earlier: int) -> tuple[str, PacketTrace]:
        for number in range(1, earlier + 1):
            twin.send(_from_another_port(packet, number))
        trace = twin.send(packet)
        if trace.end is not None and trace.end.verdict.where.startswith("kube-proxy relay"):
            return _behind_relay(twin, packet, earlier), trace
        return packet_outcome(trace), trace

    return _enumerate(host, run, explain=explain)


def _behind_relay(host: Host, packet: bytes, earlier: int) -> str:
    """Whom kube-proxy's relay passes a packet's connection on to; the packet alone gives nobody a turn."""
    skb = Skb(packet)
    place = Place(PROTOCOL_WORDS[skb.proto], skb.family, skb.dst, skb.dport, "")
    for _ in range(earlier):
        _connect(host, place)
    outcome, _ = _connect(host, place)
    return {"refused": "rejected", "reset": "rejected", "no answer": "dropped", "timed out": "dropped"}.get(
        outcome, outcome
    )


def _from_another_port(packet: bytes, number: int) -> bytes:
    """The same packet as part of another flow."""
    skb = Skb(packet)
    if skb.has_ports:
        skb.set_sport((skb.sport + number - 1) % 65535 + 1)
    return bytes(skb.data)


def connection_outcomes(host: Host, place: Place, *, explain: bool = False) -> Outcomes:
    """Who can answer a connection."""

    def run(twin: Host, earlier: int) -> tuple[str, PacketTrace]:
        for _ in range(earlier):
            _connect(twin, place)
        return _connect(twin, place)

    return _enumerate(host, run, explain=explain)


def name_outcomes(host: Host, name: str, *, explain: bool = False) -> Outcomes:
    """What a name can resolve to: its addresses in order, separated by commas, or a failure's status (NXDOMAIN...)."""

    def run(twin: Host, earlier: int) -> tuple[str, PacketTrace]:
        from fakecluster.handles.talk import ResolveFailed

        for _ in range(earlier):
            twin.lookup(name)
        try:
            outcome = ",".join(twin.resolve(name))
        except ResolveFailed as failed:
            outcome = failed.status
        return outcome, twin.world.traces[-1] if twin.world.traces else twin.trace_of(0)

    return _enumerate(host, run, explain=explain)


def _connect(host: Host, place: Place) -> tuple[str, PacketTrace]:
    """Connect and ask: who answered, or what happened instead."""
    from fakecluster.handles.talk import ConnectFailed, open_connection

    try:
        connection = open_connection(host, place)
        answer = connection.request(b"outcomes")
    except ConnectFailed as failed:
        return failed.outcome, failed.trace or host.trace_of(0)
    target = connection.trace.delivered_to
    name = outcome_name(target) if target is not None else answer.server
    return (answer.server or name) if host.world.relays else name, connection.trace


def packet_outcome(trace: PacketTrace) -> str:
    """The name of a packet's end."""
    target = trace.delivered_to
    if target is not None:
        return outcome_name(target)
    if any(hop.verdict.what == "delivered" and hop.namespace == trace.sender for hop in trace.hops):
        return "rejected"  # something came back: an ICMP error or a RST
    end = trace.end
    return end.verdict.what if end is not None else "not sent"


def outcome_name(host: Host) -> str:
    """A Pod by its name, others by kind and name."""
    return host.namespace.removeprefix("pod/")


#: Runs host from a state in which `earlier` others had their turn: (outcome, trace).
Run = Callable[["Host", int], tuple[str, PacketTrace]]


def _enumerate(host: Host, run: Run, *, explain: bool) -> Outcomes:
    """The branches of chance; where endpoints take turns, each place in their round is as likely as the others."""
    first = _branches(host, run, 0, explain=explain)
    rounds = [first]
    while host.world.takes_turns and len(rounds) < ROUND_LIMIT:
        following = _branches(host, run, len(rounds), explain=explain)
        if [branch.outcome for branch in following] == [branch.outcome for branch in first]:
            break  # the round is over: the first one has its turn again
        rounds.append(following)
    share = Fraction(1, len(rounds))
    return Outcomes(
        tuple(attrs.evolve(branch, probability=branch.probability * share) for turn in rounds for branch in turn)
    )


def _branches(host: Host, run: Run, earlier: int, *, explain: bool) -> list[Branch]:
    def leaf(choices: Choices) -> tuple[str, Trace | None]:
        world: World = host.world.twin(choices)
        outcome, trace = run(world.host_of(host.namespace), earlier)
        return outcome, trace.trace if explain else None

    return [Branch(p, outcome, taken, trace) for p, (outcome, trace), taken in enumerate_outcomes(leaf)]
