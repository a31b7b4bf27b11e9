"""What the API server publishes about itself: the Service `kubernetes`, its Endpoints and EndpointSlice.

Source: pkg/controlplane/controller/kubernetesservice, pkg/controlplane/reconcilers.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fakecluster.api.client import Client

NAME, NAMESPACE = "kubernetes", "default"
SECURE_PORT = 6443
SERVICE_PORT = 443


def publish_master(client: Client, service_cidrs: Sequence[str], advertise_address: str) -> None:
    """Make the three objects; the Service has the first address of the first service CIDR."""
    cluster_ip = str(ip_network(service_cidrs[0]).network_address + 1)
    meta = {"name": NAME, "namespace": NAMESPACE}
    port = {"name": "https", "protocol": "TCP", "port": SERVICE_PORT, "targetPort": SECURE_PORT}
    spec = {"clusterIP": cluster_ip, "ipFamilyPolicy": "SingleStack", "ports": [port], "sessionAffinity": "None"}
    labels = {"component": "apiserver", "provider": "kubernetes"}
    client.create("services", {"metadata": {**meta, "labels": labels}, "spec": {**spec, "type": "ClusterIP"}})
    backend = {"name": "https", "port": SECURE_PORT, "protocol": "TCP"}
    labels = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    subsets = [{"addresses": [{"ip": advertise_address}], "ports": [backend]}]
    client.create("endpoints", {"metadata": {**meta, "labels": labels}, "subsets": subsets})
    endpoint_slice = {
        "metadata": {**meta, "labels": {"kubernetes.io/service-name": NAME}},
        "addressType": f"IPv{ip_address(advertise_address).version}",
        "endpoints": [{"addresses": [advertise_address], "conditions": {"ready": True}}],
        "ports": [backend],
    }
    client.create("endpointslices.discovery.k8s.io", endpoint_slice)
