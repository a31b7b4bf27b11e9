"""One packet for a namespace, and all that can be seen of what it does with it."""

from __future__ import annotations

from scenario import Inject, Send
from topology import arrive

from fakecluster.kernel.effects import Effect, SendError, Transmit
from fakecluster.kernel.netns import Netns


def play(netns: Netns, step: Inject | Send) -> tuple[str, list[tuple[str, bytes, int]]]:
    try:
        effects: list[Effect] = (
            arrive(netns, step) if isinstance(step, Inject) else netns.send_local(step.packet, mark=step.mark)
        )
    except SendError as error:
        return error.name, []
    return "", [(e.iface, e.packet, e.mark) for e in effects if isinstance(e, Transmit)]
