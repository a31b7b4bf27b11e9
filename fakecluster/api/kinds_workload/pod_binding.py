"""`pods/binding`: how a scheduler gives a Pod its node (pkg/registry/core/pod/storage/storage.go, BindingREST)."""

from __future__ import annotations

from typing import Any

from fakecluster.api import status, updates
from fakecluster.api.strategy import Request

Json = dict[str, Any]


def bind(request: Request, binding: Json) -> None:
    """Assign the Pod that `request` names; what is wrong with the Binding itself is, as in the real server, a 500."""
    name = (binding.get("metadata") or {}).get("name", "")
    if name != request.name:
        raise status.bad_request("name in URL does not match name in Binding object")
    target = binding.get("target") or {}
    problems = []
    if target.get("kind", "") not in ("", "Node"):
        problems.append(f'target.kind: Unsupported value: "{target["kind"]}": supported values: "Node", "<empty>"')
    if not target.get("name"):
        problems.append("target.name: Required value")
    if problems:
        raise status.failure(500, "", problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]")
    updates.bind(request, target["name"], (binding.get("metadata") or {}).get("annotations"))
