"""Malformed DNS packets: an answer, FORMERR or silence, never an exception.

As a script, `python tests/fuzz/test_dns.py --examples N` tries N packets and prints what became of them.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Callable

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import pytest

from fakecluster.discovery.chain import Waiting
from fakecluster.discovery.resolvconf import ResolvConf
from fakecluster.discovery.resolver import lookup, parsed
from fakecluster.discovery.server import DnsServer
from fakecluster.sim import Clock, Seeded

NAMES = (
    "web.shop.svc.cluster.local.", "_http._tcp.web.shop.svc.cluster.local.", "10-0-0-1.shop.pod.cluster.local.",
    "dns-version.cluster.local.", "5.5.96.10.in-addr.arpa.", "nope.cluster.local.", "example.com.", ".",
)  # fmt: skip
TYPES = ("A", "AAAA", "SRV", "PTR", "TXT", "NS", "SOA", "CNAME", "MX", "ANY", "AXFR", "TYPE65280")
EXAMPLES = 4000


def server() -> DnsServer:
    made = DnsServer(Clock(), Seeded(0))
    made.on_change({"kind": "Namespace", "metadata": {"name": "shop"}})
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
    spec = {"clusterIPs": ["10.96.5.5"], "ports": ports}
    made.on_change({"kind": "Service", "metadata": {"name": "web", "namespace": "shop"}, "spec": spec})
    return made


def query(chance: random.Random) -> bytes:
    """A well-formed query, to be spoilt."""
    message = dns.message.make_query(
        chance.choice(NAMES),
        chance.choice(TYPES),
        use_edns=chance.choice((-1, 0, 0, 1)),
        payload=chance.choice((0, 512, 4096)),
    )
    message.id = chance.randrange(65536)
    if chance.random() < 0.2:
        message.set_opcode(chance.randrange(16))
    return message.to_wire()


def flipped(data: bytes, chance: random.Random) -> bytes:
    spoilt = bytearray(data)
    for _ in range(chance.randrange(1, 4)):
        spoilt[chance.randrange(len(spoilt))] ^= 1 << chance.randrange(8)
    return bytes(spoilt)


def cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def longer(data: bytes, chance: random.Random) -> bytes:
    return data + chance.randbytes(chance.randrange(1, 40))


def counted(data: bytes, chance: random.Random) -> bytes:
    """Other numbers of questions and records than there are."""
    place = 4 + 2 * chance.randrange(4)
    return data[:place] + chance.choice((0, 1, 2, 255, 65535)).to_bytes(2) + data[place + 2 :]


def pointed(data: bytes, chance: random.Random) -> bytes:
    """A compression pointer in the name: to itself, ahead, or past the end."""
    return data[:12] + (0xC000 | chance.choice((12, 13, 0, 300, 0x3FFF))).to_bytes(2) + data[12 + chance.randrange(3) :]


def labelled(data: bytes, chance: random.Random) -> bytes:
    """Labels and names over the limits, and bytes that no host name has."""
    label = bytes([size := chance.choice((1, 63, 64, 191, 0))]) + chance.randbytes(size)
    return data[:12] + label * chance.choice((1, 4, 130)) + b"\0" + data[-4:]


def noise(data: bytes, chance: random.Random) -> bytes:
    return chance.randbytes(chance.randrange(600))


SPOILERS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    flipped,
    cut,
    longer,
    counted,
    pointed,
    labelled,
    noise,
)


def fate(made: DnsServer, packet: bytes, *, tcp: bool) -> str:
    """What becomes of a packet; fails for an answer that is none."""
    try:
        response = made.answer(packet, source="10.244.0.9", tcp=tcp)
    except Waiting:
        return "asked upstream"
    if response is None:
        assert len(packet) < 12 or packet[2] & 0x80, packet.hex()
        return "silence"
    assert response[:2] == packet[:2], packet.hex()
    assert response[2] & 0x80, packet.hex()
    message = dns.message.from_wire(response, raise_on_truncation=False)
    assert len(response) <= 65535 if tcp else max(512, 65535), packet.hex()
    return dns.rcode.to_text(message.rcode())


def tried(examples: int, seed: int) -> Counter[str]:
    chance, made, fates = random.Random(seed), server(), Counter[str]()
    for number in range(examples):
        packet = SPOILERS[number % len(SPOILERS)](query(chance), chance)
        fates[fate(made, packet, tcp=chance.random() < 0.3)] += 1
    return fates


def test_no_packet_makes_the_server_fail() -> None:
    fates = tried(EXAMPLES, seed=1)
    assert sum(fates.values()) == EXAMPLES
    assert {"FORMERR", "NOTIMP", "silence", "NOERROR", "NXDOMAIN", "asked upstream"} <= fates.keys(), fates


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        ("000100000001000000000000", "FORMERR"),  # a question is announced, and none is there
        ("00010000000000000000000000", "FORMERR"),  # no question
        ("000100000002000000000000" + "00000100010000010001", "FORMERR"),  # two questions
        ("000100000001000000000000c00c00010001", "FORMERR"),  # a name that points to itself
        ("000100000001000000000000" + "40" + "61" * 64 + "0000010001", "FORMERR"),  # a label of 64
        ("000100000001000000000000" + ("3f" + "61" * 63) * 4 + "0000010001", "FORMERR"),  # a name of 257
        ("000128000001000000000000" + "0000060001", "NOTIMP"),  # UPDATE
        ("000110000001000000000000" + "0000060001", "NOTIMP"),  # STATUS
    ],
)
def test_packets_that_are_wrong_are_answered_with_the_code_for_it(packet: str, code: str) -> None:
    response = server().answer(bytes.fromhex(packet))
    assert response is not None
    assert response[:2] == bytes.fromhex(packet)[:2]
    assert dns.rcode.to_text(dns.rcode.Rcode(response[3] & 15)) == code


@pytest.mark.parametrize("packet", [b"", b"\0" * 11, bytes.fromhex("000180000001000000000000") + b"\0\0\1\0\1"])
def test_what_is_no_query_is_answered_with_silence(packet: bytes) -> None:
    assert server().answer(packet) is None


def test_no_response_makes_the_resolver_fail() -> None:
    chance, made = random.Random(2), server()
    good = made.answer(dns.message.make_query(NAMES[0], "A", id=1).to_wire())
    assert good is not None
    taken = 0
    for number in range(EXAMPLES):
        spoilt = SPOILERS[number % len(SPOILERS)](good, chance)
        taken += parsed(spoilt, good) is not None
    assert 0 < taken < EXAMPLES


def test_a_look_up_survives_servers_that_send_rubbish() -> None:
    chance = random.Random(3)
    conf = ResolvConf(("10.96.0.10",), ("shop.svc.cluster.local", "svc.cluster.local"), ("ndots:5",))
    for flavour in ("glibc", "musl") * 20:
        steps = lookup("web", conf, lambda: 1, types=("A", "AAAA"), flavour=flavour)
        exchanges, status = next(steps), ""
        for _ in range(200):
            responses = [SPOILERS[chance.randrange(len(SPOILERS))](one.message, chance) for one in exchanges]
            try:
                exchanges = steps.send(responses)
            except StopIteration as end:
                status = end.value.status
                break
        assert status, "the look-up did not end"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--examples", type=int, default=100_000)
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    fates = tried(given.examples, given.seed)
    print(f"{given.examples} packets: " + ", ".join(f"{count} {fate}" for fate, count in fates.most_common()))


if __name__ == "__main__":
    main()
