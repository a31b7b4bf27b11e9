"""Which optional scalars are pointers in Go: these keep a zero that was given, the others drop it (`omitempty`).

The OpenAPI documents do not say; the rule of thumb (numbers and booleans are pointers, strings are not) holds but for
the fields listed here.
"""

from __future__ import annotations

from typing import Any

#: Numbers and booleans that are plain values: zero means "not given".
PLAIN: dict[str, frozenset[str]] = {
    "Condition": frozenset({"observedGeneration"}),
    "Container": frozenset({"stdin", "stdinOnce", "tty"}),
    "ContainerImage": frozenset({"sizeBytes"}),
    "ContainerPort": frozenset({"hostPort"}),
    "ContainerStateTerminated": frozenset({"signal"}),
    "DaemonSetSpec": frozenset({"minReadySeconds"}),
    "DaemonSetStatus": frozenset(
        {"numberAvailable", "numberUnavailable", "observedGeneration", "updatedNumberScheduled"}
    ),
    "DeploymentSpec": frozenset({"minReadySeconds", "paused"}),
    "DeploymentStatus": frozenset(
        {
            "availableReplicas",
            "observedGeneration",
            "readyReplicas",
            "replicas",
            "unavailableReplicas",
            "updatedReplicas",
        }
    ),
    "EphemeralContainer": frozenset({"stdin", "stdinOnce", "tty"}),
    "Event": frozenset({"count"}),
    "HorizontalPodAutoscalerStatus": frozenset({"currentReplicas"}),
    "JobStatus": frozenset({"active", "failed", "succeeded"}),
    "NFSVolumeSource": frozenset({"readOnly"}),
    "NodeSpec": frozenset({"unschedulable"}),
    "ObjectMeta": frozenset({"generation"}),
    "PersistentVolumeClaimVolumeSource": frozenset({"readOnly"}),
    "PodCondition": frozenset({"observedGeneration"}),
    "PodDisruptionBudgetStatus": frozenset({"observedGeneration"}),
    "PodSpec": frozenset({"hostIPC", "hostNetwork", "hostPID"}),
    "PodStatus": frozenset({"observedGeneration"}),
    "PriorityClass": frozenset({"globalDefault"}),
    "Probe": frozenset(
        {"failureThreshold", "initialDelaySeconds", "periodSeconds", "successThreshold", "timeoutSeconds"}
    ),
    "ReplicaSetSpec": frozenset({"minReadySeconds"}),
    "ReplicaSetStatus": frozenset({"availableReplicas", "fullyLabeledReplicas", "observedGeneration", "readyReplicas"}),
    "ReplicationControllerSpec": frozenset({"minReadySeconds"}),
    "ReplicationControllerStatus": frozenset(
        {"availableReplicas", "fullyLabeledReplicas", "observedGeneration", "readyReplicas"}
    ),
    "ScaleSpec": frozenset({"replicas"}),
    "ServiceBackendPort": frozenset({"number"}),
    "ServicePort": frozenset({"nodePort"}),
    "ServiceSpec": frozenset({"healthCheckNodePort", "publishNotReadyAddresses"}),
    "StatefulSetSpec": frozenset({"minReadySeconds"}),
    "StatefulSetStatus": frozenset({"currentReplicas", "observedGeneration", "readyReplicas", "updatedReplicas"}),
    "VolumeMount": frozenset({"readOnly"}),
}
#: Optional lists that Go writes even when they are empty (as null).
BARE_LISTS: dict[str, frozenset[str]] = {"EndpointSlice": frozenset(("endpoints", "ports"))}
#: Strings that are pointers, and lists without `omitempty`: an empty one stays.
POINTERS: dict[str, frozenset[str]] = {
    "AppArmorProfile": frozenset({"localhostProfile"}),
    "Container": frozenset({"restartPolicy"}),
    "CronJobSpec": frozenset({"timeZone"}),
    "Endpoint": frozenset({"hostname", "nodeName", "zone"}),
    "EndpointAddress": frozenset({"nodeName"}),
    "EndpointPort": frozenset({"appProtocol"}),
    "EndpointSlice": frozenset({"endpoints", "ports"}),
    "EphemeralContainer": frozenset({"restartPolicy"}),
    "GRPCAction": frozenset({"service"}),
    "HTTPIngressPath": frozenset({"pathType"}),
    "HostPathVolumeSource": frozenset({"type"}),
    "IngressClassParametersReference": frozenset({"apiGroup", "namespace", "scope"}),
    "IngressSpec": frozenset({"ingressClassName"}),
    "JobSpec": frozenset({"completionMode", "managedBy", "podReplacementPolicy"}),
    "LeaseSpec": frozenset({"holderIdentity", "preferredHolder", "strategy"}),
    "LoadBalancerIngress": frozenset({"ipMode"}),
    "NetworkPolicyPort": frozenset({"protocol"}),
    "PersistentVolumeClaimSpec": frozenset({"storageClassName", "volumeAttributesClassName", "volumeMode"}),
    "PodDNSConfigOption": frozenset({"value"}),
    "PodDisruptionBudgetSpec": frozenset({"unhealthyPodEvictionPolicy"}),
    "PodSecurityContext": frozenset({"fsGroupChangePolicy", "supplementalGroupsPolicy"}),
    "PodSpec": frozenset({"preemptionPolicy", "runtimeClassName"}),
    "PortStatus": frozenset({"error"}),
    "SeccompProfile": frozenset({"localhostProfile"}),
    "SecurityContext": frozenset({"procMount"}),
    "ServicePort": frozenset({"appProtocol"}),
    "ServiceSpec": frozenset({"internalTrafficPolicy", "ipFamilyPolicy", "loadBalancerClass", "trafficDistribution"}),
    "TopologySpreadConstraint": frozenset({"nodeAffinityPolicy", "nodeTaintsPolicy"}),
    "TypedLocalObjectReference": frozenset({"apiGroup"}),
    "VolumeMount": frozenset({"mountPropagation", "recursiveReadOnly"}),
}
#: Times that are plain values, beside those of conditions: null means "not set".
PLAIN_TIMES: dict[str, frozenset[str]] = {
    "ContainerStateRunning": frozenset({"startedAt"}),
    "ContainerStateTerminated": frozenset({"finishedAt", "startedAt"}),
    "Event": frozenset(
        {"deprecatedFirstTimestamp", "deprecatedLastTimestamp", "eventTime", "firstTimestamp", "lastTimestamp"}
    ),
    "EventSeries": frozenset({"lastObservedTime"}),
}


def keeps_zero(owner: str, key: str, schema: dict[str, Any]) -> bool:
    """Whether the optional property `key` of the definition `owner` survives when it is zero or empty."""
    kind = owner.rpartition(".")[2]
    if schema.get("type") in ("integer", "boolean", "number"):
        return key not in PLAIN.get(kind, ())
    if schema.get("type") in ("string", "array"):
        return key in POINTERS.get(kind, ())
    return "oneOf" in schema or (schema.get("type") == "object" and "additionalProperties" not in schema)
