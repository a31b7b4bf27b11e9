"""The networking kinds: what they get by default, what they may not say, what is allocated for them."""

from fakecluster.api.allocators import new_allocators
from fakecluster.api.kinds_network.master import publish_master
from fakecluster.api.kinds_network.service_cidrs import publish_default
from fakecluster.api.kinds_network.strategies import STRATEGIES

__all__ = ["STRATEGIES", "new_allocators", "publish_default", "publish_master"]
