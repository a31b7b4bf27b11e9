"""Columns of kinds whose tables were not recorded (those that were: `data/columns-1.36.json`)."""

from __future__ import annotations

from typing import Any

import attrs


@attrs.frozen
class Column:
    """One column; priority 1 shows only in `-o wide`."""

    name: str
    type: str = "string"
    format: str = ""
    priority: int = 0
    description: str = ""

    def shown(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": self.description,
            "priority": self.priority,
        }


def _columns(*names: str, wide: tuple[str, ...] = (), numbers: tuple[str, ...] = ()) -> tuple[Column, ...]:
    found = [Column(name, "integer" if name in numbers else "string") for name in names]
    return (*found, *(Column(name, "integer" if name in numbers else "string", priority=1) for name in wide))


WORKLOAD_WIDE = ("Containers", "Images", "Selector")
DAEMON_COUNTS = ("Desired", "Current", "Ready", "Up-to-date", "Available")
OTHERS: dict[str, tuple[Column, ...]] = {
    "cronjobs.batch": _columns(
        "Name",
        "Schedule",
        "Timezone",
        "Suspend",
        "Active",
        "Last Schedule",
        "Age",
        wide=WORKLOAD_WIDE,
        numbers=("Active",),
    ),
    "daemonsets.apps": _columns(
        "Name", *DAEMON_COUNTS, "Node Selector", "Age", wide=WORKLOAD_WIDE, numbers=DAEMON_COUNTS
    ),
    "events": (
        *_columns("Last Seen", "Type", "Reason", "Object"),
        *_columns(wide=("Subobject", "Source")),
        Column("Message"),
        *_columns(wide=("First Seen", "Count"), numbers=("Count",)),
        Column("Name", "string", "name", 1),
    ),
    "ingressclasses.networking.k8s.io": _columns("Name", "Controller", "Parameters", "Age"),
    "ipaddresses.networking.k8s.io": _columns("Name", "ParentRef", "Age"),
    "jobs.batch": _columns("Name", "Status", "Completions", "Duration", "Age", wide=WORKLOAD_WIDE),
    "leases.coordination.k8s.io": _columns("Name", "Holder", "Age"),
    "poddisruptionbudgets.policy": _columns(
        "Name", "Min Available", "Max Unavailable", "Allowed Disruptions", "Age", numbers=("Allowed Disruptions",)
    ),
    "replicationcontrollers": _columns(
        "Name", "Desired", "Current", "Ready", "Age", wide=WORKLOAD_WIDE, numbers=("Desired", "Current", "Ready")
    ),
    "secrets": _columns("Name", "Type", "Data", "Age", numbers=("Data",)),
    "serviceaccounts": _columns("Name", "Age"),
    "servicecidrs.networking.k8s.io": _columns("Name", "CIDRs", "Age"),
    "statefulsets.apps": _columns("Name", "Ready", "Age", wide=("Containers", "Images")),
}
