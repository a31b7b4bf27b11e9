"""Small words that translated rules are made of, and what is said when there is none."""

from __future__ import annotations

from ipaddress import ip_address

IP = {4: "ip", 6: "ip6"}
#: The protocols with ports, as both languages call them.
PORT_PROTOCOLS = {6: "tcp", 17: "udp", 33: "dccp", 132: "sctp", 136: "udplite"}


class NoTranslation(Exception):
    """The other language has no faithful form of `what`."""

    def __init__(self, what: str, language: str = "nft") -> None:
        self.what = what
        super().__init__(f"no faithful form in {language}: {what}")


def address_word(value: int, family: int) -> str:
    return str(ip_address(value.to_bytes(4 if family == 4 else 16)))


def span_word(low: int, high: int, dash: str = "-") -> str:
    return str(low) if low == high else f"{low}{dash}{high}"
