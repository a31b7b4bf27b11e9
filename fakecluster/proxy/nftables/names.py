"""Names that nftables mode derives from service ports and endpoints.

base = H8-N, where N is ``namespace/name/protocol/port-name`` (for endpoints followed by ``__IP/port``, colons written as
dots) and H8 the first 8 characters of base32(sha256(N)). Source: Kubernetes pkg/proxy/nftables/proxier.go.
"""

from __future__ import annotations

from fakecluster.proxy.names import base32_hash
from fakecluster.proxy.view import Endpoint, ServicePortName

#: Longest base that is kept whole; the kernel allows 256 bytes for a chain or set name.
MAX_BASE_LENGTH = 240
_HASH_LENGTH = 8
_CUT = "..."


def service_base(name: ServicePortName) -> str:
    """What follows ``service-``, ``local-``, ``external-`` and ``firewall-``."""
    return _hashed(_service_text(name))


def endpoint_base(name: ServicePortName, endpoint: Endpoint) -> str:
    """What follows ``endpoint-`` and ``affinity-``."""
    return _hashed(f"{_service_text(name)}__{endpoint.ip.replace(':', '.')}/{endpoint.port}")


def is_service_chain(chain: str) -> bool:
    """Chains of Services and endpoints are told from the fixed ones by the slashes in their names."""
    return "/" in chain


def is_affinity_set(name: str) -> bool:
    return name.startswith("affinity-")


def _service_text(name: ServicePortName) -> str:
    return f"{name.namespace}/{name.name}/{name.protocol.lower()}/{name.port}"


def _hashed(text: str) -> str:
    base = f"{base32_hash(text, _HASH_LENGTH)}-{text}"
    return base if len(base) <= MAX_BASE_LENGTH else base[: MAX_BASE_LENGTH - len(_CUT)] + _CUT
