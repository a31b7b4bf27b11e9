"""Area `kubeproxy/ipvs`: as the other modes, but every choice is the kernel's, and time-outs need recorded times.

Two things are the recorder's: the slot at which Go began to read a set (read back from the kernel's list of real
servers), and when periodic syncs came (the recording machine needed seconds for each, so that the model's own period
would not meet them: the recorded counts say when).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from fakecluster.apps.echo import Echo
from fakecluster.errors import CommandError, Unsupported
from fakecluster.proxy.process import clean_up
from fakecluster.sim import Choices
from fakecluster.sim.clock import NS_PER_S
from replay.kubeproxy import Json, Scenario, is_shell
from replay.kubeproxy_ipvs_packets import IpvsProbe, lists_from_packets
from replay.kubeproxy_ipvs_rules import AfterPackets, rule_differences, server_lists
from replay.kubeproxy_ipvs_time import Expiries
from replay.kubeproxy_node import Node
from replay.kubeproxy_state import listing_differences
from replay.result import Difference, Recording

#: A step's changes were made this long before its dump; kube-proxy was started earlier.
BEFORE_DUMP_S, BEFORE_FIRST_DUMP_S = 4.0, 12.0
NEVER_S = 10.0**9
_NOT_READY = "kube-proxy did not become ready"


def replay(recording: Recording) -> Iterator[Difference]:
    scenario = IpvsScenario(recording)
    for step in recording.data["steps"]:
        yield from scenario.step(step)


class RecordedOrder:
    """Starts to read the set of real servers where the recorded list says that the real kube-proxy did."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.lists: dict[str, list[tuple[str, int]]] = {}
        self.taken: list[Any] = []

    def pick(self, weights: Sequence[int], why: str) -> int:
        key = why.rpartition(" added to ")[2]
        recorded = self.lists.get(key, [])
        wanted = [real for real, weight in recorded if weight]
        if len(wanted) != len(weights):
            return 0
        present = server_lists(self.node.run(["ipvsadm", "-Ln", "--nosort"])).get(key, [])
        starts = range(len(weights))
        return next((start for start in starts if _list_after(sorted(wanted), start, present) == wanted), 0)

    def draw(self, below: int, why: str) -> int:
        raise Unsupported(f"the recorded {why}")

    def fork(self) -> Choices:
        return self


def _list_after(names: list[str], start: int, present: list[tuple[str, int]]) -> list[str]:
    """The kernel's list of wanted real servers after they were added in order from `start` on."""
    weights = dict(present)
    found = [real for real, _ in present if real in names]
    for real in (*names[start:], *names[:start]):
        if not weights.get(real):
            found = [real, *(other for other in found if other != real)]
    return found


class IpvsScenario(Scenario):
    """One recording being replayed with its times."""

    def __init__(self, recording: Recording) -> None:
        super().__init__(recording)
        self.between_steps_s = 0.0
        self.node.netns.on_effects = lambda effects: None  # what a socket says again is not captured
        self.order = RecordedOrder(self.node)
        self.expiries = Expiries(self.node)
        self.choices = self.order
        self.failure = ""
        self.ordered = self.data.get("ipvsadmOrder") == "kernel"
        conntrack_max = self.data["steps"][0]["rules"]["sysctls"]["net/netfilter/nf_conntrack_max"]
        self.node.run(["sysctl", "-w", f"net.netfilter.nf_conntrack_max={conntrack_max}"])  # by the machine's memory

    def step(self, step: Json) -> Iterator[Difference]:
        starts = "start kube-proxy" in step["operations"]
        self._until(step["t"] - (BEFORE_FIRST_DUMP_S if starts else BEFORE_DUMP_S))
        listing = step["rules"].get("ipvsadm_Ln", "")
        self.order.lists = server_lists(listing) if self.ordered else lists_from_packets(step.get("packets", ()))
        yield from super().step(step)

    def _until(self, time_s: float) -> None:
        self.expiries.advance(time_s - self.clock.now_ns / NS_PER_S)

    def _operate(self, operation: str, step: Json) -> None:
        if operation.startswith("sysctl "):
            key, _, value = operation.removeprefix("sysctl ").partition("=")
            self.node.run(["sysctl", "-w", f"net.{key.removeprefix('net/').replace('/', '.')}={value}"])
        elif operation.startswith(_NOT_READY):
            if not self.failure or self.failure not in operation:
                raise AssertionError(f"kube-proxy said {self.failure!r}")
        elif operation.startswith("node process listens on "):
            where, _, protocol = operation.removeprefix("node process listens on ").partition("/")
            self.node.netns.sockets.bind(protocol.lower(), int(where.rpartition(":")[2]), Echo("node"))
        elif operation == "kube-proxy --cleanup (exit 1)":
            clean_up(self.node)
        elif operation.startswith("shell: "):
            with suppress(CommandError):  # a set that rules use is not destroyed
                self.node.run(operation.removeprefix("shell: ").split())
        else:
            super()._operate(operation, step)

    def _start(self, document: Json) -> None:
        self.failure = ""
        try:
            super()._start(document)
        except CommandError as error:
            self.failure, self.proxy = error.stderr, None

    def _before_settling(self) -> None:
        assert self.proxy is not None
        for proxier in self.proxy.proxiers.values():
            proxier.runner.max_interval_s = NEVER_S

    def _wait(self, step: Json) -> None:
        if self.proxy is not None:
            self.clock.advance(self.proxy.config.sync_periods_s[0])
        self._until(step["t"])
        if self.proxy is None:
            return
        changed = any(not is_shell(operation) for operation in step["operations"])
        for family, count in self._recorded_counts(step).items():
            news = count - self.syncs.get(family, 0)
            for _ in range(1 if changed else int(news)):
                if self._counts()[family] - self.syncs.get(f"model {family}", 0) < news:
                    self.proxy.proxiers[family].request_sync()
                    self.clock.advance(self.proxy.config.sync_periods_s[0])

    def _rule_differences(self, step: Json) -> Iterator[str]:
        slack = self.expiries.slack()
        for name, recorded in step["rules"].items():
            found = rule_differences(name, recorded, self.node, slack, ordered=self.ordered)
            yield from (f"{name}: {text}" for text in found)

    def _packets(self, step: Json) -> Iterator[Difference]:
        if self.proxy is not None and self.proxy.config.mode != "ipvs":
            yield from super()._packets(step)  # where chance chooses
            return
        yield from self._named(step, self._conntrack_differences(step, before=True))
        state = AfterPackets(step, self.node, self.expiries, ordered=self.ordered)
        for probe in step.get("packets", ()):
            self._until(probe.get("t", 0.0))
            self.node.know_neighbours({probe["src"], probe["dst"]})
            for text in IpvsProbe(self.node, probe, self.numbers).run():
                yield Difference(f"{step['step']}: {probe['name']}", text)
            state.look()
        yield from self._named(step, state.differences())
        yield from self._named(step, self._conntrack_differences(step, before=False))

    def _conntrack_differences(self, step: Json, *, before: bool) -> Iterator[str]:
        """Listings made right after the sync, or after the packets; the time is known."""
        for listing in step.get("conntrack", ()):
            if before == ("after sync" in listing["when"]):
                yield from listing_differences(listing, self.node)
