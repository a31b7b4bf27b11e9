"""ConfigMap and Secret (apis/core/validation, v1/conversion.go for stringData)."""

from __future__ import annotations

import base64
import json

from fakecluster.api import names
from fakecluster.api.status import JsonObject
from fakecluster.api.strategy import FieldError, Strategy, forbidden, invalid, required, too_long

SIZE_MAX = 1024 * 1024
_IMMUTABLE = "field is immutable when `immutable` is set"
SECRET_NAME = "kubernetes.io/service-account.name"
#: Secret type -> keys of its data that must be there
REQUIRED_KEYS = {"kubernetes.io/ssh-auth": ("ssh-privatekey",), "kubernetes.io/tls": ("tls.crt", "tls.key")}
#: Secret type -> its one key, which holds JSON
JSON_KEYS = {"kubernetes.io/dockercfg": ".dockercfg", "kubernetes.io/dockerconfigjson": ".dockerconfigjson"}


def _size(texts: dict[str, str], encoded: dict[str, str]) -> int:
    plain = sum(names.length_of(text) for text in texts.values())
    return plain + sum(len(text) * 3 // 4 - text[-2:].count("=") for text in encoded.values())


def validate_config_map(config_map: JsonObject) -> list[FieldError]:
    """Everything that is wrong with a ConfigMap's keys and size."""
    texts, encoded = config_map.get("data") or {}, config_map.get("binaryData") or {}
    errors: list[FieldError] = []
    for key in texts:
        errors += [invalid(f"data[{key}]", key, complaint) for complaint in names.config_key(key)]
        if key in encoded:
            errors.append(invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
    for key in encoded:
        errors += [invalid(f"binaryData[{key}]", key, complaint) for complaint in names.config_key(key)]
    if _size(texts, encoded) > SIZE_MAX:
        errors.append(too_long("[]", SIZE_MAX))
    return errors


def validate_config_map_update(config_map: JsonObject, old: JsonObject) -> list[FieldError]:
    """As `validate_config_map`; an immutable one stays what it is."""
    return _check_immutable(config_map, old, ("data", "binaryData")) + validate_config_map(config_map)


def _check_immutable(new: JsonObject, old: JsonObject, keys: tuple[str, ...]) -> list[FieldError]:
    if not old.get("immutable"):
        return []
    errors = [] if new.get("immutable") else [forbidden("immutable", _IMMUTABLE)]
    changed = [key for key in keys if (new.get(key) or {}) != (old.get(key) or {})]
    return errors + [forbidden(key, _IMMUTABLE) for key in changed]


CONFIG_MAP = Strategy(validate=validate_config_map, validate_update=validate_config_map_update)


def default_secret(secret: JsonObject) -> None:
    """`stringData` becomes data, the type Opaque."""
    plain = secret.pop("stringData", None) or {}
    if plain:
        encoded = {key: base64.b64encode(text.encode()).decode() for key, text in plain.items()}
        secret["data"] = {**(secret.get("data") or {}), **encoded}
    if not secret.get("type"):
        secret["type"] = "Opaque"


def validate_secret(secret: JsonObject) -> list[FieldError]:
    """Everything that is wrong with a Secret: its keys, its size, what its type demands."""
    data = secret.get("data") or {}
    errors = [invalid(f"data[{key}]", key, complaint) for key in data for complaint in names.config_key(key)]
    if _size({}, data) > SIZE_MAX:
        errors.append(too_long("data", SIZE_MAX))
    return errors + _check_secret_type(secret, data)


def _check_secret_type(secret: JsonObject, data: dict[str, str]) -> list[FieldError]:
    kind = secret["type"]
    if kind == "kubernetes.io/service-account-token":
        annotations = secret["metadata"].get("annotations") or {}
        return [] if annotations.get(SECRET_NAME) else [required(f"metadata.annotations[{SECRET_NAME}]")]
    if kind == "kubernetes.io/basic-auth":
        lacking = not ({"username", "password"} & data.keys())
        return [required("data[username]"), required("data[password]")] if lacking else []
    if kind in JSON_KEYS:
        return _check_json(data, JSON_KEYS[kind])
    return [required(f"data[{key}]") for key in REQUIRED_KEYS.get(kind, ()) if key not in data]


def _check_json(data: dict[str, str], key: str) -> list[FieldError]:
    if key not in data:
        return [required(f"data[{key}]")]
    try:
        json.loads(base64.b64decode(data[key]))
    except ValueError as error:
        return [invalid(f"data[{key}]", "<secret contents redacted>", str(error))]
    return []


def validate_secret_update(secret: JsonObject, old: JsonObject) -> list[FieldError]:
    """As `validate_secret`; the type never changes, an immutable one stays what it is."""
    errors = [] if secret["type"] == old["type"] else [invalid("type", secret["type"], "field is immutable")]
    return errors + _check_immutable(secret, old, ("data",)) + validate_secret(secret)


SECRET = Strategy(default=default_secret, validate=validate_secret, validate_update=validate_secret_update)
