"""Exact outcomes: every sequence of choices that a packet or a connection can meet, with its probability."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

import attrs

from fakecluster.handles.packets import PacketTrace
from fakecluster.handles.places import Place
from fakecluster.sim.choices import Choice, Choices, enumerate_outcomes
from fakecluster.trace import Trace

if TYPE_CHECKING:
    from fakecluster.handles.host import Host
    from fakecluster.handles.world import World


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
    `outside`), or what happened instead: `refused`, `no answer`, `dropped`, `rejected`, ...
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

    def run(twin: Host) -> tuple[str, PacketTrace]:
        trace = twin.send(packet)
        return packet_outcome(trace), trace

    return _enumerate(host, run, explain=explain)


def connection_outcomes(host: Host, place: Place, *, explain: bool = False) -> Outcomes:
    """Who can answer a connection."""
    from fakecluster.handles.talk import ConnectFailed, open_connection

    def run(twin: Host) -> tuple[str, PacketTrace]:
        try:
            connection = open_connection(twin, place)
            answer = connection.request(b"outcomes")
        except ConnectFailed as failed:
            return failed.outcome, failed.trace or twin.trace_of(0)
        target = connection.trace.delivered_to
        name = outcome_name(target) if target is not None else answer.server
        return (answer.server or name) if twin.world.relays else name, connection.trace

    return _enumerate(host, run, explain=explain)


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


def _enumerate(host: Host, run: Callable[[Host], tuple[str, PacketTrace]], *, explain: bool) -> Outcomes:
    def leaf(choices: Choices) -> tuple[str, Trace | None]:
        world: World = host.world.twin(choices)
        outcome, trace = run(world.host_of(host.namespace))
        return outcome, trace.trace if explain else None

    found = enumerate_outcomes(leaf)
    return Outcomes(tuple(Branch(p, outcome, taken, trace) for p, (outcome, trace), taken in found))
