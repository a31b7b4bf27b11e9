"""Ingress and IngressClass (apis/networking/validation/validation.go, registry/networking/ingress/strategy.go)."""

from __future__ import annotations

from fakecluster.api import names
from fakecluster.api.kinds_network.ip_text import legacy_ip, parse_ip
from fakecluster.api.kinds_network.service_validation import check_balancer_host
from fakecluster.api.status import JsonObject
from fakecluster.api.strategy import (
    FieldError,
    Request,
    Strategy,
    forbidden,
    invalid,
    not_supported,
    required,
    too_long,
)

PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
CLASS_ANNOTATION = "kubernetes.io/ingress.class"
DEFAULT_ANNOTATION = "ingressclass.kubernetes.io/is-default-class"
CONTROLLER_MAX = 250
SCOPES = ("Cluster", "Namespace")
_BAD_SEQUENCES = ("//", "/./", "/../", "%2f", "%2F")
_BAD_SUFFIXES = ("/..", "/.")


def validate_ingress(ingress: JsonObject) -> list[FieldError]:
    """Everything that is wrong with an Ingress (ValidateIngressSpec)."""
    spec = ingress.get("spec") or {}
    errors: list[FieldError] = []
    rules, backend = spec.get("rules") or [], spec.get("defaultBackend")
    if not rules and backend is None:
        errors.append(invalid("spec", None, "either `defaultBackend` or `rules` must be specified"))
    if backend is not None:
        errors += _check_backend(backend, "spec.defaultBackend")
    for number, rule in enumerate(rules):
        errors += _check_rule(rule, f"spec.rules[{number}]")
    for number, tls in enumerate(spec.get("tls") or ()):
        errors += _check_tls(tls, f"spec.tls[{number}]")
    name = spec.get("ingressClassName")
    if name is not None:
        errors += [invalid("spec.ingressClassName", name, complaint) for complaint in names.dns_subdomain(name)]
    return errors


def validate_new_ingress(ingress: JsonObject) -> list[FieldError]:
    """As `validate_ingress`; a new Ingress that names its class in two places names one class."""
    errors = validate_ingress(ingress)
    noted = (ingress["metadata"].get("annotations") or {}).get(CLASS_ANNOTATION)
    name = (ingress.get("spec") or {}).get("ingressClassName")
    if noted is not None and name is not None and noted != name:
        words = "must match `ingressClassName` when both are specified"
        errors.append(invalid(f"annotations.{CLASS_ANNOTATION}", noted, words))
    return errors


def _validate_update(ingress: JsonObject, old: JsonObject) -> list[FieldError]:
    del old
    return validate_ingress(ingress)


def _check_rule(rule: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    host, http = rule.get("host") or "", rule.get("http")
    if host:
        if parse_ip(host) is not None:
            errors.append(invalid(f"{path}.host", host, "must be a DNS name, not an IP address"))
        errors += _check_host(host, f"{path}.host")
    if http is None:
        return errors
    paths = http.get("paths") or []
    if not paths:
        errors.append(required(f"{path}.http.paths"))
    for number, one in enumerate(paths):
        errors += _check_path(one, f"{path}.http.paths[{number}]")
    return errors


def _check_host(host: str, path: str) -> list[FieldError]:
    found = names.wildcard_subdomain(host) if "*" in host else names.dns_subdomain(host)
    return [invalid(path, host, complaint) for complaint in found]


def _check_path(one: JsonObject, path: str) -> list[FieldError]:
    kind, text = one.get("pathType"), one.get("path") or ""
    if kind is None:
        return [required(f"{path}.pathType", "pathType must be specified")]
    errors: list[FieldError] = []
    if kind not in PATH_TYPES:
        errors.append(not_supported(f"{path}.pathType", kind, PATH_TYPES))
    else:
        errors += [invalid(f"{path}.path", text, complaint) for complaint in _path_complaints(kind, text)]
    return errors + _check_backend(one.get("backend") or {}, f"{path}.backend")


def _path_complaints(kind: str, text: str) -> list[str]:
    if kind == "ImplementationSpecific":
        return ["must be an absolute path"] if text and not text.startswith("/") else []
    found = [] if text.startswith("/") else ["must be an absolute path"]
    found += [f"must not contain '{bad}'" for bad in _BAD_SEQUENCES if bad in text]
    return found + [f"cannot end with '{bad}'" for bad in _BAD_SUFFIXES if text.endswith(bad)]


def _check_backend(backend: JsonObject, path: str) -> list[FieldError]:
    resource, service = backend.get("resource"), backend.get("service")
    if resource is not None and service is not None:
        return [invalid(path, "", "cannot set both resource and service backends")]
    if resource is not None:
        return _check_reference(resource, f"{path}.resource")
    if service is not None:
        return _check_service(service, path)
    return [invalid(path, "", "resource or service backend is required")]


def _check_reference(reference: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    group = reference.get("apiGroup")
    if group is not None:
        errors += [invalid(f"{path}.apiGroup", group, complaint) for complaint in names.dns_subdomain(group)]
    for key in ("kind", "name"):
        value = reference.get(key) or ""
        if value:
            errors += [invalid(f"{path}.{key}", value, complaint) for complaint in names.path_segment(value)]
        else:
            errors.append(required(f"{path}.{key}"))
    return errors


def _check_service(service: JsonObject, path: str) -> list[FieldError]:
    name, port = service.get("name") or "", service.get("port") or {}
    if name:
        errors = [invalid(f"{path}.service.name", name, complaint) for complaint in names.dns_label(name)]
    else:
        errors = [required(f"{path}.service.name")]
    port_name, number, where = port.get("name") or "", port.get("number") or 0, f"{path}.service.port"
    if port_name and number:
        return [*errors, invalid(path, "", "cannot set both port name & port number")]
    if port_name:
        return errors + [invalid(f"{where}.name", port_name, complaint) for complaint in names.port_name(port_name)]
    if number:
        return errors + [invalid(f"{where}.number", number, complaint) for complaint in names.port_number(number)]
    return [*errors, required(path, "port name or number is required")]


def _check_tls(tls: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for number, host in enumerate(tls.get("hosts") or ()):
        errors += _check_host(host, f"{path}.hosts[{number}]")
    secret = tls.get("secretName") or ""
    if secret:
        errors += [invalid(f"{path}.secretName", secret, complaint) for complaint in names.dns_subdomain(secret)]
    return errors


def validate_ingress_status(ingress: JsonObject, old: JsonObject) -> list[FieldError]:
    """Everything that is wrong with `status.loadBalancer` of an Ingress."""
    del old
    errors: list[FieldError] = []
    balancer = (ingress.get("status") or {}).get("loadBalancer") or {}
    for number, one in enumerate(balancer.get("ingress") or ()):
        path, address, host = f"status.loadBalancer.ingress[{number}]", one.get("ip") or "", one.get("hostname") or ""
        if address:
            errors += [invalid(f"{path}.ip", address, complaint) for complaint in legacy_ip(address)]
        if host:
            errors += check_balancer_host(host, f"{path}.hostname")
    return errors


def ingress_warnings(ingress: JsonObject, old: JsonObject | None) -> list[str]:
    """A new Ingress that names its class in the old way is told the new one."""
    annotated = CLASS_ANNOTATION in (ingress["metadata"].get("annotations") or {})
    if old is not None or not annotated or (ingress.get("spec") or {}).get("ingressClassName") is not None:
        return []
    return [f"annotation \"{CLASS_ANNOTATION}\" is deprecated, please use 'spec.ingressClassName' instead"]


def admit_ingress(ingress: JsonObject, old: JsonObject | None, request: Request) -> JsonObject:
    """A new Ingress that names no class gets the default one, the youngest if there are several."""
    spec, annotations = ingress.get("spec") or {}, ingress["metadata"].get("annotations") or {}
    if old is not None or spec.get("ingressClassName") is not None or CLASS_ANNOTATION in annotations:
        return ingress
    classes = [one for one in request.store.list("ingressclasses.networking.k8s.io") if _is_default(one)]
    if not classes:
        return ingress
    youngest = max(one["metadata"]["creationTimestamp"] for one in classes)
    name = min(one["metadata"]["name"] for one in classes if one["metadata"]["creationTimestamp"] == youngest)
    return {**ingress, "spec": {**spec, "ingressClassName": name}}


def _is_default(ingress_class: JsonObject) -> bool:
    return bool((ingress_class["metadata"].get("annotations") or {}).get(DEFAULT_ANNOTATION) == "true")


def _spec(obj: JsonObject) -> object:
    return obj.get("spec")


INGRESS = Strategy(
    admit=admit_ingress,
    validate=validate_new_ingress,
    validate_update=_validate_update,
    validate_status=validate_ingress_status,
    warnings=ingress_warnings,
    generation=_spec,
)


# --- IngressClass


def default_class(ingress_class: JsonObject) -> None:
    """Parameters are looked for in the whole cluster unless they say otherwise."""
    parameters = (ingress_class.get("spec") or {}).get("parameters")
    if parameters is not None and parameters.get("scope") is None:
        parameters["scope"] = "Cluster"


def validate_class(ingress_class: JsonObject) -> list[FieldError]:
    """Everything that is wrong with an IngressClass."""
    spec = ingress_class.get("spec") or {}
    controller, parameters = spec.get("controller") or "", spec.get("parameters")
    errors = [] if controller else [required("spec.controller")]
    if names.length_of(controller) > CONTROLLER_MAX:
        errors.append(too_long("spec.controller", CONTROLLER_MAX))
    if controller:
        errors += [invalid("spec.controller", controller, complaint) for complaint in names.domain_path(controller)]
    return errors + (_check_parameters(parameters, "spec.parameters") if parameters is not None else [])


def _check_parameters(parameters: JsonObject, path: str) -> list[FieldError]:
    errors = _check_reference(parameters, path)
    scope, namespace = parameters["scope"], parameters.get("namespace")
    if scope not in SCOPES:
        errors.append(not_supported(f"{path}.scope", scope, SCOPES))
    elif scope == "Cluster" and namespace is not None:
        errors.append(forbidden(f"{path}.namespace", "`parameters.scope` is set to 'Cluster'"))
    elif scope == "Cluster":
        pass
    elif namespace is None:
        errors.append(required(f"{path}.namespace", "`parameters.scope` is set to 'Namespace'"))
    else:
        errors += [invalid(f"{path}.namespace", namespace, complaint) for complaint in names.dns_label(namespace)]
    return errors


def validate_class_update(ingress_class: JsonObject, old: JsonObject) -> list[FieldError]:
    """As `validate_class`; the controller never changes."""
    controller = (ingress_class.get("spec") or {}).get("controller") or ""
    same = controller == (old.get("spec") or {}).get("controller", "")
    errors = [] if same else [invalid("spec.controller", controller, "field is immutable")]
    return errors + validate_class(ingress_class)


INGRESS_CLASS = Strategy(
    default=default_class, validate=validate_class, validate_update=validate_class_update, generation=_spec
)
