"""One version of a custom resource: how its objects are pruned, defaulted, checked and counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from fakecluster.api.kinds_workload import structural, validation_rules
from fakecluster.api.resources import Resource, Subresource
from fakecluster.api.strategy import FieldError, Request, Strategy, invalid

Json = dict[str, Any]

VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
SUBRESOURCE_VERBS = ("get", "patch", "update")


@attrs.frozen
class Scale:
    """Where the scale subresource finds its numbers: JSON paths such as `.spec.replicas`."""

    spec_path: str
    status_path: str
    selector_path: str = ""


@attrs.frozen(eq=False)
class CustomVersion:
    """What a CustomResourceDefinition says about one of its versions."""

    kind: str
    api_version: str
    schema: Mapping[str, Any]
    has_status: bool
    scale: Scale | None
    printer_columns: tuple[Mapping[str, Any], ...]
    selectable_fields: tuple[str, ...]
    strategy: Strategy = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "strategy", self._strategy())

    def prune(self, obj: Json) -> list[str]:
        """Drop unknown fields of a working copy; their paths."""
        return structural.prune(obj, self.schema)

    def _strategy(self) -> Strategy:
        return Strategy(
            default=lambda obj: structural.default(obj, self.schema),
            prepare_create=self._prepare_create,
            validate=self._validate,
            validate_status=lambda new, old: self._validate(new),
            generation=self._counted,
            keeps_status=not self.has_status,
            needs_resource_version=True,
            deleted=_finish_definition,
        )

    def _prepare_create(self, obj: Json, request: Request) -> None:
        if self.has_status:
            obj.pop("status", None)

    def _counted(self, obj: Json) -> object:
        """Everything but metadata and, where it is a subresource, the status."""
        skipped = ("metadata", "status") if self.has_status else ("metadata",)
        return {key: value for key, value in obj.items() if key not in skipped}

    def _validate(self, obj: Json) -> list[FieldError]:
        errors: list[FieldError] = []
        for field, wanted in (("kind", self.kind), ("apiVersion", self.api_version)):
            if obj.get(field, wanted) != wanted:
                errors.append(invalid(field, obj[field], f"must be {wanted}"))
        errors += structural.validate(obj, self.schema)
        return errors + validation_rules.violations(obj, self.schema, errors)


def _finish_definition(obj: Json, request: Request) -> None:
    """The last object of a definition that is being deleted takes the definition along."""
    from fakecluster.api.kinds_workload.definition import finish_deletion

    finish_deletion(request.server, request.resource.key)


def resource_of(definition: Json, version: Json) -> Resource:
    """The resource that a served version of a CustomResourceDefinition adds to the server."""
    spec = definition["spec"]
    names, group, name = spec["names"], spec["group"], version["name"]
    given = version.get("subresources") or {}
    scale = given.get("scale")
    custom = CustomVersion(
        kind=names["kind"],
        api_version=f"{group}/{name}",
        schema=(version.get("schema") or {}).get("openAPIV3Schema") or {},
        has_status=given.get("status") is not None,
        scale=scale
        and Scale(scale["specReplicasPath"], scale["statusReplicasPath"], scale.get("labelSelectorPath", "")),
        printer_columns=tuple(version.get("additionalPrinterColumns") or ()),
        selectable_fields=tuple(field["jsonPath"].removeprefix(".") for field in version.get("selectableFields") or ()),
    )
    subresources = {}
    if custom.has_status:
        subresources["status"] = Subresource("status", names["kind"], SUBRESOURCE_VERBS)
    if scale:
        subresources["scale"] = Subresource("scale", "Scale", SUBRESOURCE_VERBS, "autoscaling", "v1")
    return Resource(
        group,
        name,
        names["plural"],
        names.get("singular", ""),
        names["kind"],
        spec["scope"] == "Namespaced",
        VERBS,
        tuple(names.get("shortNames") or ()),
        tuple(names.get("categories") or ()),
        subresources,
        names.get("listKind", ""),
        custom,
    )
