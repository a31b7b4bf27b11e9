"""Names that kube-proxy derives from service ports: hashed iptables chain names.

hash(s) is the first 16 characters of base32(sha256(s)); iptables allows 28 characters for a chain.
Source: Kubernetes pkg/proxy/iptables/proxier.go (portProtoHash, servicePortEndpointChainName).
"""

from __future__ import annotations

from base64 import b32encode
from hashlib import sha256

from fakecluster.proxy.view import ServicePortName

#: A chain of table nat that begins like this belongs to a service and is deleted once nothing uses it.
SERVICE_CHAIN_PREFIXES = ("KUBE-SVC-", "KUBE-SVL-", "KUBE-FW-", "KUBE-EXT-", "KUBE-SEP-")


def base32_hash(text: str, length: int) -> str:
    """The first characters of the base32 form of a SHA-256 hash."""
    # 5 bytes make 8 characters: encode no more of the digest than is wanted.
    return b32encode(sha256(text.encode()).digest()[: -(-length // 8) * 5])[:length].decode()


def service_hash(name: ServicePortName) -> str:
    """What follows ``KUBE-SVC-``, ``KUBE-SVL-``, ``KUBE-EXT-`` and ``KUBE-FW-``."""
    return base32_hash(f"{name}{name.protocol.lower()}", 16)


def endpoint_chain(name: ServicePortName, endpoint: str) -> str:
    """The ``KUBE-SEP-`` chain of one endpoint, given as ``ip:port``."""
    return "KUBE-SEP-" + base32_hash(f"{name}{name.protocol.lower()}{endpoint}", 16)


def is_service_chain(chain: str) -> bool:
    return chain.startswith(SERVICE_CHAIN_PREFIXES)
