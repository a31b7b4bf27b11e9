"""Names that kube-proxy derives from service ports: hashed iptables chain names.

hash(s) is the first 16 characters of base32(sha256(s)); iptables allows 28 characters for a chain.
Source: Kubernetes pkg/proxy/iptables/proxier.go (portProtoHash, servicePortEndpointChainName).
"""

from __future__ import annotations

from base64 import b32encode
from collections.abc import Callable
from hashlib import sha256
from itertools import product

from fakecluster.proxy.view import ServicePortName

#: A chain of table nat that begins like this belongs to a service and is deleted once nothing uses it.
SERVICE_CHAIN_PREFIXES = ("KUBE-SVC-", "KUBE-SVL-", "KUBE-FW-", "KUBE-EXT-", "KUBE-SEP-")


def base32_hash(text: str, length: int) -> str:
    """The first characters of the base32 form of a SHA-256 hash."""
    # 5 bytes make 8 characters: encode no more of the digest than is wanted.
    return b32encode(sha256(text.encode()).digest()[: -(-length // 8) * 5])[:length].decode()


#: Two base32 letters for each number of ten bits: a chain name is eight of them.
_PAIRS = tuple(map("".join, product("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", repeat=2)))


def service_hash(name: ServicePortName) -> str:
    """What follows ``KUBE-SVC-``, ``KUBE-SVL-``, ``KUBE-EXT-`` and ``KUBE-FW-``."""
    return base32_hash(f"{name}{name.protocol.lower()}", 16)


def endpoint_chains(name: ServicePortName) -> Callable[[str], str]:
    """Gives the ``KUBE-SEP-`` chain of each endpoint of a service port, the endpoint given as ``ip:port``."""
    start, pairs = sha256(f"{name}{name.protocol.lower()}".encode()), _PAIRS

    def chain(endpoint: str) -> str:
        digest = start.copy()
        digest.update(endpoint.encode())
        n = int.from_bytes(digest.digest()[:10])
        return (
            f"KUBE-SEP-{pairs[n >> 70]}{pairs[n >> 60 & 1023]}{pairs[n >> 50 & 1023]}{pairs[n >> 40 & 1023]}"
            f"{pairs[n >> 30 & 1023]}{pairs[n >> 20 & 1023]}{pairs[n >> 10 & 1023]}{pairs[n & 1023]}"
        )

    return chain


def endpoint_chain(name: ServicePortName, endpoint: str) -> str:
    """The ``KUBE-SEP-`` chain of one endpoint, given as ``ip:port``."""
    return endpoint_chains(name)(endpoint)


def is_service_chain(chain: str) -> bool:
    return chain.startswith(SERVICE_CHAIN_PREFIXES)
