"""The `hosts` plugin: names from lines as in /etc/hosts, written inline in the Corefile (plugin/hosts)."""

from __future__ import annotations

from ipaddress import ip_address

import attrs

from fakecluster.discovery.chain import Environment, Handler, Next, fallthrough_zones, in_zones, number, wrong
from fakecluster.discovery.corefile import Directive, zones_in
from fakecluster.discovery.kubernetes import absolute, address_of_reverse
from fakecluster.discovery.records import Answer, Question, Record
from fakecluster.errors import Unsupported

DEFAULT_TTL_S = 3600


@attrs.frozen
class HostsFile:
    addresses: dict[str, list[str]]  # absolute lower-case name -> addresses
    names: dict[str, list[str]]  # address -> absolute names
    ttl_s: int
    reverse: bool
    fallthrough: tuple[str, ...] | None


def hosts(directive: Directive, environment: Environment) -> Handler:
    arguments = list(directive.arguments)
    names_file = bool(arguments) and "/" in arguments[0] and not arguments[0][0].isdigit()
    if names_file and arguments.pop(0) != "/etc/hosts":
        raise Unsupported("a hosts file other than inline entries", line=directive.line, source="Corefile")
    zones = zones_in(directive, arguments) or environment.zones
    table = hosts_file(directive)

    def handle(question: Question, ask_next: Next) -> Answer:
        if not in_zones(question.lower, zones):
            return ask_next(question)
        records = answers(table, question)
        if records:
            return Answer.of(records)
        if question.lower in table.addresses and not (
            table.fallthrough and in_zones(question.lower, table.fallthrough)
        ):
            return Answer()
        if table.fallthrough is not None and in_zones(question.lower, table.fallthrough):
            return ask_next(question)
        return Answer("SERVFAIL", authoritative=False)

    return handle


def hosts_file(directive: Directive) -> HostsFile:
    addresses: dict[str, list[str]] = {}
    names: dict[str, list[str]] = {}
    ttl, reverse, fallthrough = DEFAULT_TTL_S, True, None
    for line in directive.block:
        match line.name:
            case "ttl":
                ttl = number(line, 0)
            case "no_reverse":
                reverse = False
            case "fallthrough":
                fallthrough = fallthrough_zones(line)
            case "reload":
                pass
            case _:
                try:
                    ip = str(ip_address(line.name))
                except ValueError:
                    raise wrong(line, f"unknown property '{line.name}'") from None
                for name in line.arguments:
                    addresses.setdefault(absolute(name.lower()), []).append(ip)
                    names.setdefault(ip, []).append(absolute(name.lower()))
    return HostsFile(addresses, names, ttl, reverse, fallthrough)


def answers(table: HostsFile, question: Question) -> list[Record]:
    if question.type in ("A", "AAAA"):
        version = 4 if question.type == "A" else 6
        found = table.addresses.get(question.lower, [])
        wanted = [ip for ip in found if ip_address(ip).version == version]
        return [Record(question.name, table.ttl_s, question.type, ip) for ip in wanted]
    if question.type == "PTR" and table.reverse:
        names = table.names.get(address_of_reverse(question.lower), [])
        return [Record(question.name, table.ttl_s, "PTR", name) for name in names]
    return []
