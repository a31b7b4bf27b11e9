"""What a client needs to connect: certificates made for this run, a token, a kubeconfig."""

from __future__ import annotations

import ssl
from functools import lru_cache
from typing import Any

import trustme
import yaml

#: The token of the user `admin`; it opens nothing but a simulation on loopback.
ADMIN_TOKEN = "fakecluster-admin"
NAME = "fakecluster"


@lru_cache(maxsize=1)
def authority() -> trustme.CA:
    """The certificate authority of this process."""
    return trustme.CA(organization_name=NAME)


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


def kubeconfig(url: str, *, token: str = ADMIN_TOKEN, namespace: str = "default") -> dict[str, Any]:
    """A kubeconfig for one server, as data."""
    import base64

    cluster: dict[str, Any] = {"server": url}
    if url.startswith("https:"):
        cluster["certificate-authority-data"] = base64.b64encode(ca_pem()).decode()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": NAME, "cluster": cluster}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": "admin", "namespace": namespace}}],
        "current-context": NAME,
    }


def kubeconfig_text(url: str) -> str:
    """The same as YAML text."""
    return yaml.safe_dump(kubeconfig(url), sort_keys=False)
