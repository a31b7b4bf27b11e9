"""The result of a replay."""

from __future__ import annotations

from collections import Counter

import attrs

from fakecluster.replay.fates import Fate
from fakecluster.replay.flows import Flow
from fakecluster.replay.matching import DIFFERENCES_KEPT, Difference

#: Flows whose rows are kept; later ones are only counted.
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

    def finish_flow(self, flow: Flow) -> None:
        self.flow_count += 1
        if len(self.flows) < FLOWS_KEPT:
            self.flows.append(flow)

    def __str__(self) -> str:
        lines = [f"{self.injected} of {self.packets} packets injected at {self.at}, {self.flow_count} flows"]
        lines += [f"{count:>9}  {fate}" for fate, count in self.fates.most_common()]
        lines += [f"{count:>9}  warning: {words}" for words, count in self.warnings.items()]
        lines += [str(one) for one in self.differences[:20]]
        if self.difference_count > 20:
            lines.append(f"... {self.difference_count} differences in all")
        return "\n".join(lines)
