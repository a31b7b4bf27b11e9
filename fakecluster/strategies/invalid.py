"""Twins that the API server must refuse, each with the words that it must give."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

from fakecluster.strategies.clusters import manifests
from fakecluster.strategies.objects import pods, services
from fakecluster.strategies.policies import network_policies
from fakecluster.strategies.workloads import deployments, endpoint_slices

JsonObject = dict[str, Any]
#: a wrong object, and a part of the server's message about it
Invalid = tuple[JsonObject, str]


def _in_port(key: str, value: Any, words: str) -> Callable[[JsonObject], str]:
    def spoil(service: JsonObject) -> str:
        service["spec"]["ports"][0][key] = value
        return words

    return spoil


def _in_spec(key: str, value: Any, words: str) -> Callable[[JsonObject], str]:
    def spoil(obj: JsonObject) -> str:
        obj["spec"][key] = value
        return words

    return spoil


def _named(name: str, words: str) -> Callable[[JsonObject], str]:
    def spoil(obj: JsonObject) -> str:
        obj["metadata"]["name"] = name
        return words

    return spoil


SERVICE_FAULTS = (
    _in_port("port", 70000, "spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive"),
    _in_port("port", 0, "must be between 1 and 65535, inclusive"),
    _in_port("protocol", "ICMP", 'spec.ports[0].protocol: Unsupported value: "ICMP"'),
    _in_port("targetPort", "not_a_name", "spec.ports[0].targetPort: Invalid value"),
    _in_port("name", "Upper", "a lowercase RFC 1123 label must consist of"),
    _in_spec("selector", {"app": "b c"}, "a valid label must be an empty string or consist of alphanumeric characters"),
    _in_spec("sessionAffinity", "Sometimes", 'spec.sessionAffinity: Unsupported value: "Sometimes"'),
    _in_spec("type", "Balanced", 'spec.type: Unsupported value: "Balanced"'),
    _in_spec("clusterIP", "10.96.0.300", "spec.clusterIPs[0]: Invalid value"),
    _in_spec("externalIPs", ["127.0.0.1"], "may not be in the loopback range"),
    _in_spec("internalTrafficPolicy", "Nowhere", 'spec.internalTrafficPolicy: Unsupported value: "Nowhere"'),
    _in_spec("trafficDistribution", "Far", 'spec.trafficDistribution: Unsupported value: "Far"'),
    # each alone is right, but not with the rest of the Service
    _in_port("nodePort", 30000, "may not be used when `type` is 'ClusterIP'"),
    _in_spec("externalTrafficPolicy", "Local", "may only be set for externally-accessible services"),
    _in_spec("healthCheckNodePort", 30000, "may only be set when `type` is 'LoadBalancer'"),
    _in_spec("ports", [{"port": 80}, {"port": 81}], "spec.ports[0].name: Required value"),
    _in_spec("ports", [{"name": "a", "port": 80}, {"name": "a", "port": 81}], "spec.ports[1].name: Duplicate value"),
    _in_spec("clusterIP", "10.97.0.1", "the provided network does not match the current range"),
    _named("a_b", "label must consist of lower case alphanumeric characters or '-'"),
)
POD_FAULTS = (
    _in_spec("containers", [], "spec.containers: Required value"),
    _in_spec("restartPolicy", "Maybe", 'spec.restartPolicy: Unsupported value: "Maybe"'),
    _in_spec("dnsPolicy", "Best", 'spec.dnsPolicy: Unsupported value: "Best"'),
    _in_spec("hostname", "a.b", "spec.hostname: Invalid value"),
    _in_spec("activeDeadlineSeconds", 0, "spec.activeDeadlineSeconds: Invalid value: 0"),
    _named("a_b", "a lowercase RFC 1123 subdomain must consist of"),
)


DEPLOYMENT_FAULTS = (
    _in_spec("replicas", -1, "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
    _in_spec("selector", {"matchLabels": {"no": "such"}}, "`selector` does not match template `labels`"),
    _in_spec("selector", {}, "empty selector is invalid for deployment"),
    _in_spec("strategy", {"type": "Sometimes"}, 'supported values: "Recreate", "RollingUpdate"'),
    _in_spec("minReadySeconds", -1, "spec.minReadySeconds: Invalid value: -1"),
    _in_spec("progressDeadlineSeconds", 0, "must be greater than minReadySeconds"),
    _named("a_b", "a lowercase RFC 1123 subdomain must consist of"),
)


def _in_slice(key: str, value: Any, words: str) -> Callable[[JsonObject], str]:
    def spoil(entry: JsonObject) -> str:
        entry[key] = value
        return words

    return spoil


SLICE_FAULTS = (
    _in_slice("addressType", "IPX", 'addressType: Unsupported value: "IPX"'),
    _in_slice("endpoints", [{"addresses": []}], "endpoints[0].addresses: Required value"),
    _in_slice("endpoints", [{"addresses": ["192.0.2.300"]}], "endpoints[0].addresses[0]: Invalid value"),
    _in_slice("endpoints", [{"addresses": ["127.0.0.1"]}], "may not be in the loopback range"),
    _in_slice("ports", [{"name": "a"}, {"name": "a"}], "ports[1].name: Duplicate value"),
    _in_slice("ports", [{"name": "Upper", "port": 80}], "ports[0].name: Invalid value"),
    _in_slice("ports", [{"port": 80, "protocol": "ICMP"}], 'ports[0].protocol: Unsupported value: "ICMP"'),
)
POLICY_FAULTS = (
    _in_spec("policyTypes", ["Sideways"], 'spec.policyTypes[0]: Unsupported value: "Sideways"'),
    _in_spec("policyTypes", ["Ingress", "Ingress", "Egress"], "may not specify more than two policyTypes"),
    _in_spec("ingress", [{"from": [{"ipBlock": {"cidr": "10.0.0.0/33"}}]}], "spec.ingress[0].from[0].ipBlock.cidr"),
    _in_spec(
        "ingress",
        [{"from": [{"ipBlock": {"cidr": "10.0.0.0/24", "except": ["10.1.0.0/24"]}}]}],
        "must be a strict subset of `cidr`",
    ),
    _in_spec("egress", [{"ports": [{"port": 80, "endPort": 70}]}], "must be greater than or equal to `port`"),
    _in_spec(
        "egress", [{"ports": [{"protocol": "ICMP"}]}], 'spec.egress[0].ports[0].protocol: Unsupported value: "ICMP"'
    ),
    _in_spec("ingress", [{"ports": [{"port": 0}]}], "must be between 1 and 65535, inclusive"),
    _in_spec(
        "podSelector", {"matchExpressions": [{"key": "a", "operator": "In"}]}, "must be specified when `operator` is"
    ),
)


@st.composite
def _twins(
    draw: st.DrawFn, valid: st.SearchStrategy[JsonObject], faults: tuple[Callable[[JsonObject], str], ...]
) -> Invalid:
    wrong = deepcopy(draw(valid))
    return wrong, draw(st.sampled_from(faults))(wrong)


def invalid_services() -> st.SearchStrategy[Invalid]:
    """A Service with one fault, and a part of the message that refuses it."""
    return _twins(services(types=("ClusterIP",)), SERVICE_FAULTS)


def invalid_pods() -> st.SearchStrategy[Invalid]:
    """A Pod with one fault, and a part of the message that refuses it."""
    return _twins(pods(), POD_FAULTS)


def invalid_deployments() -> st.SearchStrategy[Invalid]:
    """A Deployment with one fault, and a part of the message that refuses it."""
    return _twins(deployments(), DEPLOYMENT_FAULTS)


def invalid_endpoint_slices() -> st.SearchStrategy[Invalid]:
    """An EndpointSlice with one fault, and a part of the message that refuses it."""
    return _twins(endpoint_slices(service="web"), SLICE_FAULTS)


def invalid_network_policies() -> st.SearchStrategy[Invalid]:
    """A NetworkPolicy with one fault, and a part of the message that refuses it."""
    return _twins(network_policies(), POLICY_FAULTS)


def invalid_manifests() -> st.SearchStrategy[tuple[list[JsonObject], str]]:
    """Manifests of which the last object is wrong, and a part of the message that refuses it."""
    wrong = st.one_of(
        invalid_pods(), invalid_services(), invalid_deployments(), invalid_endpoint_slices(), invalid_network_policies()
    )
    return st.tuples(manifests(), wrong).map(lambda drawn: ([*drawn[0], drawn[1][0]], drawn[1][1]))


#: Names that no object may have, label values that no label may have: with a part of the message that refuses them.
_NAMES = (
    ("", "name or generateName is required"),
    ("Upper", "a lowercase RFC 1123 subdomain must consist of"),
    ("under_score", "a lowercase RFC 1123 subdomain must consist of"),
    ("-dash", "a lowercase RFC 1123 subdomain must consist of"),
    ("a" * 254, "must be no more than 253"),
)
_LABELS = (
    ({"app": "with space"}, "a valid label must be an empty string or consist of alphanumeric characters"),
    ({"app": "-dash"}, "a valid label must be an empty string or consist of alphanumeric characters"),
    ({"app": "a" * 64}, "must be no more than 63"),
    ({"with space": "a"}, "name part must consist of alphanumeric characters"),
    ({"a/b/c": "a"}, "a valid label key must consist of"),
)


def invalid_names() -> st.SearchStrategy[tuple[str, str]]:
    """A name that a Pod may not have, and a part of the message that refuses it."""
    return st.sampled_from(_NAMES)


def invalid_labels() -> st.SearchStrategy[tuple[dict[str, str], str]]:
    """Labels that no object may have, and a part of the message that refuses them."""
    return st.sampled_from(_LABELS)


_LABEL_SELECTORS: tuple[tuple[JsonObject, str], ...] = (
    ({"matchLabels": {"app": "with space"}}, "a valid label must be an empty string or consist of alphanumeric"),
    ({"matchLabels": {"with space": "a"}}, "name part must consist of alphanumeric characters"),
    ({"matchExpressions": [{"key": "a", "operator": "In"}]}, "must be specified when `operator` is 'In' or 'NotIn'"),
    (
        {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]},
        "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
    ),
    ({"matchExpressions": [{"key": "a", "operator": "Like", "values": ["b"]}]}, "not a valid selector operator"),
)


def invalid_selectors() -> st.SearchStrategy[tuple[dict[str, str], str]]:
    """A selector that no Service may have, and a part of the message that refuses it."""
    return st.sampled_from(_LABELS)


def invalid_label_selectors() -> st.SearchStrategy[tuple[JsonObject, str]]:
    """A LabelSelector that no Deployment or NetworkPolicy may have, and a part of the message that refuses it."""
    return st.sampled_from(_LABEL_SELECTORS)
