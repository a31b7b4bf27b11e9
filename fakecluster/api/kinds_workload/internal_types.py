"""Pods as the server keeps them inside: names and order of the fields of its types, and how two Pods differ.

An update that is refused answers with a unified diff of the two specs, printed as JSON of the *internal* Go structures:
capital field names, the order of the declaration, every field present (null, zero or empty where nothing is set).
Source of names and order: Kubernetes pkg/apis/core/types.go; of the diff: apimachinery pkg/util/diff.
"""

from __future__ import annotations

import difflib
import json
import re
from typing import Any

from fakecluster.errors import Unsupported

Json = dict[str, Any]

#: Lines around a change.
CONTEXT = 3

#: What an unset field of a kind prints. A kind that is not listed names a structure: `*X` a pointer (null when unset),
#: `[]X` a list, `X` the structure itself.
_UNSET: dict[str, Any] = {"text": "", "int": 0, "bool": False, "any": None}

_CONTAINER = (
    "Name text, Image text, Command any, Args any, WorkingDir text, Ports []Port, EnvFrom []EnvFrom, Env []Env, "
    "Resources Resources, ResizePolicy []ResizePolicy, RestartPolicy any, RestartPolicyRules []RestartRule, "
    "VolumeMounts []Mount, VolumeDevices []Device, LivenessProbe *Probe, ReadinessProbe *Probe, StartupProbe *Probe, "
    "Lifecycle *Lifecycle, TerminationMessagePath text, TerminationMessagePolicy text, ImagePullPolicy text, "
    "SecurityContext *Security, Stdin bool, StdinOnce bool, TTY bool"
)
_HANDLERS = "Exec *Exec, HTTPGet *HTTPGet, TCPSocket *TCPSocket"

#: structure -> its fields in order
_TYPES: dict[str, str] = {
    "PodSpec": "Volumes []Volume, InitContainers []Container, Containers []Container, "
    "EphemeralContainers []EphemeralContainer, RestartPolicy text, TerminationGracePeriodSeconds any, "
    "ActiveDeadlineSeconds any, DNSPolicy text, NodeSelector any, ServiceAccountName text, "
    "AutomountServiceAccountToken any, NodeName text, SecurityContext *PodSecurity, ImagePullSecrets []Name, "
    "Hostname text, Subdomain text, SetHostnameAsFQDN any, Affinity *Affinity, SchedulerName text, "
    "Tolerations []Toleration, HostAliases []HostAlias, PriorityClassName text, Priority any, PreemptionPolicy any, "
    "DNSConfig *DNSConfig, ReadinessGates []ReadinessGate, RuntimeClassName any, Overhead any, "
    "EnableServiceLinks any, TopologySpreadConstraints []Spread, OS *Name, SchedulingGates []Name, "
    "ResourceClaims []PodClaim, Resources *Resources, HostnameOverride any, SchedulingGroup any",
    "PodSecurity": "HostNetwork bool, HostPID bool, HostIPC bool, ShareProcessNamespace any, HostUsers any, "
    "SELinuxOptions *SELinux, WindowsOptions *Windows, RunAsUser any, RunAsGroup any, RunAsNonRoot any, "
    "SupplementalGroups any, SupplementalGroupsPolicy any, FSGroup any, FSGroupChangePolicy any, Sysctls []NameValue, "
    "SeccompProfile *Profile, AppArmorProfile *Profile, SELinuxChangePolicy any",
    "PodTemplateSpec": "Spec PodSpec",
    "Container": _CONTAINER,
    "EphemeralContainer": f"{_CONTAINER}, TargetContainerName text",
    "Port": "Name text, HostPort int, ContainerPort int, Protocol text, HostIP text",
    "EnvFrom": "Prefix text, ConfigMapRef *NameOptional, SecretRef *NameOptional",
    "Env": "Name text, Value text, ValueFrom *EnvSource",
    "EnvSource": "FieldRef *FieldRef, ResourceFieldRef *ResourceFieldRef, ConfigMapKeyRef *KeyRef, "
    "SecretKeyRef *KeyRef, FileKeyRef *FileKeyRef",
    "FieldRef": "APIVersion text, FieldPath text",
    "ResourceFieldRef": "ContainerName text, Resource text, Divisor any",
    "KeyRef": "Name text, Key text, Optional any",
    "FileKeyRef": "VolumeName text, Path text, Key text, Optional any",
    "Resources": "Limits any, Requests any, Claims []ResourceClaim",
    "ResourceClaim": "Name text, Request text",
    "ResizePolicy": "ResourceName text, RestartPolicy text",
    "RestartRule": "Action text, ExitCodes *ExitCodes",
    "ExitCodes": "Operator text, Values any",
    "Mount": "Name text, ReadOnly bool, RecursiveReadOnly any, MountPath text, SubPath text, MountPropagation any, "
    "SubPathExpr text",
    "Device": "Name text, DevicePath text",
    "Probe": f"{_HANDLERS}, GRPC *GRPC, InitialDelaySeconds int, TimeoutSeconds int, PeriodSeconds int, "
    "SuccessThreshold int, FailureThreshold int, TerminationGracePeriodSeconds any",
    "Exec": "Command any",
    "HTTPGet": "Path text, Port int, Host text, Scheme text, HTTPHeaders []NameValue",
    "TCPSocket": "Port int, Host text",
    "GRPC": "Port int, Service any",
    "Lifecycle": "PostStart *Hook, PreStop *Hook, StopSignal any",
    "Hook": f"{_HANDLERS}, Sleep *Sleep",
    "Sleep": "Seconds int",
    "Security": "Capabilities *Capabilities, Privileged any, SELinuxOptions *SELinux, WindowsOptions *Windows, "
    "RunAsUser any, RunAsGroup any, RunAsNonRoot any, ReadOnlyRootFilesystem any, AllowPrivilegeEscalation any, "
    "ProcMount any, SeccompProfile *Profile, AppArmorProfile *Profile",
    "Capabilities": "Add any, Drop any",
    "SELinux": "User text, Role text, Type text, Level text",
    "Windows": "GMSACredentialSpecName any, GMSACredentialSpec any, RunAsUserName any, HostProcess any",
    "Profile": "Type text, LocalhostProfile any",
    "Name": "Name text",
    "NameValue": "Name text, Value text",
    "NameOptional": "Name text, Optional any",
    "Affinity": "NodeAffinity *NodeAffinity, PodAffinity *PodAffinity, PodAntiAffinity *PodAffinity",
    "NodeAffinity": "RequiredDuringSchedulingIgnoredDuringExecution *NodeSelector, "
    "PreferredDuringSchedulingIgnoredDuringExecution []PreferredNodes",
    "NodeSelector": "NodeSelectorTerms []NodeTerm",
    "NodeTerm": "MatchExpressions []NodeRequirement, MatchFields []NodeRequirement",
    "NodeRequirement": "Key text, Operator text, Values any",
    "PreferredNodes": "Weight int, Preference NodeTerm",
    "PodAffinity": "RequiredDuringSchedulingIgnoredDuringExecution []PodTerm, "
    "PreferredDuringSchedulingIgnoredDuringExecution []PreferredPods",
    "PodTerm": "LabelSelector any, Namespaces any, TopologyKey text, NamespaceSelector any, MatchLabelKeys any, "
    "MismatchLabelKeys any",
    "PreferredPods": "Weight int, PodAffinityTerm PodTerm",
    "Toleration": "Key text, Operator text, Value text, Effect text, TolerationSeconds any",
    "HostAlias": "IP text, Hostnames any",
    "DNSConfig": "Nameservers any, Searches any, Options []DNSOption",
    "DNSOption": "Name text, Value any",
    "ReadinessGate": "ConditionType text",
    "Spread": "MaxSkew int, TopologyKey text, WhenUnsatisfiable text, LabelSelector any, MinDomains any, "
    "NodeAffinityPolicy any, NodeTaintsPolicy any, MatchLabelKeys any",
    "PodClaim": "Name text, ResourceClaimName any, ResourceClaimTemplateName any",
    "Volume": "Name text, HostPath *HostPath, EmptyDir *EmptyDir, GCEPersistentDisk *, AWSElasticBlockStore *, "
    "GitRepo *GitRepo, Secret *Secret, NFS *NFS, ISCSI *, Glusterfs *, PersistentVolumeClaim *ClaimRef, RBD *, "
    "Quobyte *, FlexVolume *, Cinder *, CephFS *, Flocker *, DownwardAPI *DownwardAPI, FC *, AzureFile *, "
    "ConfigMap *ConfigMap, VsphereVolume *, AzureDisk *, PhotonPersistentDisk *, Projected *Projected, "
    "PortworxVolume *, ScaleIO *, StorageOS *, CSI *CSI, Ephemeral *, Image *Image",
    "HostPath": "Path text, Type any",
    "EmptyDir": "Medium text, SizeLimit any",
    "GitRepo": "Repository text, Revision text, Directory text",
    "Secret": "SecretName text, Items []KeyToPath, DefaultMode any, Optional any",
    "ConfigMap": "Name text, Items []KeyToPath, DefaultMode any, Optional any",
    "KeyToPath": "Key text, Path text, Mode any",
    "NFS": "Server text, Path text, ReadOnly bool",
    "ClaimRef": "ClaimName text, ReadOnly bool",
    "DownwardAPI": "Items []DownwardFile, DefaultMode any",
    "DownwardFile": "Path text, FieldRef *FieldRef, ResourceFieldRef *ResourceFieldRef, Mode any",
    "Projected": "Sources []Projection, DefaultMode any",
    "Projection": "Secret *ProjectedFiles, DownwardAPI *ProjectedDownward, ConfigMap *ProjectedFiles, "
    "ServiceAccountToken *Token, ClusterTrustBundle *TrustBundle, PodCertificate *",
    "ProjectedFiles": "Name text, Items []KeyToPath, Optional any",
    "ProjectedDownward": "Items []DownwardFile",
    "Token": "Audience text, ExpirationSeconds int, Path text",
    "TrustBundle": "Name any, SignerName any, LabelSelector any, Optional any, Path text",
    "CSI": "Driver text, ReadOnly any, FSType any, VolumeAttributes any, NodePublishSecretRef *Name",
    "Image": "Reference text, PullPolicy text",
}
#: Fields whose JSON name does not follow from the Go name.
_WIRE_NAMES = {"CephFS": "cephfs", "StorageOS": "storageos"}
_LEADING = re.compile(r"[A-Z]+(?![a-z])|[A-Z]")
#: What the wire keeps in the Pod's spec and the server keeps in the security context.
_HOST_FIELDS = ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers")


def wire_name(name: str) -> str:
    """The JSON name of a Go field: DNSPolicy -> dnsPolicy, SELinuxOptions -> seLinuxOptions."""
    if name in _WIRE_NAMES:
        return _WIRE_NAMES[name]
    match = _LEADING.match(name)
    return name if match is None else match[0].lower() + name[match.end() :]


def _fields(text: str) -> tuple[tuple[str, str, str], ...]:
    parts = (part.strip().split(" ") for part in text.split(","))
    return tuple((name, wire_name(name), kind) for name, kind in parts)


_COMPILED = {name: _fields(text) for name, text in _TYPES.items()}


def internal(value: Json | None, kind: str) -> Any:
    """An object from the wire as the internal structure `kind`, every field present."""
    wire = value or {}
    if kind == "PodSpec" and wire.get("securityContext") is not None:
        host = {name: wire[name] for name in _HOST_FIELDS if name in wire}
        wire = {**wire, "securityContext": {**wire["securityContext"], **host}}
    return {name: _field(wire.get(key), field) for name, key, field in _COMPILED[kind]}


def _field(value: Any, kind: str) -> Any:
    if kind in _UNSET:
        return _UNSET[kind] if value is None else value
    if kind.startswith("[]"):
        return [internal(item, kind[2:]) for item in value] if value else None
    if kind.startswith("*"):
        if value is None:
            return None
        if kind == "*":
            raise Unsupported("the difference of two Pods with a volume of this kind", token=str(value))
        return internal(value, kind[1:])
    return internal(value, kind)


def difference(old: Json, new: Json, kind: str) -> str:
    """How `new` differs from `old`, as the server prints it."""
    before, after = (_lines(internal(value, kind)) for value in (old, new))
    return "".join(list(difflib.unified_diff(before, after, n=CONTEXT))[2:])


def _lines(value: Any) -> list[str]:
    text = json.dumps(value, indent=1, ensure_ascii=False)
    text = text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    return [f"{line}\n" for line in text.split("\n")]
