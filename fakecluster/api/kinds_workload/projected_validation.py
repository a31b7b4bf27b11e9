"""Validation of projected volumes, which put files from several sources together (pkg/apis/core/validation)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fakecluster.api.kinds_workload.field_checks import Errors, file_mode, file_path
from fakecluster.api.kinds_workload.file_validation import downward_api, files, needs
from fakecluster.api.kinds_workload.internal_types import internal, printed_selector
from fakecluster.api.label_rules import validate_label_selector
from fakecluster.api.strategy import forbidden, invalid, not_supported, required

Json = dict[str, Any]

#: A token must live so long, and may not outlive this many seconds.
TOKEN_MIN_S, TOKEN_MAX_S = 600, 1 << 32
CERTIFICATE_MIN_S = 3600
_KEY_TYPES = ("RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519")
_CERTIFICATE_FILES = ("credentialBundlePath", "keyPath", "certificateChainPath")


def projected(source: Json, field: str) -> Errors:
    errors = file_mode(f"{field}.defaultMode", source.get("defaultMode"))
    paths: set[str] = set()
    for number, projection in enumerate(source.get("sources") or ()):
        where = f"{field}.sources[{number}]"
        given = [name for name in _PROJECTIONS if projection.get(name) is not None]
        for name in given:
            errors += _PROJECTIONS[name](projection[name], f"{where}.{name}")
            if name == "serviceAccountToken":  # the server names the volume here, not the source
                errors += _token_path(projection[name], f"{field}.path")
            errors += _conflicting(name, projection[name], field, paths)
        if len(given) > 1:
            errors.append(forbidden(where, "may not specify more than 1 volume type per source"))
    return errors


def _conflicting(kind: str, projection: Json, field: str, paths: set[str]) -> Errors:
    """No two files at one path; a file of a ConfigMap or Secret is named after it."""
    errors: Errors = []
    for path in _paths(kind, projection):
        if path in paths:
            named_after = projection.get("name", "") if kind in ("secret", "configMap") else path
            errors.append(invalid(field, named_after, "conflicting duplicate paths"))
        paths.add(path)
    return errors


def _paths(kind: str, projection: Json) -> list[str]:
    if kind == "clusterTrustBundle":
        return [projection.get("path", "")]
    if kind == "podCertificate":
        return [projection[key] for key in _CERTIFICATE_FILES if projection.get(key)]
    return [item["path"] for item in projection.get("items") or () if item.get("path")]


def _token(source: Json, field: str) -> Errors:
    errors: Errors = []
    seconds = source.get("expirationSeconds", TOKEN_MIN_S)
    if seconds < TOKEN_MIN_S:
        errors.append(invalid(f"{field}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes"))
    if seconds > TOKEN_MAX_S:
        why = "may not specify a duration larger than 2^32 seconds"
        errors.append(invalid(f"{field}.expirationSeconds", seconds, why))
    return errors


def _token_path(source: Json, field: str) -> Errors:
    return file_path(field, source["path"]) if source.get("path") else [required(field)]


def _trust_bundle(source: Json, field: str) -> Errors:
    """By the bundle's name or by a signer's, not both."""
    errors: Errors = []
    name, signer = source.get("name"), source.get("signerName")
    if name is not None and signer is not None:
        errors.append(invalid(field, internal(source, "TrustBundle"), "only one of name and signerName may be used"))
    elif name is not None:
        if not name:
            errors.append(required(f"{field}.name", "must be a valid object name"))
        if source.get("labelSelector") is not None:
            shown = printed_selector(source["labelSelector"])
            errors.append(invalid(f"{field}.labelSelector", shown, "labelSelector must be unset if name is specified"))
    elif signer is not None:
        if not signer:
            errors.append(required(f"{field}.signerName", "must be a valid signer name"))
        errors += validate_label_selector(source.get("labelSelector"), f"{field}.labelSelector")
    else:
        errors.append(required(field, "either name or signerName must be specified"))
    return errors + needs("path")(source, field) + file_path(f"{field}.path", source.get("path", ""))


def _certificate(source: Json, field: str) -> Errors:
    """A key pair of the Pod's own and the certificates of it (KEP-4317)."""
    errors: Errors = []
    if source.get("keyType") not in _KEY_TYPES:
        errors.append(not_supported(f"{field}.keyType", source.get("keyType", ""), _KEY_TYPES))
    life = source.get("maxExpirationSeconds")
    if life is not None and life < CERTIFICATE_MIN_S:
        why = f"if provided, maxExpirationSeconds must be >= {CERTIFICATE_MIN_S}"
        errors.append(invalid(f"{field}.maxExpirationSeconds", life, why))
    given = [key for key in _CERTIFICATE_FILES if source.get(key)]
    for key in given:
        errors += file_path(f"{field}.{key}", source[key])
    if not given:
        why = "specify at least one of credentialBundlePath, keyPath, and certificateChainPath"
        errors.append(required(field, why))
    return errors


def _config_map(source: Json, field: str) -> Errors:
    return needs("name")(source, field) + files(source, field)


_PROJECTIONS: dict[str, Callable[[Json, str], Errors]] = {
    "secret": _config_map,
    "configMap": _config_map,
    "downwardAPI": downward_api,
    "serviceAccountToken": _token,
    "clusterTrustBundle": _trust_bundle,
    "podCertificate": _certificate,
}
