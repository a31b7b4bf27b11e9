"""Which networking kind behaves how, by resource."""

from __future__ import annotations

from fakecluster.api.kinds_network.config import CONFIG_MAP, SECRET
from fakecluster.api.kinds_network.endpoint_slices import ENDPOINT_SLICE
from fakecluster.api.kinds_network.endpoints import ENDPOINTS
from fakecluster.api.kinds_network.ingresses import INGRESS, INGRESS_CLASS
from fakecluster.api.kinds_network.ip_addresses import IP_ADDRESS
from fakecluster.api.kinds_network.namespaces import NAMESPACE
from fakecluster.api.kinds_network.network_policies import NETWORK_POLICY
from fakecluster.api.kinds_network.nodes import NODE
from fakecluster.api.kinds_network.service import SERVICE
from fakecluster.api.kinds_network.service_cidrs import SERVICE_CIDR
from fakecluster.api.strategy import Strategy

STRATEGIES: dict[str, Strategy] = {
    "configmaps": CONFIG_MAP,
    "endpoints": ENDPOINTS,
    "endpointslices.discovery.k8s.io": ENDPOINT_SLICE,
    "ingressclasses.networking.k8s.io": INGRESS_CLASS,
    "ingresses.networking.k8s.io": INGRESS,
    "ipaddresses.networking.k8s.io": IP_ADDRESS,
    "namespaces": NAMESPACE,
    "networkpolicies.networking.k8s.io": NETWORK_POLICY,
    "nodes": NODE,
    "secrets": SECRET,
    "servicecidrs.networking.k8s.io": SERVICE_CIDR,
    "services": SERVICE,
}
