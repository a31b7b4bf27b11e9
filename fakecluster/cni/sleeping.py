"""Nodes that sleep: their addresses are given out, their Pods counted, and no namespace is made before it is needed.

A node wakes, with all of its Pods, when somebody asks for one of its namespaces, when a packet goes to its address, or when
a Pod comes that needs more than an address and ports (host network, host ports, a program of its own). Then it is as if
it had never slept, except that what its kube-proxy would have done in between (metrics, syncs) has not happened.
"""

from __future__ import annotations

from typing import Any

import attrs

from fakecluster.cni import hostports

JsonObject = dict[str, Any]


@attrs.frozen
class Resting:
    """A Pod on a sleeping node: its addresses, and the containers that have been started."""

    node: str
    pod: JsonObject
    addresses: tuple[str, ...]
    containers: tuple[JsonObject, ...] = ()

    def with_container(self, container: JsonObject) -> Resting:
        return attrs.evolve(self, containers=(*self.containers, container))

    def without(self, name: str) -> Resting:
        return attrs.evolve(self, containers=tuple(one for one in self.containers if one["name"] != name))


def can_rest(pod: JsonObject) -> bool:
    """Whether nothing but addresses and ports is asked for."""
    spec = pod["spec"]
    return not (spec.get("hostNetwork") or spec.get("initContainers") or hostports.mappings(pod))
