"""A table of objects: its columns, and a row for each."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from importlib import resources as package_files
from typing import Any

import attrs

from fakecluster.api import status
from fakecluster.api.go_values import go_quote
from fakecluster.api.resources import Resource
from fakecluster.api.status import JsonObject
from fakecluster.api.tables import core, workloads
from fakecluster.api.tables.cells import Now
from fakecluster.api.tables.columns import OTHERS, Column
from fakecluster.api.tables.custom import custom_columns, custom_row

Row = Callable[[JsonObject, Now], list[Any]]
INCLUDES = ("", "Metadata", "Object", "None")


@attrs.frozen
class Table:
    """The columns of a kind and how a row is made."""

    columns: tuple[Column, ...]
    row: Row
    conditions: Callable[[JsonObject], list[JsonObject]] = lambda obj: []

    def render(
        self, objects: Sequence[JsonObject], meta: JsonObject, include: str, unix_s: int, *, columns: bool = True
    ) -> JsonObject:
        """A `meta.k8s.io/v1` Table; `include` says how much of each object goes with its row."""
        if include not in INCLUDES:
            words = f"includeObject: Invalid value: {go_quote(include)}: must be 'Metadata', 'Object', 'None', or empty"
            raise status.bad_request(f"Unable to convert to Table as requested: {words}")
        now = Now(unix_s)
        return {
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": meta,
            "columnDefinitions": [column.shown() for column in self.columns] if columns else None,
            "rows": [self._row(obj, now, include) for obj in objects],
        }

    def _row(self, obj: JsonObject, now: Now, include: str) -> JsonObject:
        row: JsonObject = {"cells": self.row(obj, now)}
        if conditions := self.conditions(obj):
            row["conditions"] = conditions
        if include == "None":
            row["object"] = None
        elif include == "Object":
            row["object"] = obj
        else:
            head = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
            row["object"] = {**head, "metadata": obj["metadata"]}
        return row


ROWS: dict[str, Row] = {
    "configmaps": core.config_map,
    "cronjobs.batch": workloads.cron_job,
    "daemonsets.apps": workloads.daemon_set,
    "deployments.apps": workloads.deployment,
    "endpoints": core.endpoints,
    "endpointslices.discovery.k8s.io": core.endpoint_slice,
    "events": core.event,
    "ingressclasses.networking.k8s.io": core.ingress_class,
    "ingresses.networking.k8s.io": core.ingress,
    "ipaddresses.networking.k8s.io": core.ip_address,
    "jobs.batch": workloads.job,
    "leases.coordination.k8s.io": core.lease,
    "namespaces": core.namespace,
    "networkpolicies.networking.k8s.io": core.network_policy,
    "nodes": core.node,
    "poddisruptionbudgets.policy": workloads.disruption_budget,
    "pods": workloads.pod,
    "replicasets.apps": workloads.replica_set,
    "replicationcontrollers": workloads.replication_controller,
    "secrets": core.secret,
    "serviceaccounts": core.service_account,
    "servicecidrs.networking.k8s.io": core.service_cidr,
    "services": core.service,
    "statefulsets.apps": workloads.stateful_set,
}


@functools.cache
def _recorded() -> dict[str, tuple[Column, ...]]:
    text = package_files.files("fakecluster.api").joinpath("data/columns-1.36.json").read_text()
    return {resource: tuple(Column(*row) for row in rows) for resource, rows in json.loads(text).items()}


def for_resource(resource: Resource) -> Table:
    """The table of a kind; kinds without columns of their own show name and age."""
    if resource.custom is not None:
        extra = resource.custom.printer_columns
        return Table((_name(), *custom_columns(extra)), lambda obj, now: custom_row(extra, obj, now))
    key = resource.key
    columns = _recorded().get(key)
    if columns is None and key in OTHERS:
        columns = tuple(_common(column) for column in OTHERS[key])
    if columns is None or key not in ROWS:
        created = Column("Created At", "date", "", 0, _age().description)
        return Table(
            (_name(), created), lambda obj, now: [obj["metadata"]["name"], obj["metadata"]["creationTimestamp"]]
        )
    conditions = _pod_conditions if key == "pods" else _no_conditions
    return Table(columns, ROWS[key], conditions)


def _name() -> Column:
    return next(column for column in _recorded()["pods"] if column.name == "Name")


def _age() -> Column:
    return next(column for column in _recorded()["pods"] if column.name == "Age")


def _common(column: Column) -> Column:
    known = {"Name": _name, "Age": _age}.get(column.name)
    return column if known is None else attrs.evolve(known(), priority=column.priority)


def _no_conditions(obj: JsonObject) -> list[JsonObject]:
    return []


def _pod_conditions(obj: JsonObject) -> list[JsonObject]:
    condition = workloads.POD_CONDITIONS.get(obj.get("status", {}).get("phase", ""))
    return [condition] if condition else []
