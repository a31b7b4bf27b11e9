"""Areas `kubeproxy/*`: objects in, rule text out, packets through it, for a recorded node and kube-proxy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fakecluster.errors import Unsupported
from fakecluster.proxy import config
from fakecluster.proxy.process import KubeProxy, clean_up
from fakecluster.proxy.view import FAMILIES
from fakecluster.sim import Choices, Clock, Seeded
from replay.kubeproxy_large import threshold_differences, threshold_events
from replay.kubeproxy_node import Node, addresses_in
from replay.kubeproxy_objects import Event, Objects, node_of
from replay.kubeproxy_packets import probe_differences
from replay.kubeproxy_rules import RULE_DUMPS, patched
from replay.kubeproxy_state import ConntrackListings, conntrack_hints, state_differences
from replay.result import Difference, Recording

Json = dict[str, Any]

#: Virtual time that a step waits for its syncs, besides minSyncPeriod.
SETTLE_S = 0.05
#: How the model logs a sync that failed; other lines about odd objects are the real one's too.
SYNC_FAILED = '"Sync failed"'
#: Virtual time between two steps, by mode: the recorder dumped and probed for longer than nftables' emptied chains and
#: short affinity live. Recordings with conntrack listings tell the time themselves.
BETWEEN_STEPS_S = {"nftables": 2.5}


def replay(recording: Recording) -> Iterator[Difference]:
    scenario = Scenario(recording)
    for step in recording.data["steps"]:
        yield from scenario.step(step)


def is_shell(operation: Any) -> bool:
    return isinstance(operation, str) and operation.startswith(("shell: ", "sysctl "))


class Scenario:
    """One recording being replayed: the node, the API's objects, and the kube-proxy that runs at the moment."""

    def __init__(self, recording: Recording) -> None:
        data = recording.data
        self.data = data
        self.clock = Clock()
        tells_time = any("conntrack" in step for step in data["steps"])
        self.between_steps_s = 0.0 if tells_time else BETWEEN_STEPS_S.get(data["mode"], 0.0)
        self.node = Node(data["topology"], self.clock)
        self.objects = Objects()
        self.proxy: KubeProxy | None = None
        self.numbers = Seeded(0)
        self.choices: Choices = self.numbers
        self.rules: dict[str, str] = {}
        self.syncs: dict[str, float] = {}
        self.listings = ConntrackListings()
        self.watched: dict[Any, tuple[str, Json]] = {}
        for resource, obj, _ in [*self.objects.initial(), ("nodes", node_of(data["topology"]), False)]:
            self._deliver(resource, obj, deleted=False)
        self.node.know_neighbours(addresses_in(data["topology"]))

    def step(self, step: Json) -> Iterator[Difference]:
        self.clock.advance(self.between_steps_s)
        changed = self._carry_out(step)
        self._wait(step)
        yield from self._named(step, self._rule_differences(step))
        yield from self._named(step, self._sync_differences(step, changed=changed))
        yield from self._named(step, self._log_differences(step))
        yield from self._packets(step)
        yield from self._named(step, state_differences(step, self.node, self.proxy))

    @staticmethod
    def _named(step: Json, texts: Iterator[str]) -> Iterator[Difference]:
        yield from (Difference(step["step"], text) for text in texts)

    # -- what is done ----------------------------------------------------------------------------------------------

    def _carry_out(self, step: Json) -> bool:
        """Commands and changes in their order; changes that no operation tells of, before kube-proxy starts.

        Returns whether kube-proxy was shown anything new.
        """
        events: list[Event] = list(threshold_events(step, self.data))
        operations = step["operations"]
        for number, operation in enumerate(operations):
            if isinstance(operation, str):
                if operation.startswith("label node"):
                    events += self.objects.nodes(step)
                if operation == "start kube-proxy" and all(isinstance(later, str) for later in operations[number:]):
                    events += self.objects.rest(step)
                self._show(events, step)
                events = []
                self._operate(operation, step)
            else:
                events += self.objects.operation(operation, step)
        events += self.objects.rest(step)
        self._show(events, step)
        return any(not is_shell(operation) for operation in operations)

    def _show(self, events: list[Event], step: Json) -> None:
        timeline = {int(t["what"].split()[1]): t["t"] for t in step.get("syncTimeline", ()) if "applied" in t["what"]}
        start_ns = self.clock.now_ns
        for number, (resource, obj, deleted) in enumerate(events):
            self._deliver(resource, obj, deleted=deleted)
            if timeline:
                due = timeline.get(number // 2, 0.0)
                self.clock.advance(max(0.0, due - (self.clock.now_ns - start_ns) / 1e9))

    def _deliver(self, resource: str, obj: Json, *, deleted: bool) -> None:
        key = (resource, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        if deleted:
            self.watched.pop(key, None)
        else:
            self.watched[key] = (resource, obj)
        if self.proxy is not None:
            self.proxy.on_object(resource, obj, deleted=deleted)
            self.clock.settle()

    def _operate(self, operation: str, step: Json) -> None:
        if operation == "start kube-proxy":
            self._start(step["config"])
        elif operation == "stop kube-proxy":
            self._stop()
        elif operation.startswith("kube-proxy --cleanup"):
            for complaint in clean_up(self.node):
                raise Unsupported(f"clean-up failed: {complaint}")
        elif operation.startswith("shell: all tables flushed"):
            for table in ("mangle", "filter", "nat"):
                self.node.netns.run(f"iptables -t {table} -F")
                self.node.netns.run(f"iptables -t {table} -X")
        elif operation.startswith("shell: "):
            self.node.netns.run(operation.removeprefix("shell: "))
        elif not operation.startswith(("label node", "taint", "pod ")) and "created" not in operation:
            raise Unsupported(f"operation {operation!r}", token=operation)

    def _start(self, document: Json) -> None:
        self._stop()
        self.syncs = {}
        self.proxy = KubeProxy("kp-node", config.parse(document), self.node, self.clock, choices=self.choices)
        for resource, obj in self.watched.values():
            self.proxy.on_object(resource, obj)
        self.proxy.start()
        self._before_settling()
        self.clock.settle()

    def _before_settling(self) -> None:
        """What a mode's replay does to the process before its first sync."""

    def _stop(self) -> None:
        if self.proxy is not None:
            self.proxy.stop()
        self.proxy = None

    def _wait(self, step: Json) -> None:
        """Until the syncs are done; as long as two sync periods when the recording saw one that nothing else caused."""
        if self.proxy is None:
            return
        min_period_s, period_s = self.proxy.config.sync_periods_s
        self.clock.advance(min_period_s + SETTLE_S)
        if not step["operations"]:
            waited_s = 0.0
            while waited_s < 2 * period_s and any(
                self._counts()[f] < n for f, n in self._recorded_counts(step).items()
            ):
                self.clock.advance(1)
                waited_s += 1

    # -- what is compared ------------------------------------------------------------------------------------------

    def _rule_differences(self, step: Json) -> Iterator[str]:
        self.rules.update(step.get("rules", {}))
        for name, diff in step.get("rulesDiff", {}).items():
            self.rules[name] = patched(self.rules[name], diff)
        for name in {**step.get("rules", {}), **step.get("rulesDiff", {})}:
            if name in RULE_DUMPS:
                command, compare = RULE_DUMPS[name]
                yield from (f"{name}: {text}" for text in compare(self.rules[name], self.node.run(command)))
        yield from threshold_differences(step, self.node)

    def _counts(self) -> dict[str, float]:
        assert self.proxy is not None
        name = "kubeproxy_sync_proxy_rules_duration_seconds"
        return {family: self.proxy.metrics.count(name, ip_family=family) for family in FAMILIES}

    @staticmethod
    def _recorded_counts(step: Json) -> dict[str, float]:
        counts = step.get("syncCountsSoFar") or {}
        return {family: counts[key] for family in FAMILIES for key in counts if family in key}

    def _sync_differences(self, step: Json, *, changed: bool) -> Iterator[str]:
        """A family synced when the real one did. How often depends on how far apart the recorder's writes were."""
        recorded = self._recorded_counts(step)
        if self.proxy is None or not recorded:
            return
        for family, count in self._counts().items():
            before, model_before = self.syncs.get(family, 0), self.syncs.get(f"model {family}", 0)
            real, model = recorded[family] - before, count - model_before
            if bool(real) != bool(model) or (not changed and real != model):
                yield f"{family}: {model:g} syncs instead of {real:g}"
            self.syncs[family], self.syncs[f"model {family}"] = recorded[family], count

    def _log_differences(self, step: Json) -> Iterator[str]:
        """kube-proxy has nothing to complain about, unless the step's name says that its sync failed."""
        proxiers = self.proxy.proxiers.values() if self.proxy else ()
        lines = [line.text for proxier in proxiers for line in proxier.log]
        said = [text for text in lines if text.startswith(SYNC_FAILED) or not text.startswith('"')]
        fails = "(fails)" in step["step"]
        if fails != bool(said):
            yield f"kube-proxy says: {said}"
        for proxier in proxiers:
            proxier.node.log.clear()

    def _packets(self, step: Json) -> Iterator[Difference]:
        listings = step.get("conntrack", ())
        for listing in (found for found in listings if "after sync" in found["when"]):
            yield from self._named(step, self.listings.differences(listing, self.node))
        hints = conntrack_hints(step)
        for probe in step.get("packets", ()):
            self.node.know_neighbours({probe["src"], probe["dst"]})
            for difference in probe_differences(self.node, probe, self.numbers, hints):
                yield Difference(f"{step['step']}: {difference.step}", difference.text)
        for listing in (found for found in listings if "after sync" not in found["when"]):
            yield from self._named(step, self.listings.differences(listing, self.node))
