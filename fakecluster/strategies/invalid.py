"""Twins that the API server must refuse, each with the words that it must give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from fakecluster.strategies.objects import pods, services

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


@st.composite
def invalid_services(draw: st.DrawFn) -> Invalid:
    """A Service with one fault, and a part of the message that refuses it."""
    service = draw(services(types=("ClusterIP",)))
    return service, draw(st.sampled_from(SERVICE_FAULTS))(service)


@st.composite
def invalid_pods(draw: st.DrawFn) -> Invalid:
    """A Pod with one fault, and a part of the message that refuses it."""
    pod = draw(pods())
    return pod, draw(st.sampled_from(POD_FAULTS))(pod)
