"""ip(8) in a namespace: address, route, link, rule, neigh."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from fakecluster.errors import CommandError
from fakecluster.kernel.interfaces import InterfaceAddress
from fakecluster.kernel.packet import is_link_local
from fakecluster.kernel.routing import BITS, PolicyRule, Route, address_text
from fakecluster.rules import iproute

if TYPE_CHECKING:
    from fakecluster.kernel.netns import Netns

KERNEL_ANSWER = "RTNETLINK answers: {}\n"


def ip(netns: Netns, argv: tuple[str, ...], stdin: str) -> str:
    """ip(8): address, route, link, rule."""
    command = iproute.parse(argv)
    try:
        match command:
            case iproute.AddressCommand():
                return _address(netns, argv, command)
            case iproute.RouteCommand():
                return _route(netns, argv, command)
            case iproute.LinkCommand():
                return _link(netns, argv, command)
            case iproute.RuleCommand():
                return _rule(netns, command)
            case iproute.NeighbourCommand():
                return _neighbour(netns, argv, command)
    except ValueError as refused:
        raise CommandError(argv, 2, KERNEL_ANSWER.format(refused)) from None


def _address(netns: Netns, argv: tuple[str, ...], command: iproute.AddressCommand) -> str:
    if command.verb == "show":
        return address_listing(netns, command.device)
    if command.device not in netns.interfaces:
        raise CommandError(argv, 1, f'Cannot find device "{command.device}"\n')
    if command.verb == "flush":
        netns.addresses.flush(command.device)
        return ""
    if command.verb == "del":
        netns.addresses.remove(command.device, command.address, command.prefix, command.family)
        return ""
    family, scope = command.family, command.scope
    if is_link_local(command.address):
        scope = "link"
    address = InterfaceAddress(family, command.address, command.prefix, scope, peer=command.peer)
    try:
        netns.addresses.add(command.device, address)
    except ValueError:
        if command.verb != "replace":
            raise
    return ""


def address_listing(netns: Netns, device: str = "") -> str:
    """`ip address show`, without the fields that have no meaning here."""
    lines = []
    for iface in netns.interfaces.values():
        if device and iface.name != device:
            continue
        flags = "LOOPBACK,UP,LOWER_UP" if iface.is_loopback else "BROADCAST,MULTICAST,UP,LOWER_UP"
        lines.append(f"{iface.index}: {iface.name}: <{flags}> mtu {iface.mtu}\n")
        for address in iface.addresses:
            word = "inet" if address.family == 4 else "inet6"
            text = address_text(address.family, address.address)
            secondary = " secondary" if address.secondary else ""
            lines.append(f"    {word} {text}/{address.prefix} scope {address.scope}{secondary} {iface.name}\n")
    return "".join(lines)


def _route(netns: Netns, argv: tuple[str, ...], command: iproute.RouteCommand) -> str:
    if command.verb == "show":
        shown = netns.routes.tables[command.family].get(command.table, ())
        return "".join(f"{route_text(route)}\n" for route in shown)
    if command.device and command.device not in netns.interfaces:
        raise CommandError(argv, 1, f'Cannot find device "{command.device}"\n')
    if command.verb == "flush":
        table = netns.routes.tables[command.family].get(command.table)
        for route in list(table or ()):
            if table is not None and (not command.device or route.oif == command.device):
                table.remove(route)
        netns.routes.changed()
        return ""
    route = _resolve(netns, command)
    if command.verb == "del":
        netns.routes.remove(route)
        return ""
    if command.verb == "replace":
        for other in list(netns.routes.table(route.family, route.table)):
            same = (other.destination, other.prefix, other.metric) == (route.destination, route.prefix, route.metric)
            if same:
                netns.routes.table(route.family, route.table).remove(other)
    netns.routes.add(route, exclusive=command.verb != "append")
    return ""


def _resolve(netns: Netns, command: iproute.RouteCommand) -> Route:
    """The route that a command means: its device found from the gateway, defaults as the kernel fills them in."""
    device, family = command.device, command.family
    scope = command.scope or ("link" if command.kind == "unicast" and not command.gateway else "global")
    if command.gateway and command.verb != "del":
        way = netns.routes.lookup(family, command.gateway, oif=device)
        if way is None or way.kind != "unicast" or (way.gateway and not command.onlink):
            if not (command.onlink and device):
                raise ValueError("Network is unreachable" if family == 4 else "No route to host")
        else:
            device = device or way.oif
    elif not device and command.kind in ("unicast", "broadcast") and command.verb != "del":
        raise ValueError("No such device")
    if command.kind in ("blackhole", "unreachable", "prohibit"):
        device = device or ("lo" if family == 6 else "")
    metric = command.metric or (1024 if family == 6 and command.verb != "del" else 0)
    return Route(
        family, command.destination, command.prefix, command.kind, device, command.gateway, command.source, metric,
        scope, command.table, command.protocol, command.mtu, command.onlink,
    )  # fmt: skip


def route_text(route: Route) -> str:
    """A route as `ip route show` prints it."""
    bits = BITS[route.family]
    where = address_text(route.family, route.destination)
    destination = "default" if not route.prefix else where if route.prefix == bits else f"{where}/{route.prefix}"
    words = [destination] if route.kind == "unicast" else [route.kind, destination]
    if route.gateway:
        words += ["via", address_text(route.family, route.gateway)]
    if route.oif and route.kind not in ("blackhole", "unreachable", "prohibit"):
        words += ["dev", route.oif]
    if route.protocol != "boot":
        words += ["proto", route.protocol]
    if route.scope in ("link", "host") and route.family == 4:
        words += ["scope", route.scope]
    if route.prefsrc:
        words += ["src", address_text(route.family, route.prefsrc)]
    if route.metric:
        words += ["metric", str(route.metric)]
    if route.mtu:
        words += ["mtu", str(route.mtu)]
    if route.onlink:
        words.append("onlink")
    return " ".join(words)


def _link(netns: Netns, argv: tuple[str, ...], command: iproute.LinkCommand) -> str:
    if command.verb == "show":
        return "".join(
            f"{iface.index}: {iface.name}: mtu {iface.mtu} link/{iface.kind} {iface.mac.hex(':')}\n"
            for iface in netns.interfaces.values()
            if command.device in ("", iface.name)
        )
    if command.verb == "add":
        kind = command.kind or "dummy"
        netns.add_interface(command.device, kind=kind, mac=command.mac or b"", mtu=command.mtu or 1500)
        if command.peer:
            netns.add_interface(command.peer, kind=kind)
        return ""
    if command.device not in netns.interfaces:
        raise CommandError(argv, 1, f'Cannot find device "{command.device}"\n')
    if command.verb == "del":
        netns.remove_interface(command.device)
        return ""
    device = netns.interfaces[command.device]
    if command.mtu is not None:
        device.mtu = command.mtu
    if command.mac is not None:
        device.mac = command.mac
    if command.up is not None:
        device.up = command.up
    if command.master is not None:
        device.master = command.master
    if command.arp is not None:
        device.noarp = not command.arp
    netns.routes.changed()
    return ""


def _rule(netns: Netns, command: iproute.RuleCommand) -> str:
    rules = netns.routes.rules[command.family]
    if command.verb == "show":
        return "".join(f"{rule_text(rule)}\n" for rule in rules)
    if command.verb == "flush":
        for rule in [rule for rule in rules if rule.priority]:
            netns.routes.remove_rule(rule)
        return ""
    priority = command.priority
    wanted = PolicyRule(
        command.family, 0, command.table, command.source, command.destination, command.mark, command.mark_mask,
        command.iif, command.oif, 0, command.action,
    )  # fmt: skip
    if command.verb == "del":
        found = [r for r in rules if attrs.evolve(r, priority=0) == wanted and priority in (None, r.priority)]
        if not found:
            raise ValueError("No such file or directory")
        netns.routes.remove_rule(found[0])
        return ""
    if priority is None:
        later = [rule.priority for rule in rules if rule.priority]
        priority = min(later, default=32766) - 1
    netns.routes.add_rule(attrs.evolve(wanted, priority=priority))
    return ""


def rule_text(rule: PolicyRule) -> str:
    """A policy rule as `ip rule show` prints it."""

    def prefix(value: tuple[int, int]) -> str:
        network, length = value
        text = address_text(rule.family, network)
        return "all" if not length else text if length == BITS[rule.family] else f"{text}/{length}"

    words = [f"{rule.priority}:\tfrom {prefix(rule.source)}"]
    if rule.destination[1]:
        words.append(f"to {prefix(rule.destination)}")
    if rule.mark_mask:
        mask = f"/{rule.mark_mask:#x}" if rule.mark_mask != 0xFFFFFFFF else ""
        words.append(f"fwmark {rule.mark:#x}{mask}")
    if rule.iif:
        words.append(f"iif {rule.iif}")
    if rule.oif:
        words.append(f"oif {rule.oif}")
    names = {number: name for name, number in iproute.TABLES.items()}
    words.append(f"lookup {names.get(rule.table, rule.table)}" if rule.action == "lookup" else rule.action)
    return " ".join(words)


def _neighbour(netns: Netns, argv: tuple[str, ...], command: iproute.NeighbourCommand) -> str:
    key, known = (command.family, command.address), netns.neighbours
    if command.verb == "show":
        return "".join(
            f"{address_text(family, address)} lladdr {mac.hex(':')} PERMANENT\n"
            for (family, address), mac in known.items()
            if command.family in (0, family)
        )
    if command.device and command.device not in netns.interfaces:
        raise CommandError(argv, 1, f'Cannot find device "{command.device}"\n')
    if command.verb == "flush":
        known.clear()
    elif command.verb == "del":
        if known.pop(key, None) is None:
            raise ValueError("No such file or directory")
    elif command.verb == "add" and key in known:
        raise ValueError("File exists")
    else:
        known[key] = command.mac
    return ""
