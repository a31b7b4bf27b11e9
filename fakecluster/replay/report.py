"""The result of a replay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import attrs

from fakecluster.replay.fates import Fate
from fakecluster.replay.flows import Flow
from fakecluster.replay.matching import DIFFERENCES_KEPT, Balance, Difference
from fakecluster.replay.preparing import UNMET
from fakecluster.replay.timeline import BACKWARDS, SHORTENED

#: Flows whose rows are kept, the first of the capture; others are only counted.
FLOWS_KEPT = 100_000


@attrs.define
class Replay:
    """What became of a capture's packets.

    `packets` were read; of these `injected` arrived at the port, `recorded` are what the capture shows leaving it,
    `other` are no IP packets. `warnings` say what was odd (clock going backwards, wrong checksums).
    """

    at: str
    packets: int = 0
    injected: int = 0
    recorded: int = 0
    other: int = 0
    sent: int = 0
    fates: Counter[Fate] = attrs.field(factory=Counter)
    flows: list[Flow] = attrs.field(factory=list)
    flow_count: int = 0
    differences: list[Difference] = attrs.field(factory=list)
    difference_count: int = 0
    warnings: dict[str, int] = attrs.field(factory=dict)

    def warn(self, words: str) -> None:
        self.warnings[words] = self.warnings.get(words, 0) + 1

    def differ(self, difference: Difference) -> None:
        self.difference_count += 1
        if len(self.differences) < DIFFERENCES_KEPT:
            self.differences.append(difference)

    def settle(self, balance: Balance, *words: str) -> None:
        """Take in what a balance is out by."""
        for difference in balance.differences(*words):
            self.differ(difference)
        self.difference_count += max(0, balance.left - DIFFERENCES_KEPT)  # the others were told just now

    def finish_flow(self, flow: Flow) -> None:
        self.flow_count += 1
        self.flows.append(flow)
        if len(self.flows) >= 2 * FLOWS_KEPT:
            self.in_order()

    def in_order(self) -> None:
        """Flows and differences in the order of the capture."""
        self.flows.sort(key=lambda flow: flow.first)
        del self.flows[FLOWS_KEPT:]
        self.differences.sort(key=lambda one: one.packet)

    def __str__(self) -> str:
        lines = [f"{self.injected} of {self.packets} packets injected at {self.at}, {self.flow_count} flows"]
        lines += [f"{count:>9}  {fate}" for fate, count in self.fates.most_common()]
        lines += [f"{count:>9}  warning: {words}" for words, count in self.warnings.items()]
        lines += [str(one) for one in self.differences[:20]]
        if self.difference_count > 20:
            lines.append(f"... {self.difference_count} differences in all")
        return "\n".join(lines)


def merged(parts: Iterable[Replay]) -> Replay:
    """The replays of a capture's parts as one: each read the whole capture and replayed only some of its flows."""
    first, *others = parts
    warnings = {
        words: count for words, count in first.warnings.items()
        if not words.startswith(UNMET) or all(words in part.warnings for part in others)
    }  # fmt: skip
    result = attrs.evolve(
        first, fates=first.fates.copy(), flows=first.flows.copy(), differences=first.differences.copy(), warnings=warnings
    )
    for part in others:
        result.injected += part.injected
        result.recorded += part.recorded
        result.sent += part.sent
        result.fates.update(part.fates)
        result.flows += part.flows
        result.flow_count += part.flow_count
        result.differences += part.differences
        result.difference_count += part.difference_count
        for words, count in part.warnings.items():
            if words not in (BACKWARDS, SHORTENED) and not words.startswith(UNMET):  # every part has read all times
                result.warnings[words] = result.warnings.get(words, 0) + count
    result.in_order()
    del result.differences[DIFFERENCES_KEPT:]
    return result
