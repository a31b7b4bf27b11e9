"""Defaults of volumes (Kubernetes pkg/apis/core/v1/defaults.go): modes, and an emptyDir where no source is given."""

from __future__ import annotations

from typing import Any

from fakecluster.api.kinds_workload.images import pull_policy

Json = dict[str, Any]

#: rw-r--r--, the mode of files whose owner gave none.
FILE_MODE = 0o644
_WITH_MODE = ("secret", "configMap", "downwardAPI", "projected")
#: source -> field -> what it is when left out
_SIMPLE: dict[str, dict[str, Any]] = {
    "iscsi": {"iscsiInterface": "default"},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "azureDisk": {"cachingMode": "ReadWrite", "kind": "Shared", "fsType": "ext4", "readOnly": False},
    "scaleIO": {"storageMode": "ThinProvisioned", "fsType": "xfs"},
    "hostPath": {"type": ""},
}


def default_volume(volume: Json) -> None:
    """Fill in what one volume of a Pod leaves out."""
    sources = {name: source for name, source in volume.items() if name != "name" and isinstance(source, dict)}
    if not sources:
        volume["emptyDir"] = {}
    for name, source in sources.items():
        for field, value in _SIMPLE.get(name, {}).items():
            if source.get(field) is None or (value and not source.get(field)):
                source[field] = value
        if name in _WITH_MODE and source.get("defaultMode") is None:
            source["defaultMode"] = FILE_MODE
    _default_fields(sources.get("downwardAPI", {}).get("items"))
    for source in sources.get("projected", {}).get("sources") or ():
        _default_projection(source)
    if "image" in sources and not sources["image"].get("pullPolicy"):
        sources["image"]["pullPolicy"] = pull_policy(sources["image"].get("reference") or "")
    claim = sources.get("ephemeral", {}).get("volumeClaimTemplate")
    if claim is not None:
        default_claim_spec(claim.setdefault("spec", {}))


def default_claim_spec(spec: Json) -> None:
    """A PersistentVolumeClaim asks for a file system unless it says otherwise."""
    if not spec.get("volumeMode"):
        spec["volumeMode"] = "Filesystem"


def _default_projection(source: Json) -> None:
    token = source.get("serviceAccountToken")
    if token is not None and token.get("expirationSeconds") is None:
        token["expirationSeconds"] = 3600
    _default_fields((source.get("downwardAPI") or {}).get("items"))


def _default_fields(items: list[Json] | None) -> None:
    for item in items or ():
        if item.get("fieldRef") is not None and not item["fieldRef"].get("apiVersion"):
            item["fieldRef"]["apiVersion"] = "v1"
        if item.get("resourceFieldRef") is not None:
            item["resourceFieldRef"].setdefault("divisor", "0")
