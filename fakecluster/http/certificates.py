"""Certificates, made for this process and forgotten with it."""

from __future__ import annotations

import ssl
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import trustme


@lru_cache(maxsize=1)
def authority() -> trustme.CA:
    """The certificate authority of this process."""
    import trustme  # half of what a server without TLS would have to wait for

    return trustme.CA(organization_name="fakecluster")


@lru_cache(maxsize=1)
def _certificate() -> trustme.LeafCert:
    return authority().issue_cert("127.0.0.1", "::1", "localhost", "kubernetes.default.svc")


def ca_pem() -> bytes:
    """The authority's certificate, which clients are told to trust."""
    return authority().cert_pem.bytes()


def server_context() -> ssl.SSLContext:
    """TLS for the server's side."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    _certificate().configure_cert(context)
    return context
