"""Area `ipvs`: a script of connections, datagrams and ipvsadm commands against one director."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from replay.ipvs_wire import Outcome, Wire, director, end_of
from replay.result import Difference, Recording

#: Seconds that a failed connect takes when the recording does not say.
CONNECT_TIMEOUT_S = 0.6
#: `expires` was read a moment after the operation, and the kernel's timers are late by an eighth at most.
LATE_S, LATE_PART = 2, 8
OPTIONS = {"TCP": "-t", "UDP": "-u", "SCTP": "--sctp-service"}


def replay(recording: Recording) -> Iterator[Difference]:
    script = _Script(recording.data)
    for number, step in enumerate(recording.data["steps"]):
        name = f"{number} {step['op']} {step.get('client') or step.get('dest') or ''}".strip()
        yield from (Difference(name, text) for text in script.run(step))
    yield from (Difference("end", text) for text in script.end())


class _Script:
    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        self.netns = director()
        self.wire = Wire(self.netns)
        self.scheduler, self.persistent = data["scheduler"], data["persistent"]
        self.option = OPTIONS[data["protocol"]]
        self.vips: list[str] = data.get("vips") or [data["vip"]]
        self._set_up()

    def _set_up(self) -> None:
        data, run = self.data, self.netns.run
        for name, value in data["sysctls"].items():
            run(f"sysctl -w net.ipv4.vs.{name}={value}")
        if data.get("director_conntrack"):
            run("iptables -A FORWARD -m conntrack --ctstate INVALID")
        if data["timeouts"]:
            run("ipvsadm --set {tcp} {tcpfin} {udp}".format(**data["timeouts"]))
        for vip in self.vips:
            family = end_of(vip)[0]
            host = vip.rpartition(":")[0].strip("[]")
            run(f"ip address add {host}/{32 if family == 4 else 128} dev kube-ipvs0")
            run(f"ipvsadm -A {self._service(vip)} {self._settings()}")
            for each in data["destinations"]:
                limits = f"-x {each.get('u_threshold', 0)} -y {each.get('l_threshold', 0)}"
                run(f"ipvsadm -a {self._service(vip)} -r {each['address']} -m -w {each['weight']} {limits}")

    def _service(self, vip: str) -> str:
        return f"{self.option} {vip}"

    def _settings(self) -> str:
        words = [f"-s {self.scheduler}"]
        flags = [flag for flag in self.data["flags"] if flag != "ops"]
        if flags:
            words.append(f"-b {','.join(flags)}")
        if "ops" in self.data["flags"] or self.data.get("ops"):
            words.append("-o")
        if self.persistent:
            words.append(f"-p {self.persistent['timeout']}")
            if "mask" in self.persistent:
                words.append(f"-M {self.persistent['mask']}")
        return " ".join(words)

    # --- steps

    def run(self, step: dict[str, Any]) -> Iterator[str]:
        yield from _STEPS[step["op"]](self, step)
        vip = step.get("vip", self.vips[0])
        if "after" in step:
            yield from _compare("destinations", list(step["after"].items()), self._destinations(vip))
        if "conns" in step:
            yield from self._compare_connections(step["conns"])

    def connect(self, step: dict[str, Any]) -> Iterator[str]:
        vip = step.get("vip", self.vips[0])
        outcome = self.wire.connect(step["client"], vip, step.get("timeout", CONNECT_TIMEOUT_S))
        yield from _judge(step, outcome)
        if not outcome.error:
            late = outcome.elapsed_s > 0.9
            if late != ("elapsed" in step):
                yield f"took {outcome.elapsed_s} s instead of {step.get('elapsed', 0)}"

    def send(self, step: dict[str, Any]) -> Iterator[str]:
        client, vip = step["client"], step.get("vip", self.vips[0])
        if "existing_entry" in step and step["existing_entry"] != self._has_entry(client):
            yield f"existing entry: {not step['existing_entry']} instead of {step['existing_entry']}"
        answered = "ops" not in self.data["flags"]
        yield from _judge(step, self.wire.datagram(client, vip, answered=answered))

    def data_byte(self, step: dict[str, Any]) -> Iterator[str]:
        outcome = self.wire.data(step["client"])
        if step["delivered"] != (not outcome.error) or step.get("error") != outcome.error.get("error"):
            yield f"data: {outcome} instead of {step['delivered']} {step.get('error', '')}"

    def close(self, step: dict[str, Any]) -> Iterator[str]:
        if step["client"] not in self.wire.flows:
            yield "the connection is not open"
        else:
            self.wire.close(step["client"], step["how"])

    def set_weight(self, step: dict[str, Any]) -> Iterator[str]:
        return self._change("-e", step)

    def add(self, step: dict[str, Any]) -> Iterator[str]:
        return self._change("-a", step)

    def remove(self, step: dict[str, Any]) -> Iterator[str]:
        return self._change("-d", step)

    def _change(self, verb: str, step: dict[str, Any]) -> Iterator[str]:
        more = f" -m -w {step['weight']}" if verb != "-d" else ""
        for option, name in (("-x", "u_threshold"), ("-y", "l_threshold")):
            more += f" {option} {step[name]}" if name in step else ""
        for vip in [step["vip"]] if "vip" in step else self.vips:
            self.netns.run(f"ipvsadm {verb} {self._service(vip)} -r {step['dest']}{more}")
        self.netns.clock.settle()
        yield from ()

    def edit_service(self, step: dict[str, Any]) -> Iterator[str]:
        self.scheduler = step.get("scheduler", self.scheduler)
        self.persistent = step.get("persistent", self.persistent)
        self.netns.run(f"ipvsadm -E {self._service(step.get('vip', self.vips[0]))} {self._settings()}")
        yield from ()

    def advance(self, step: dict[str, Any]) -> Iterator[str]:
        self.netns.clock.advance(step["seconds"])
        yield from ()

    # --- what there is

    def _destinations(self, vip: str) -> list[tuple[str, dict[str, int]]]:
        lines = self.netns.run(f"ipvsadm -Ln --nosort {self._service(vip)}").splitlines()
        found = []
        for line in lines[3:]:
            _, where, _, weight, active, inactive = line.split()
            found.append((where, {"weight": int(weight), "active": int(active), "inactive": int(inactive)}))
        return found

    def _connections(self) -> list[dict[str, Any]]:
        found = []
        for line in self.netns.run("ipvsadm -Lnc").splitlines()[2:]:
            protocol, time, state, client, virtual, server = line.split()
            minutes, seconds = time.split(":")
            expires = int(minutes) * 60 + int(seconds)
            found.append({
                "proto": protocol, "client": client, "vip": virtual, "dest": server, "state": state,
                "expires": expires,
            })  # fmt: skip
        return found

    def _has_entry(self, client: str) -> bool:
        return any(entry["client"] == client for entry in self._connections())

    def _compare_connections(self, expected: list[dict[str, Any]]) -> Iterator[str]:
        def key(entry: dict[str, Any]) -> tuple[Any, ...]:
            return tuple(entry[name] for name in ("proto", "client", "vip", "dest", "state"))

        found = sorted(self._connections(), key=key)
        expected = sorted(expected, key=key)
        yield from _compare("entries", [key(entry) for entry in expected], [key(entry) for entry in found])
        for mine, theirs in zip(found, expected, strict=False):
            if abs(mine["expires"] - theirs["expires"]) > LATE_S + theirs["expires"] // LATE_PART:
                yield f"{mine['client']} expires in {mine['expires']} s instead of {theirs['expires']}"

    def end(self) -> Iterator[str]:
        order = [where for where, _ in self._destinations(self.vips[0])]
        yield from _compare("order of destinations", self.data["kernel_destination_order"], order)
        recorded = self.data["ipvsadm_stats_at_end"]
        text = self.netns.run("ipvsadm -Ln --stats --exact --nosort")
        found = text.splitlines()[: len(recorded)]
        if len(self.vips) == 1:  # packets may have been sent again, connections are counted once
            yield from _compare("statistics", [_conns(line) for line in recorded], [_conns(line) for line in found])


def _conns(line: str) -> list[str]:
    return line.split()[: 3 if line.startswith(("TCP", "UDP", "  ->")) else None]


def _judge(step: dict[str, Any], outcome: Outcome) -> Iterator[str]:
    if step["dest"] != outcome.server:
        yield f"reached {outcome.server} instead of {step['dest']}"
    error = {name: step[name] for name in ("error", "type", "code") if name in step}
    if error != outcome.error:
        yield f"error {outcome.error} instead of {error}"


def _compare(what: str, expected: list[Any], found: list[Any]) -> Iterator[str]:
    if expected != found:
        lost = [each for each in expected if each not in found]
        extra = [each for each in found if each not in expected]
        yield f"{what}: {extra} instead of {lost}" if lost or extra else f"{what}: order {found} instead of {expected}"


_STEPS: dict[str, Callable[[_Script, dict[str, Any]], Iterator[str]]] = {
    "connect": _Script.connect,
    "send": _Script.send,
    "data": _Script.data_byte,
    "close": _Script.close,
    "set_weight": _Script.set_weight,
    "add": _Script.add,
    "remove": _Script.remove,
    "edit_service": _Script.edit_service,
    "advance": _Script.advance,
}
