"""Running checks by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from fakecluster.checks import dns, modes, objects, policies, rollouts, selectors, services
from fakecluster.checks.finding import Finding

if TYPE_CHECKING:
    from fakecluster.cluster import Cluster

Check = Callable[["Cluster"], Iterable[Finding]]

#: name -> the check; each looks at a settled cluster and leaves it as it is
CHECKS: Mapping[str, Check] = {
    "selectors": selectors.selectors_match,
    "endpoints": objects.slices_list_the_selected_pods,
    "unique": objects.allocations_are_unique,
    "reachable": services.reachable,
    "unoffered": services.unoffered,
    "hairpin": services.hairpin,
    "balanced": services.balanced,
    "affinity": services.affinity_is_sticky,
    "client-address": services.client_address_is_kept,
    "dns": dns.names_agree_with_endpoints,
    "modes-agree": modes.modes_agree,
    "rollout": rollouts.rollout_refuses_nobody,
    "policies": policies.policies_mean_something,
}


def run(cluster: Cluster, names: Iterable[str] | None = None) -> list[Finding]:
    """The findings of all checks, or of those named. Raises ValueError for an unknown name."""
    chosen = list(names) if names is not None else list(CHECKS)
    if unknown := [name for name in chosen if name not in CHECKS]:
        raise ValueError(f"no such check: {', '.join(unknown)}; there are {', '.join(CHECKS)}")
    return [finding for name in chosen for finding in CHECKS[name](cluster)]
