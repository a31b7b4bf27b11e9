"""Exact outcomes: every sequence of choices that a packet or a connection can meet, with its probability.

Modes in which endpoints take turns (ipvs, userspace) leave nothing to chance but where in the round they stand: in a copy
one connection is made after the other until the first endpoint has its turn again, and each place counts alike.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

import attrs

from fakecluster.errors import OutcomesError
from fakecluster.handles.packets import PacketTrace
from fakecluster.handles.places import Place
from fakecluster.kernel.packet import Skb
from fakecluster.kernel.sockets import PROTOCOL_WORDS
from fakecluster.sim.choices import OUTCOMES_LIMIT, Choice, Choices, enumerate_outcomes
from fakecluster.trace import Trace

if TYPE_CHECKING:
    from fakecluster.handles.host import Host
    from fakecluster.handles.world import World


#: Turns that one round may have, as many as an enumeration may have leaves.
TURNS_LIMIT = OUTCOMES_LIMIT


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

    def run(twin: Host, turn: int) -> tuple[str, PacketTrace]:
        trace = twin.send(_from_another_port(packet, turn) if turn else packet)
        if trace.end is not None and trace.end.verdict.where.startswith("kube-proxy relay"):
            return _behind_relay(twin, packet), trace
        return packet_outcome(trace), trace

    return _enumerate(host, run, explain=explain)


def _behind_relay(host: Host, packet: bytes) -> str:
    """Whom kube-proxy's relay passes a packet's connection on to; the packet alone gives nobody a turn."""
    skb = Skb(packet)
    outcome, _ = _connect(host, Place(PROTOCOL_WORDS[skb.proto], skb.family, skb.dst, skb.dport, ""))
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

    return _enumerate(host, lambda twin, turn: _connect(twin, place), explain=explain)


def name_outcomes(host: Host, name: str, *, explain: bool = False) -> Outcomes:
    """What a name can resolve to: its addresses in order, separated by commas, or a failure's status (NXDOMAIN...)."""

    def run(twin: Host, turn: int) -> tuple[str, PacketTrace]:
        from fakecluster.handles.talk import ResolveFailed

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


#: Tries it out in a copy's host, for the turn-th time: (outcome, trace).
Run = Callable[["Host", int], tuple[str, PacketTrace]]


def _enumerate(host: Host, run: Run, *, explain: bool) -> Outcomes:
    """The branches of chance; where endpoints take turns, each place in their round is as likely as the others."""
    most = _endpoints(host) + 1 if host.world.takes_turns else 1

    def leaf(choices: Choices) -> list[tuple[str, Trace | None]]:
        world: World = host.world.twin(choices)
        twin = world.host_of(host.namespace)
        turns: list[tuple[str, Trace | None]] = []
        for turn in range(most):
            outcome, trace = run(twin, turn)
            if turns and outcome == turns[0][0]:
                return turns  # the round is over: the first one has its turn again
            if turn == TURNS_LIMIT:
                raise OutcomesError(f"more than {TURNS_LIMIT} turns in one round; the last was that of {turns[-1][0]}")
            turns.append((outcome, trace.trace if explain else None))
        return _until_known(turns)

    return Outcomes(
        tuple(
            Branch(probability / len(turns), outcome, taken, trace)
            for probability, turns, taken in enumerate_outcomes(leaf)
            for outcome, trace in turns
        )
    )


def _endpoints(host: Host) -> int:
    """Endpoints of all Services: no round is longer."""
    slices = host.world.seen.list("endpointslices.discovery.k8s.io")
    return sum(len(entry.get("endpoints") or ()) for entry in slices)


def _until_known(turns: list[tuple[str, Trace | None]]) -> list[tuple[str, Trace | None]]:
    """The turns up to the first that was there before. The first of all did not come back: it was the last of its kind, as
    where kube-proxy's relay waits for a server that is silent and answers nobody else meanwhile.
    """
    seen: dict[str, tuple[str, Trace | None]] = {}
    for turn in turns:
        if turn[0] in seen:
            break
        seen[turn[0]] = turn
    return list(seen.values())
