"""What a client is told: the server's URL, whom to trust, a token."""

from __future__ import annotations

import base64
from typing import Any

import yaml

#: The token of the user `admin`; it opens nothing but a simulation on loopback.
ADMIN_TOKEN = "fakecluster-admin"
NAME = "fakecluster"


def kubeconfig(
    url: str, *, ca_pem: bytes = b"", token: str = ADMIN_TOKEN, namespace: str = "default"
) -> dict[str, Any]:
    """A kubeconfig for one server, as data."""
    cluster: dict[str, Any] = {"server": url}
    if ca_pem:
        cluster["certificate-authority-data"] = base64.b64encode(ca_pem).decode()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": NAME, "cluster": cluster}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": "admin", "namespace": namespace}}],
        "current-context": NAME,
    }


def kubeconfig_text(url: str, ca_pem: bytes) -> str:
    """The same as YAML text."""
    return yaml.safe_dump(kubeconfig(url, ca_pem=ca_pem), sort_keys=False)
