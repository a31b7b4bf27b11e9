"""Validation of volumes and of what containers do with them (pkg/apis/core/validation: ValidateVolumes and below)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fakecluster.api import names
from fakecluster.api.kinds_workload.env_validation import VOLUME_FIELDS, field_reference, resource_reference
from fakecluster.api.kinds_workload.field_checks import (
    Errors,
    descending_path,
    file_mode,
    file_path,
    named,
    no_backsteps,
    one_of,
    required_name,
)
from fakecluster.api.kinds_workload.quantity import parse_quantity
from fakecluster.api.strategy import duplicate, forbidden, invalid, not_found, not_supported, required

Json = dict[str, Any]

ONE_TYPE = "may not specify more than 1 volume type"
#: A token must live so long, and may not outlive this many seconds.
TOKEN_MIN_S, TOKEN_MAX_S = 600, 1 << 32
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
    errors = SOURCES[first](volume[first], f"{field}.{first}")
    if first == "ephemeral" and pod_name and volume.get("name"):
        claim = f"{pod_name}-{volume['name']}"
        complaints = names.dns_subdomain(claim)
        errors += [invalid(f"{field}.name", volume["name"], f'PVC name "{claim}": {why}') for why in complaints]
    return errors + [forbidden(f"{field}.{name}", ONE_TYPE) for name in given[1:]]


def _needs(*fields: str) -> Callable[[Json, str], Errors]:
    return lambda source, field: [required(f"{field}.{name}") for name in fields if not source.get(name)]


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
    return _needs("repository")(source, field) + descending_path(f"{field}.directory", source.get("directory", ""))


def _nfs(source: Json, field: str) -> Errors:
    errors = _needs("server", "path")(source, field)
    if not source.get("path", "").startswith("/"):
        errors.append(invalid(f"{field}.path", source.get("path", ""), "must be an absolute path"))
    return errors


def _secret(source: Json, field: str) -> Errors:
    return _needs("secretName")(source, field) + _files(source, field)


def _config_map(source: Json, field: str) -> Errors:
    return _needs("name")(source, field) + _files(source, field)


def _files(source: Json, field: str) -> Errors:
    errors = file_mode(f"{field}.defaultMode", source.get("defaultMode"))
    for number, item in enumerate(source.get("items") or ()):
        errors += _key_to_path(item, f"{field}.items[{number}]")
    return errors


def _key_to_path(item: Json, field: str) -> Errors:
    errors = _needs("key", "path")(item, field) + file_path(f"{field}.path", item.get("path", ""))
    return errors + file_mode(f"{field}.mode", item.get("mode"))


def _downward_api(source: Json, field: str) -> Errors:
    errors = file_mode(f"{field}.defaultMode", source.get("defaultMode"))
    for item in source.get("items") or ():  # the server names the volume here, not the item
        errors += _downward_file(item, field)
    return errors


def _downward_file(item: Json, field: str) -> Errors:
    errors = _needs("path")(item, field) + file_path(f"{field}.path", item.get("path", ""))
    about_pod, about_resource = item.get("fieldRef"), item.get("resourceFieldRef")
    if about_pod is not None:
        errors += field_reference(about_pod, f"{field}.fieldRef", VOLUME_FIELDS)
        if about_resource is not None:
            why = "fieldRef and resourceFieldRef can not be specified simultaneously"
            errors.append(invalid(field, "resource", why))
    elif about_resource is not None:
        errors += resource_reference(about_resource, f"{field}.resourceFieldRef", container_needed=True)
    else:
        errors.append(required(field, "one of fieldRef and resourceFieldRef is required"))
    return errors + file_mode(f"{field}.mode", item.get("mode"))


def _projected(source: Json, field: str) -> Errors:
    errors = file_mode(f"{field}.defaultMode", source.get("defaultMode"))
    paths: set[str] = set()
    for number, projection in enumerate(source.get("sources") or ()):
        where = f"{field}.sources[{number}]"
        given = [name for name in _PROJECTIONS if projection.get(name) is not None]
        for position, name in enumerate(given):
            if position:
                errors.append(forbidden(f"{where}.{name}", ONE_TYPE))
                continue
            errors += _PROJECTIONS[name](projection[name], f"{where}.{name}")
            errors += _conflicting(projection[name], f"{where}.{name}", paths)
    return errors


def _conflicting(projection: Json, field: str, paths: set[str]) -> Errors:
    items = projection.get("items") or ([projection] if projection.get("path") else [])
    errors: Errors = []
    for item in items:
        path = item.get("path", "")
        if path and path in paths:
            errors.append(invalid(field, path, "conflicting duplicate paths"))
        paths.add(path)
    return errors


def _token(source: Json, field: str) -> Errors:
    errors: Errors = []
    seconds = source.get("expirationSeconds", TOKEN_MIN_S)
    if seconds < TOKEN_MIN_S:
        errors.append(invalid(f"{field}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes"))
    if seconds > TOKEN_MAX_S:
        why = "may not specify a duration larger than 2^32 seconds"
        errors.append(invalid(f"{field}.expirationSeconds", seconds, why))
    if not source.get("path"):
        return [*errors, required(f"{field}.path")]
    return errors + file_path(f"{field}.path", source["path"])


def _ephemeral(source: Json, field: str) -> Errors:
    template = source.get("volumeClaimTemplate")
    if template is None:
        return [required(f"{field}.volumeClaimTemplate")]
    return claim_spec(template.get("spec") or {}, f"{field}.volumeClaimTemplate.spec")


_ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")


def claim_spec(spec: Json, field: str) -> Errors:
    """The spec of a PersistentVolumeClaim, in a template."""
    errors: Errors = []
    modes = spec.get("accessModes") or []
    if not modes:
        errors.append(required(f"{field}.accessModes", "at least 1 access mode is required"))
    errors += [not_supported(f"{field}.accessModes", m, _ACCESS_MODES) for m in modes if m not in _ACCESS_MODES]
    if "ReadWriteOncePod" in modes and len(set(modes)) > 1:
        errors.append(forbidden(f"{field}.accessModes", "may not use ReadWriteOncePod with other access modes"))
    storage = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    where = f"{field}.resources[storage]"
    if storage is None:
        errors.append(required(where))
    elif parse_quantity(storage).value <= 0:
        errors.append(invalid(where, storage, "must be greater than zero"))
    if spec.get("storageClassName"):
        errors += named(f"{field}.storageClassName", spec["storageClassName"], names.dns_subdomain)
    if spec.get("volumeMode") is not None:
        errors += one_of(f"{field}.volumeMode", spec["volumeMode"], ("Block", "Filesystem"))
    return errors


_PROJECTIONS: dict[str, Callable[[Json, str], Errors]] = {
    "secret": _config_map,
    "configMap": _config_map,
    "downwardAPI": _downward_api,
    "serviceAccountToken": _token,
    "clusterTrustBundle": _needs("path"),
    "podCertificate": _needs("signerName"),
}

#: Every kind of volume, in the server's order.
SOURCES: dict[str, Callable[[Json, str], Errors]] = {
    "emptyDir": _empty_dir,
    "hostPath": _host_path,
    "gitRepo": _git_repo,
    "gcePersistentDisk": _needs("pdName"),
    "awsElasticBlockStore": _needs("volumeID"),
    "secret": _secret,
    "nfs": _nfs,
    "iscsi": _needs("targetPortal", "iqn"),
    "glusterfs": _needs("endpoints", "path"),
    "flocker": _needs(),
    "persistentVolumeClaim": _needs("claimName"),
    "rbd": _needs("monitors", "image"),
    "cinder": _needs("volumeID"),
    "cephfs": _needs("monitors"),
    "quobyte": _needs("registry", "volume"),
    "downwardAPI": _downward_api,
    "fc": _needs(),
    "flexVolume": _needs("driver"),
    "configMap": _config_map,
    "azureFile": _needs("secretName", "shareName"),
    "vsphereVolume": _needs("volumePath"),
    "photonPersistentDisk": _needs("pdID"),
    "portworxVolume": _needs("volumeID"),
    "azureDisk": _needs("diskName", "diskURI"),
    "storageos": _needs("volumeName"),
    "projected": _projected,
    "scaleIO": _needs("gateway", "system", "secretRef", "volumeName"),
    "csi": _needs("driver"),
    "ephemeral": _ephemeral,
    "image": _needs("reference"),
}


def validate_mounts(container: Json, volumes: Mapping[str, Json], field: str) -> Errors:
    """`volumeMounts` of one container; `volumes` are the Pod's usable ones."""
    errors: Errors = []
    points: set[str] = set()
    devices = {d.get("name", ""): d.get("devicePath", "") for d in container.get("volumeDevices") or ()}
    for number, mount in enumerate(container.get("volumeMounts") or ()):
        where, name, path = f"{field}[{number}]", mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            errors.append(required(f"{where}.name"))
        if name not in volumes:
            errors.append(not_found(f"{where}.name", name))
        if not path:
            errors.append(required(f"{where}.mountPath"))
        if path in points:
            errors.append(invalid(f"{where}.mountPath", path, "must be unique"))
        points.add(path)
        if name in devices:
            errors.append(invalid(f"{where}.name", name, "must not already exist in volumeDevices"))
        if path in devices.values():
            why = "must not already exist as a path in volumeDevices"
            errors.append(invalid(f"{where}.mountPath", path, why))
        errors += _sub_paths(mount, field, where)
        errors += _propagation(mount, container, field)
    return errors


def _sub_paths(mount: Json, field: str, where: str) -> Errors:
    errors: Errors = []
    path, expression = mount.get("subPath", ""), mount.get("subPathExpr", "")
    if path:
        errors += descending_path(f"{field}.subPath", path)
    if expression:
        if path:
            why = "subPathExpr and subPath are mutually exclusive"
            errors.append(invalid(f"{where}.subPathExpr", expression, why))
        errors += descending_path(f"{field}.subPathExpr", expression)
    return errors


def _propagation(mount: Json, container: Json, field: str) -> Errors:
    mode = mount.get("mountPropagation")
    if mode is None:
        return []
    where = f"{field}.mountPropagation"
    if mode not in ("Bidirectional", "HostToContainer", "None"):
        return [not_supported(where, mode, ("Bidirectional", "HostToContainer", "None"))]
    if mode == "Bidirectional" and not (container.get("securityContext") or {}).get("privileged"):
        return [forbidden(where, "Bidirectional mount propagation is available only to privileged containers")]
    return []


def validate_devices(container: Json, volumes: Mapping[str, Json], field: str) -> Errors:
    """`volumeDevices` of one container: block devices, from claims only."""
    errors: Errors = []
    seen_names: set[str] = set()
    seen_paths: set[str] = set()
    for number, device in enumerate(container.get("volumeDevices") or ()):
        where, name, path = f"{field}[{number}]", device.get("name", ""), device.get("devicePath", "")
        if not name:
            errors.append(required(f"{where}.name"))
        if name in seen_names:
            errors.append(invalid(f"{where}.name", name, "must be unique"))
        volume = volumes.get(name)
        if volume is None:
            errors.append(not_found(f"{where}.name", name))
        elif volume.get("persistentVolumeClaim") is None and volume.get("ephemeral") is None:
            why = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            errors.append(invalid(f"{where}.name", name, why))
        if not path:
            errors.append(required(f"{where}.devicePath"))
        if path in seen_paths:
            errors.append(invalid(f"{where}.devicePath", path, "must be unique"))
        if ".." in path.split("/"):
            errors.append(invalid(f"{where}.devicePath", path, "can not contain backsteps ('..')"))
        seen_names.add(name)
        seen_paths.add(path)
    return errors
