"""ipset's language: set types, elements, save files."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakecluster.errors import RuleSyntaxError, Unsupported
from fakecluster.rules.ipset import parse, read
from fakecluster.rules.ipset_elements import element_text, elements

ADDRESSES = st.integers(0x0A000001, 0x0AFFFFFE).map(
    lambda value: ".".join(str(value >> at & 255) for at in (24, 16, 8, 0))
)
PORTS = st.tuples(st.sampled_from(("tcp", "udp", "sctp")), st.integers(1, 65535)).map(
    lambda pair: f"{pair[0]}:{pair[1]}"
)
#: set type -> strategy of single members, as ipset save prints them
MEMBERS = {
    "hash:ip": ADDRESSES,
    "hash:net": st.tuples(ADDRESSES, st.integers(8, 31)).map(lambda pair: _network(*pair)),
    "hash:ip,port": st.tuples(ADDRESSES, PORTS).map(",".join),
    "hash:ip,port,ip": st.tuples(ADDRESSES, PORTS, ADDRESSES).map(",".join),
    "bitmap:port": st.integers(0, 65535).map(str),
}


def _network(address: str, length: int) -> str:
    value = int.from_bytes(bytes(map(int, address.split(".")))) >> 32 - length << 32 - length
    return f"{'.'.join(map(str, value.to_bytes(4)))}/{length}"


def options_of(kind: str):  # type: ignore[no-untyped-def]
    extra = " range 0-65535" if kind == "bitmap:port" else ""
    command = read(f"create s {kind}{extra}".split())
    assert command.options is not None
    return command.options


@given(st.sampled_from(sorted(MEMBERS)).flatmap(lambda kind: st.tuples(st.just(kind), MEMBERS[kind])))
@settings(max_examples=150, deadline=None)
def test_a_member_prints_as_it_was_read(drawn: tuple[str, str]) -> None:
    kind, text = drawn
    options = options_of(kind)
    assert [element_text(options, each) for each in elements(options, text)] == [text]


@pytest.mark.parametrize(
    ("line", "printed"),
    [
        ("create a hash:ip", "hash:ip family inet hashsize 1024 maxelem 65536 bucketsize 12"),
        (
            "create a hash:net family inet6 timeout 60",
            "hash:net family inet6 hashsize 1024 maxelem 65536 timeout 60 bucketsize 12",
        ),
        ("create a bitmap:port range 80-90", "bitmap:port range 80-90"),
    ],
)
def test_options_print_with_their_defaults(line: str, printed: str) -> None:
    command = read(line.split())
    assert str(command.options) == printed


def test_a_network_adds_all_its_addresses() -> None:
    found = elements(options_of("hash:ip"), "10.0.0.0/30")
    assert [element_text(options_of("hash:ip"), each) for each in found] == [
        "10.0.0.0",
        "10.0.0.1",
        "10.0.0.2",
        "10.0.0.3",
    ]


@pytest.mark.parametrize("line", ["create a", "create a hash:nonsense", "add", "frob x", "create a hash:ip family ipx"])
def test_wrong_commands_are_refused(line: str) -> None:
    with pytest.raises((RuleSyntaxError, Unsupported)):
        parse(line + "\n")


@given(st.text(max_size=120))
@settings(max_examples=150, deadline=None)
def test_garbage_is_refused_not_crashed_on(text: str) -> None:
    for garbage in (text, f"create {text}", f"add s {text}"):
        try:
            parse(garbage + "\n")
        except (RuleSyntaxError, Unsupported):
            continue
