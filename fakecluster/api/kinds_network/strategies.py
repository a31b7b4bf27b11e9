"""Which networking kind behaves how, by resource."""

from __future__ import annotations

from fakecluster.api.kinds_network.service import SERVICE
from fakecluster.api.strategy import Strategy

STRATEGIES: dict[str, Strategy] = {
    "services": SERVICE,
}
