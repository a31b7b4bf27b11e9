"""Validation of volumes and of what containers do with them (pkg/apis/core/validation: ValidateVolumes and below)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fakecluster.api import names
from fakecluster.api.kinds_workload.field_checks import (
    Errors,
    between,
    descending_path,
    named,
    no_backsteps,
    required_name,
)
from fakecluster.api.kinds_workload.file_validation import downward_api, files, needs
from fakecluster.api.kinds_workload.images import PULL_POLICIES
from fakecluster.api.kinds_workload.projected_validation import projected
from fakecluster.api.kinds_workload.quantity import parse_quantity
from fakecluster.api.label_rules import validate_label_selector
from fakecluster.api.strategy import duplicate, forbidden, invalid, not_supported, required, too_long

Json = dict[str, Any]

#: Volumes that the server calls otherwise: within an error of their own, and when they are one too many.
_SHORT = {"gcePersistentDisk": "persistentDisk"}
_MISNAMED = {"downwardAPI": "downwarAPI", "cephfs": "cephFS"}
ONE_TYPE = "may not specify more than 1 volume type"
_HOST_PATH_TYPES = (
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
)


def validate_volumes(volumes: list[Json], pod_name: str, field: str) -> tuple[dict[str, Json], Errors]:
    """The usable volumes by name, and what is wrong with the others; `pod_name` is empty for a template."""
    errors: Errors = []
    usable: dict[str, Json] = {}
    made = {f"{pod_name}-{v.get('name', '')}" for v in volumes if pod_name and v.get("ephemeral") is not None}
    for number, volume in enumerate(volumes):
        where, name = f"{field}[{number}]", volume.get("name", "")
        found = _source(volume, where, pod_name)
        found += required_name(f"{where}.name", name, names.dns_label)
        if name in usable:
            found.append(duplicate(f"{where}.name", name))
        if not found:
            usable[name] = volume
        errors += found
        claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if claim in made:
            why = "must not reference a PVC that gets created for an ephemeral volume"
            errors.append(invalid(f"{where}.persistentVolumeClaim.claimName", claim, why))
    return usable, errors


def _source(volume: Json, field: str, pod_name: str) -> Errors:
    given = [name for name in SOURCES if volume.get(name) is not None]
    if not given:
        return [required(field, "must specify a volume type")]
    first = given[0]
    errors = SOURCES[first](volume[first], f"{field}.{_SHORT.get(first, first)}")
    if first == "ephemeral" and pod_name and volume.get("name"):
        claim = f"{pod_name}-{volume['name']}"
        complaints = names.dns_subdomain(claim)
        errors += [invalid(f"{field}.name", volume["name"], f'PVC name "{claim}": {why}') for why in complaints]
    return errors + [forbidden(f"{field}.{_MISNAMED.get(name, name)}", ONE_TYPE) for name in given[1:]]


def _empty_dir(source: Json, field: str) -> Errors:
    limit = source.get("sizeLimit")
    if limit is not None and parse_quantity(limit).value < 0:
        return [forbidden(f"{field}.sizeLimit", "SizeLimit field must be a valid resource quantity")]
    return []


def _host_path(source: Json, field: str) -> Errors:
    path, kind = source.get("path", ""), source.get("type")
    if not path:
        return [required(f"{field}.path")]
    errors = no_backsteps(f"{field}.path", path)
    if kind is not None and kind not in _HOST_PATH_TYPES:
        errors.append(not_supported(f"{field}.type", kind, _HOST_PATH_TYPES))
    return errors


def _git_repo(source: Json, field: str) -> Errors:
    return needs("repository")(source, field) + descending_path(f"{field}.directory", source.get("directory", ""))


def _nfs(source: Json, field: str) -> Errors:
    errors = needs("server", "path")(source, field)
    if not source.get("path", "").startswith("/"):
        errors.append(invalid(f"{field}.path", source.get("path", ""), "must be an absolute path"))
    return errors


def _secret(source: Json, field: str) -> Errors:
    return needs("secretName")(source, field) + files(source, field)


def _config_map(source: Json, field: str) -> Errors:
    return needs("name")(source, field) + files(source, field)


def _flocker(source: Json, field: str) -> Errors:
    name, uid = source.get("datasetName", ""), source.get("datasetUUID", "")
    errors: Errors = []
    if not name and not uid:
        errors.append(required(field, "one of datasetName and datasetUUID is required"))
    if name and uid:
        why = "datasetName and datasetUUID can not be specified simultaneously"
        errors.append(invalid(field, "resource", why))
    if "/" in name:
        errors.append(invalid(f"{field}.datasetName", name, "must not contain '/'"))
    return errors


def _fibre_channel(source: Json, field: str) -> Errors:
    wwns, wwids, lun = source.get("targetWWNs") or [], source.get("wwids") or [], source.get("lun")
    errors: Errors = []
    if not wwns and not wwids:
        errors.append(required(f"{field}.targetWWNs", "must specify either targetWWNs or wwids, but not both"))
    if wwns and wwids:
        why = "targetWWNs and wwids can not be specified simultaneously"
        errors.append(invalid(f"{field}.targetWWNs", wwns, why))
    if wwns and lun is None:
        errors.append(required(f"{field}.lun", "lun is required if targetWWNs is specified"))
    return errors + (between(f"{field}.lun", lun, 0, 255) if wwns else [])


def _csi(source: Json, field: str) -> Errors:
    errors = csi_driver(source.get("driver", ""), f"{field}.driver")
    secret = source.get("nodePublishSecretRef")
    if secret is not None:
        name = secret.get("name", "")
        errors += (
            named(f"{field}.name", name, names.dns_subdomain)
            if name
            else [required(f"{field}.nodePublishSecretRef.name")]
        )
    return errors


def csi_driver(name: str, field: str) -> Errors:
    """The name of a storage driver: a subdomain in any case."""
    if not name:
        return [required(field)]
    errors = [too_long(field, names.LABEL_LENGTH)] if len(name.encode()) > names.LABEL_LENGTH else []
    return errors + [invalid(field, name, complaint) for complaint in names.dns_subdomain(name.lower())]


def _ephemeral(source: Json, field: str) -> Errors:
    template = source.get("volumeClaimTemplate")
    if template is None:
        return [required(f"{field}.volumeClaimTemplate")]
    return claim_spec(template.get("spec") or {}, f"{field}.volumeClaimTemplate.spec")


def _image(source: Json, field: str) -> Errors:
    errors = needs("reference")(source, field)
    policy = source.get("pullPolicy")
    return errors + ([] if policy in PULL_POLICIES else [not_supported(f"{field}.pullPolicy", policy, PULL_POLICIES)])


_ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")


def claim_spec(spec: Json, field: str) -> Errors:
    """The spec of a PersistentVolumeClaim, in a template."""
    errors: Errors = []
    modes = spec.get("accessModes") or []
    if not modes:
        errors.append(required(f"{field}.accessModes", "at least 1 access mode is required"))
    errors += validate_label_selector(spec.get("selector"), f"{field}.selector")
    errors += [not_supported(f"{field}.accessModes", m, _ACCESS_MODES) for m in modes if m not in _ACCESS_MODES]
    if "ReadWriteOncePod" in modes and len({*modes} & {*_ACCESS_MODES}) > 1:
        errors.append(forbidden(f"{field}.accessModes", "may not use ReadWriteOncePod with other access modes"))
    storage = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    where = f"{field}.resources[storage]"
    if storage is None:
        errors.append(required(where))
    elif parse_quantity(storage).value <= 0:
        errors.append(invalid(where, storage, "must be greater than zero"))
    if spec.get("storageClassName"):
        errors += named(f"{field}.storageClassName", spec["storageClassName"], names.dns_subdomain)
    modes = ("Block", "Filesystem")
    if spec.get("volumeMode") is not None and spec["volumeMode"] not in modes:
        errors.append(not_supported(f"{field}.volumeMode", spec["volumeMode"], modes))
    return errors


#: Every kind of volume, in the server's order.
SOURCES: dict[str, Callable[[Json, str], Errors]] = {
    "emptyDir": _empty_dir,
    "hostPath": _host_path,
    "gitRepo": _git_repo,
    "gcePersistentDisk": needs("pdName"),
    "awsElasticBlockStore": needs("volumeID"),
    "secret": _secret,
    "nfs": _nfs,
    "iscsi": needs("targetPortal", "iqn"),
    "glusterfs": needs("endpoints", "path"),
    "flocker": _flocker,
    "persistentVolumeClaim": needs("claimName"),
    "rbd": needs("monitors", "image"),
    "cinder": needs("volumeID"),
    "cephfs": needs("monitors"),
    "quobyte": needs("registry", "volume"),
    "downwardAPI": downward_api,
    "fc": _fibre_channel,
    "flexVolume": needs("driver"),
    "configMap": _config_map,
    "azureFile": needs("secretName", "shareName"),
    "vsphereVolume": needs("volumePath"),
    "photonPersistentDisk": needs("pdID"),
    "portworxVolume": needs("volumeID"),
    "azureDisk": needs("diskName", "diskURI"),
    "storageos": needs("volumeName"),
    "projected": projected,
    "scaleIO": needs("gateway", "system", "volumeName"),
    "csi": _csi,
    "ephemeral": _ephemeral,
    "image": _image,
}
