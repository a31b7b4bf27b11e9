"""What chains and sets are called on a node.

iptables' chains have at most 28 characters and sets 31: what does not fit is a hash. nftables' names say what they are.
"""

from __future__ import annotations

import re
from base64 import b32encode
from functools import lru_cache
from hashlib import sha256

from fakecluster.policy.model import ADMIN, BASELINE, INGRESS, NETWORK, Block, NodeGroup, PodGroup
from fakecluster.policy.rules import Chain
from fakecluster.policy.view import SetKey

#: nftables' names have at most 255 characters.
LONGEST = 200
HASH_LETTERS = 16
_NOT_PLAIN = re.compile(r"[^ -\[\]-~]")
_TIERS = {ADMIN: "-ADMIN", NETWORK: "", BASELINE: "-BASELINE"}
SetName = SetKey | Block


@lru_cache(maxsize=65536)
def hashed(*words: str) -> str:
    """16 capital letters and digits."""
    return b32encode(sha256("|".join(words).encode()).digest()).decode()[:HASH_LETTERS]


def iptables_chain(chain: Chain) -> str:
    if chain.kind == "stage":
        return f"NP-{chain.direction.upper()}{_TIERS[chain.tier]}"
    way = "IN" if chain.direction == INGRESS else "OUT"
    return f"NP-{'POD-' if chain.kind == 'pod' else ''}{way}-{hashed(chain.kind, chain.tier, chain.what)}"


def nftables_chain(chain: Chain) -> str:
    tier = _TIERS[chain.tier].lower()
    if chain.kind == "stage":
        return f"{chain.direction.lower()}{tier}"
    start = f"{chain.kind}-{chain.direction.lower()}{tier}-{hashed(chain.kind, chain.tier, chain.what)[:8]}"
    return f"{start}-{chain.what.replace(' ', '-')}"[:LONGEST]


def set_words(name: SetName) -> str:
    """What a set holds, in words that differ for different sets."""
    if isinstance(name, Block):
        return " but ".join((name.cidr, *name.holes))
    if isinstance(name, PodGroup):
        where = name.namespace or f"namespaces({name.namespaces})"
        return f"{where}/pods({name.pods})"
    if isinstance(name, NodeGroup):
        return f"nodes({name.nodes})"
    return f"port {name[0]}/{name[1] or 'any'}"


def set_name(name: SetName) -> str:
    """`PODS-...`, `NODE-...`, `PORT-...` or `NET-...`."""
    return f"{_SETS[type(name)]}-{hashed(set_words(name))}"


_SETS = {PodGroup: "PODS", NodeGroup: "NODE", Block: "NET", tuple: "PORT"}


def comment_text(comment: str, longest: int) -> str:
    """A comment as both languages take it between double quotes: printable ASCII, at most so many letters."""
    return _NOT_PLAIN.sub("?", comment.replace('"', "'"))[:longest]
