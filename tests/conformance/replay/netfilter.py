"""Areas `netfilter/iptables` and `netfilter/nftables`: rules and packets into a namespace, compared with the kernel's."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

from fakecluster.errors import CommandError
from fakecluster.kernel.effects import Arp, Deliver, Effect, Log, SendError, Transmit
from fakecluster.kernel.netns import Netns
from fakecluster.kernel.routing import address_text
from fakecluster.sim import Seeded
from replay.netfilter_compare import packets_equal, save_lines, trace_of
from replay.netfilter_property import check_property
from replay.result import Difference, Recording

TIMEOUT_TOLERANCE_S = 2
LOADERS = (
    ("ipset", "ipset restore"),
    ("iptables", "iptables{}-restore"),
    ("ip6tables", "ip6tables{}-restore"),
    ("nft", "nft -f -"),
)
READERS = {
    **{name: name for name in ("iptables-save", "ip6tables-save", "iptables-legacy-save", "ip6tables-legacy-save")},
    "nft list ruleset": "nft list ruleset",
    "ipset save": "ipset save",
}


def replay(recording: Recording) -> Iterator[Difference]:
    data = named_by_backend(recording.data)
    netns = node(data["topology"])
    load(netns, data)
    yield from readback(netns, data.get("rules_readback", {}), "rules")
    if data.get("property"):
        yield from check_property(netns, data["property"])
        return
    for number, step in enumerate(data["steps"], 1):
        label = f"step {number}"
        if data.get("nondeterministic"):
            run_step(netns, step)
            continue
        yield from (Difference(label, text) for text in replay_step(netns, step))
    if not data.get("nondeterministic"):
        yield from counters(netns, data.get("counters_after", {}))


def named_by_backend(data: dict[str, Any]) -> dict[str, Any]:
    """The recording with its read-backs named after the tool that printed them (iptables-legacy-save)."""
    if data.get("backend") != "iptables-legacy":
        return data
    renamed = dict(data)
    for key in ("rules_readback", "counters_after"):
        renamed[key] = {name.replace("tables-", "tables-legacy-"): text for name, text in data.get(key, {}).items()}
    return renamed


def node(topology: dict[str, Any]) -> Netns:
    """The machine under test, as the recording describes it."""
    netns = Netns(topology.get("namespace", "node"), choices=Seeded(1))
    for device in topology["interfaces"]:
        if device["name"] != "lo":
            netns.add_interface(device["name"], mac=mac(device["mac"]), mtu=device.get("mtu", 1500))
    for name, value in topology.get("sysctls", {}).items():
        netns.sysctls[name] = value
    for address in topology["addresses"]:
        if address["iface"] != "lo":
            netns.run(f"ip address add {address['address']} dev {address['iface']}")
    for route in topology["routes"]:
        six = route.startswith("-6 ")
        netns.run(f"ip {'-6 ' if six else ''}route add {route.removeprefix('-6 ')}")
    for neighbour in topology["neighbours"]:
        address = ip_address(neighbour["ip"])
        netns.neighbours[address.version, int(address)] = mac(neighbour["mac"])
    for command in topology.get("extra_setup", []):
        netns.run(command)
    for listener in topology.get("listeners", []):
        listen(netns, listener)
    return netns


def listen(netns: Netns, listener: dict[str, Any]) -> None:
    address = ip_address(listener.get("addr", "0.0.0.0"))
    sock = netns.sockets.bind(listener["proto"], listener["port"], family=address.version, address=int(address))
    sock.transparent = bool(listener.get("transparent"))


def load(netns: Netns, data: dict[str, Any]) -> None:
    backend = "-legacy" if data.get("backend") == "iptables-legacy" else ""
    for key, command in LOADERS:
        if key in data["rules"]:
            netns.run(command.format(backend), data["rules"][key])


def readback(netns: Netns, expected: dict[str, str], step: str) -> Iterator[Difference]:
    for key, text in expected.items():
        command = READERS.get(key)
        if command is None:
            yield Difference(step, f"read-back {key!r} is not known")
            continue
        got, wanted = save_lines(netns.run(command), key), save_lines(text, key)
        for line in [line for line in wanted if line not in got][:3]:
            yield Difference(step, f"{key} lacks {line!r}")
        for line in [line for line in got if line not in wanted][:3]:
            yield Difference(step, f"{key} has too much: {line!r}")
        if sorted(got) == sorted(wanted) and got != wanted and key != "ipset save":
            yield Difference(step, f"{key} has its lines in another order")


def run_step(netns: Netns, step: dict[str, Any]) -> tuple[list[Effect], str]:
    """Carry one step out: its effects, and the errno text of a local send that failed."""
    if step.get("sleep_before"):
        netns.clock.advance(step["sleep_before"])
    action = step["action"]
    if action == "command":
        netns.run(step["argv"], step.get("stdin", ""))
        return [], ""
    if action == "wait":
        return [], ""
    packet = bytes.fromhex(step["packet"])
    try:
        if action == "inject":
            src, dst = mac(step.get("src_mac", "")), mac(step.get("dst_mac", ""))
            return netns.receive(
                packet, step["from"], src_mac=src or peer_mac(netns, step["from"]), dst_mac=dst, trace=True
            ), ""
        mark = step.get("socket_mark", 0) or 0
        return netns.send_local(packet, uid=step.get("uid", 0), mark=mark, trace=True), ""
    except SendError as error:
        return error.effects, SendError.TEXTS[error.name]


def peer_mac(netns: Netns, iface: str) -> bytes:
    """The far end of a veth: every neighbour behind it that the recording gives has it."""
    for address in netns.addresses.on(iface, 4):
        for (family, neighbour), found in netns.neighbours.items():
            if family == 4 and (address.covers(neighbour) or address.prefix == 32):
                route = netns.routes.lookup(4, neighbour)
                if route is not None and route.oif == iface:
                    return found
    return b""


def replay_step(netns: Netns, step: dict[str, Any]) -> Iterator[str]:
    try:
        effects, error = run_step(netns, step)
    except CommandError as failed:
        yield f"the command failed: {failed}"
        return
    expect = step["expect"]
    if expect.get("send_error", "") != error:
        yield f"send error {error!r} instead of {expect.get('send_error', '')!r}"
    if "outputs" in expect:
        yield from compare_outputs(effects, expect["outputs"])
    if "local" in expect:
        yield from compare_local(effects, expect["local"])
    if "nflog" in expect:
        yield from compare_logs(effects, expect["nflog"])
    if expect.get("trace"):
        got, wanted = trace_of(netns, effects), expect["trace"]
        if got != wanted:
            yield f"trace {got} instead of {wanted}"
    if "conntrack" in expect:
        yield from compare_conntrack(netns, expect["conntrack"], expect.get("conntrack_mask", []))
    for key, text in expect.get("counters", {}).items():
        yield from counter_lines(netns, key, text)


def compare_outputs(effects: list[Effect], expected: list[dict[str, Any]]) -> Iterator[str]:
    got = [effect for effect in effects if isinstance(effect, Transmit | Arp)]
    got = [effect for effect in got if not isinstance(effect, Arp) or effect.family == 4]
    ifaces = {effect.iface for effect in got} | {entry["iface"] for entry in expected}
    for iface in sorted(ifaces):
        mine = [effect for effect in got if effect.iface == iface]
        wanted = [entry for entry in expected if entry["iface"] == iface]
        if len(mine) != len(wanted):
            shown = [effect.packet.hex() if isinstance(effect, Transmit) else "arp" for effect in mine]
            yield f"{len(mine)} packets out of {iface} {shown} instead of {len(wanted)}"
            continue
        for effect, entry in zip(mine, wanted, strict=True):
            yield from compare_output(effect, entry)


def compare_output(effect: Transmit | Arp, entry: dict[str, Any]) -> Iterator[str]:
    if isinstance(effect, Arp) or "arp" in entry:
        if not (isinstance(effect, Arp) and "arp" in entry):
            yield f"{type(effect).__name__} out of {effect.iface} instead of {entry}"
        return
    if not packets_equal(effect.packet, bytes.fromhex(entry["packet"]), entry.get("mask", [])):
        yield f"packet out of {effect.iface} is {effect.packet.hex()} instead of {entry['packet']}"
    next_hop = address_text(effect.family, effect.next_hop)
    if entry.get("next_hop") and next_hop != entry["next_hop"]:
        yield f"next hop {next_hop} instead of {entry['next_hop']}"
    if entry.get("mark") is not None and effect.mark != entry["mark"]:
        yield f"mark {effect.mark:#x} out of {effect.iface} instead of {entry['mark']:#x}"
    if effect.generated != entry["generated"]:
        yield f"packet out of {effect.iface}: generated is {effect.generated}"


def compare_local(effects: list[Effect], expected: list[dict[str, Any]]) -> Iterator[str]:
    got = [effect for effect in effects if isinstance(effect, Deliver)]
    if len(got) != len(expected):
        yield f"{len(got)} packets delivered {[e.packet.hex() for e in got]} instead of {len(expected)}"
        return
    for effect, entry in zip(got, expected, strict=True):
        if not packets_equal(effect.packet, bytes.fromhex(entry["packet"]), entry.get("mask", [])):
            yield f"delivered {effect.packet.hex()} instead of {entry['packet']}"
        if effect.iface != entry["iface"] or (entry.get("mark") is not None and effect.mark != entry["mark"]):
            yield f"delivered by {effect.iface} mark {effect.mark:#x} instead of {entry['iface']} {entry.get('mark')}"
        if effect.generated != entry["generated"]:
            yield f"delivered packet: generated is {effect.generated}"


def compare_logs(effects: list[Effect], expected: list[dict[str, Any]]) -> Iterator[str]:
    got = [effect for effect in effects if isinstance(effect, Log) and effect.group is not None]
    if len(got) != len(expected):
        yield f"{len(got)} packets logged instead of {len(expected)}"
        return
    for log, entry in zip(got, expected, strict=True):
        mine = (log.group, log.prefix, log.hook.lower(), log.iif or None, log.oif or None, log.mark, log.packet.hex())
        hook = str(entry["hook"]).lower()
        wanted = (entry["group"], entry["prefix"], hook, entry["iif"] or None, entry["oif"] or None, entry["mark"] or 0)
        if mine != (*wanted, entry["packet"]):
            yield f"logged {mine} instead of {wanted}"


def compare_conntrack(netns: Netns, expected: list[dict[str, Any]], mask: list[str]) -> Iterator[str]:
    from replay.netfilter_compare import conntrack_lines, masked_entry

    got = sorted((masked_entry(line, mask), timeout) for line, timeout in conntrack_lines(netns))
    wanted = sorted((masked_entry(entry["entry"], mask), entry["timeout"]) for entry in expected)
    if [line for line, _ in got] != [line for line, _ in wanted]:
        yield f"conntrack {[line for line, _ in got]} instead of {[line for line, _ in wanted]}"
        return
    for (line, mine), (_, real) in zip(got, wanted, strict=True):
        if mine is not None and real is not None and abs(mine - real) > TIMEOUT_TOLERANCE_S:
            yield f"time-out {mine} instead of {real}: {line}"


def counters(netns: Netns, expected: dict[str, str]) -> Iterator[Difference]:
    for key, text in expected.items():
        yield from (Difference("end", line) for line in counter_lines(netns, key, text))


def counter_lines(netns: Netns, key: str, text: str) -> Iterator[str]:
    command = key if key.startswith(("nft", "ipset")) else f"{key.split()[0]} -c"
    got, wanted = save_lines(netns.run(command), key), save_lines(text, key)
    for line in [line for line in wanted if line not in got][:3]:
        yield f"counters: {key} lacks {line!r}"
    for line in [line for line in got if line not in wanted][:3]:
        yield f"counters: {key} has too much: {line!r}"


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))
