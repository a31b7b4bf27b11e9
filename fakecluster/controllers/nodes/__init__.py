"""Controllers of nodes: Pod address ranges, the ttl annotation, taints by condition, eviction, Pods left behind."""
