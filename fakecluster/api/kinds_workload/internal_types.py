"""Pods as the server keeps them inside: names and order of the fields of its types, and how two Pods differ.

An update that is refused answers with a unified diff of the two specs, printed as JSON of the *internal* Go structures:
capital field names, the order of the declaration, every field present (null, zero or empty where nothing is set).
Source of names and order: Kubernetes pkg/apis/core/types.go; of the diff: apimachinery pkg/util/diff.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]

#: Lines around a change.
CONTEXT = 3

#: What an unset field of a kind prints. A kind that is not listed names a structure: `*X` a pointer (null when unset),
#: `[]X` a list, `X` the structure itself. Maps are printed by key; a selector is the same type inside and on the wire.
_UNSET: dict[str, Any] = {"text": "", "int": 0, "bool": False, "any": None, "map": None, "selector": None}

_CONTAINER = (
    "Name text, Image text, Command any, Args any, WorkingDir text, Ports []Port, EnvFrom []EnvFrom, Env []Env, "
    "Resources Resources, ResizePolicy []ResizePolicy, RestartPolicy any, RestartPolicyRules []RestartRule, "
    "VolumeMounts []Mount, VolumeDevices []Device, LivenessProbe *Probe, ReadinessProbe *Probe, StartupProbe *Probe, "
    "Lifecycle *Lifecycle, TerminationMessagePath text, TerminationMessagePolicy text, ImagePullPolicy text, "
    "SecurityContext *Security, Stdin bool, StdinOnce bool, TTY bool"
)
_HANDLERS = "Exec *Exec, HTTPGet *HTTPGet, TCPSocket *TCPSocket"

#: structure -> its fields in order; `Go/wire` where the JSON name does not follow from the Go name
_TYPES: dict[str, str] = {
    "PodSpec": "Volumes []Volume, InitContainers []Container, Containers []Container, "
    "EphemeralContainers []EphemeralContainer, RestartPolicy text, TerminationGracePeriodSeconds any, "
    "ActiveDeadlineSeconds any, DNSPolicy text, NodeSelector map, ServiceAccountName text, "
    "AutomountServiceAccountToken any, NodeName text, SecurityContext *PodSecurity, ImagePullSecrets []Name, "
    "Hostname text, Subdomain text, SetHostnameAsFQDN any, Affinity *Affinity, SchedulerName text, "
    "Tolerations []Toleration, HostAliases []HostAlias, PriorityClassName text, Priority any, PreemptionPolicy any, "
    "DNSConfig *DNSConfig, ReadinessGates []ReadinessGate, RuntimeClassName any, Overhead map, "
    "EnableServiceLinks any, TopologySpreadConstraints []Spread, OS *Name, SchedulingGates []Name, "
    "ResourceClaims []PodClaim, Resources *Resources, HostnameOverride any, SchedulingGroup *SchedulingGroup",
    "SchedulingGroup": "PodGroupName any",
    "PodSecurity": "HostNetwork bool, HostPID bool, HostIPC bool, ShareProcessNamespace any, HostUsers any, "
    "SELinuxOptions *SELinux, WindowsOptions *Windows, RunAsUser any, RunAsGroup any, RunAsNonRoot any, "
    "SupplementalGroups any, SupplementalGroupsPolicy any, FSGroup any, FSGroupChangePolicy any, Sysctls []NameValue, "
    "SeccompProfile *Profile, AppArmorProfile *Profile, SELinuxChangePolicy any",
    "PodTemplateSpec": "Spec PodSpec",
    "PodFailurePolicy": "Rules []FailureRule",
    "FailureRule": "Action text, OnExitCodes *FailureCodes, OnPodConditions []FailureCondition",
    "FailureCodes": "ContainerName any, Operator text, Values any",
    "FailureCondition": "Type text, Status text",
    "SuccessPolicy": "Rules []SuccessRule",
    "SuccessRule": "SucceededIndexes any, SucceededCount any",
    "RollingUpdateStatefulSetStrategy": "Partition int, MaxUnavailable any",
    "DisruptionBudgetSpec": "MinAvailable any, Selector selector, MaxUnavailable any, UnhealthyPodEvictionPolicy any",
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
    "Resources": "Limits map, Requests map, Claims []ResourceClaim",
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
    "PodTerm": "LabelSelector selector, Namespaces any, TopologyKey text, NamespaceSelector selector, "
    "MatchLabelKeys any, MismatchLabelKeys any",
    "PreferredPods": "Weight int, PodAffinityTerm PodTerm",
    "Toleration": "Key text, Operator text, Value text, Effect text, TolerationSeconds any",
    "HostAlias": "IP text, Hostnames any",
    "DNSConfig": "Nameservers any, Searches any, Options []DNSOption",
    "DNSOption": "Name text, Value any",
    "ReadinessGate": "ConditionType text",
    "Spread": "MaxSkew int, TopologyKey text, WhenUnsatisfiable text, LabelSelector selector, MinDomains any, "
    "NodeAffinityPolicy any, NodeTaintsPolicy any, MatchLabelKeys any",
    "PodClaim": "Name text, ResourceClaimName any, ResourceClaimTemplateName any",
    "Volume": "Name text, HostPath *HostPath, EmptyDir *EmptyDir, GCEPersistentDisk *GCEDisk, "
    "AWSElasticBlockStore *AWSDisk, GitRepo *GitRepo, Secret *Secret, NFS *NFS, ISCSI *ISCSI, Glusterfs *Glusterfs, "
    "PersistentVolumeClaim *ClaimRef, RBD *RBD, Quobyte *Quobyte, FlexVolume *Flex, Cinder *Cinder, "
    "CephFS/cephfs *CephFS, Flocker *Flocker, DownwardAPI *DownwardAPI, FC *FC, AzureFile *AzureFile, "
    "ConfigMap *ConfigMap, VsphereVolume *Vsphere, AzureDisk *AzureDisk, PhotonPersistentDisk *Photon, "
    "Projected *Projected, PortworxVolume *Portworx, ScaleIO *ScaleIO, StorageOS/storageos *StorageOS, CSI *CSI, "
    "Ephemeral *Ephemeral, Image *Image",
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
    "ServiceAccountToken *Token, ClusterTrustBundle *TrustBundle, PodCertificate *Certificate",
    "ProjectedFiles": "Name text, Items []KeyToPath, Optional any",
    "ProjectedDownward": "Items []DownwardFile",
    "Token": "Audience text, ExpirationSeconds int, Path text",
    "TrustBundle": "Name any, SignerName any, LabelSelector selector, Optional any, Path text",
    "CSI": "Driver text, ReadOnly any, FSType any, VolumeAttributes map, NodePublishSecretRef *Name",
    "Image": "Reference text, PullPolicy text",
    "Certificate": "SignerName text, KeyType text, MaxExpirationSeconds any, CredentialBundlePath text, "
    "KeyPath text, CertificateChainPath text, UserAnnotations map",
    "GCEDisk": "PDName text, FSType text, Partition int, ReadOnly bool",
    "AWSDisk": "VolumeID text, FSType text, Partition int, ReadOnly bool",
    "ISCSI": "TargetPortal text, IQN text, Lun int, ISCSIInterface text, FSType text, ReadOnly bool, Portals any, "
    "DiscoveryCHAPAuth/chapAuthDiscovery bool, SessionCHAPAuth/chapAuthSession bool, SecretRef *Name, "
    "InitiatorName any",
    "Glusterfs": "EndpointsName/endpoints text, Path text, ReadOnly bool",
    "RBD": "CephMonitors/monitors any, RBDImage/image text, FSType text, RBDPool/pool text, RadosUser/user text, "
    "Keyring text, SecretRef *Name, ReadOnly bool",
    "Quobyte": "Registry text, Volume text, ReadOnly bool, User text, Group text, Tenant text",
    "Flex": "Driver text, FSType text, SecretRef *Name, ReadOnly bool, Options map",
    "Cinder": "VolumeID text, FSType text, ReadOnly bool, SecretRef *Name",
    "CephFS": "Monitors any, Path text, User text, SecretFile text, SecretRef *Name, ReadOnly bool",
    "Flocker": "DatasetName text, DatasetUUID text",
    "FC": "TargetWWNs any, Lun any, FSType text, ReadOnly bool, WWIDs/wwids any",
    "AzureFile": "SecretName text, ShareName text, ReadOnly bool",
    "Vsphere": "VolumePath text, FSType text, StoragePolicyName text, StoragePolicyID text",
    "AzureDisk": "DiskName text, DataDiskURI/diskURI text, CachingMode any, FSType any, ReadOnly any, Kind any",
    "Photon": "PdID text, FSType text",
    "Portworx": "VolumeID text, FSType text, ReadOnly bool",
    "ScaleIO": "Gateway text, System text, SecretRef *Name, SSLEnabled bool, ProtectionDomain text, StoragePool text, "
    "StorageMode text, VolumeName text, FSType text, ReadOnly bool",
    "StorageOS": "VolumeName text, VolumeNamespace text, FSType text, ReadOnly bool, SecretRef *Name",
    "Ephemeral": "VolumeClaimTemplate *ClaimTemplate",
    "ClaimTemplate": "Spec ClaimSpec",
    "ClaimSpec": "AccessModes any, Selector selector, Resources ClaimResources, VolumeName text, "
    "StorageClassName any, VolumeMode any, DataSource *LocalSource, DataSourceRef *Source, "
    "VolumeAttributesClassName any",
    "ClaimResources": "Limits map, Requests map",
    "LocalSource": "APIGroup any, Kind text, Name text",
    "Source": "APIGroup any, Kind text, Name text, Namespace any",
}
_LEADING = re.compile(r"[A-Z]+(?![a-z])|[A-Z]")
#: Structures that have an ObjectMeta among their own fields, and what of it a template may have.
_TEMPLATES = ("PodTemplateSpec", "ClaimTemplate")
_META = ("name", "generateName", "namespace", "labels", "annotations", "ownerReferences", "finalizers")
#: What the wire keeps in the Pod's spec and the server keeps in the security context.
_HOST_FIELDS = ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers")


def wire_name(name: str) -> str:
    """The JSON name of a Go field: DNSPolicy -> dnsPolicy, SELinuxOptions -> seLinuxOptions."""
    match = _LEADING.match(name)
    return name if match is None else match[0].lower() + name[match.end() :]


def _fields(text: str) -> tuple[tuple[str, str, str], ...]:
    parts = (part.strip().split(" ") for part in text.split(","))
    named = ((name.partition("/"), kind) for name, kind in parts)
    return tuple((name, wire or wire_name(name), kind) for (name, _, wire), kind in named)


COMPILED = {name: _fields(text) for name, text in _TYPES.items()}


def internal(value: Json | None, kind: str) -> Any:
    """An object from the wire as the internal structure `kind`, every field present."""
    wire = value or {}
    if kind == "PodSpec" and wire.get("securityContext") is not None:
        host = {name: wire[name] for name in _HOST_FIELDS if name in wire}
        wire = {**wire, "securityContext": {**wire["securityContext"], **host}}
    fields = {name: _field(wire.get(key), field) for name, key, field in COMPILED[kind]}
    return _embedded_meta(wire) | fields if kind in _TEMPLATES else fields


def _embedded_meta(template: Json) -> Json:
    """The metadata of a template, whose type is the same on the wire: printed among the template's own fields."""
    meta = template.get("metadata") or {}
    found = {key: meta[key] for key in _META if meta.get(key)}
    return found | {key: by_key(meta[key]) for key in ("labels", "annotations") if meta.get(key)}


def _field(value: Any, kind: str) -> Any:
    if kind in _UNSET:
        return _UNSET[kind] if value is None else _AS_PRINTED.get(kind, _same)(value)
    if kind.startswith("[]"):
        return [internal(item, kind[2:]) for item in value] if value else None
    if kind.startswith("*"):
        return None if value is None else internal(value, kind[1:])
    return internal(value, kind)


def _same(value: Any) -> Any:
    return value


def by_key(value: Json) -> Json:
    """A Go map as it is printed."""
    return dict(sorted(value.items()))


def printed_selector(value: Json) -> Json:
    """A LabelSelector as it is printed."""
    found: Json = {}
    if value.get("matchLabels"):
        found["matchLabels"] = by_key(value["matchLabels"])
    if value.get("matchExpressions"):
        wanted = ("key", "operator", "values")
        found["matchExpressions"] = [
            {key: rule[key] for key in wanted if key in rule} for rule in value["matchExpressions"]
        ]
    return found


_AS_PRINTED: dict[str, Callable[[Any], Any]] = {"map": by_key, "selector": printed_selector}


def difference(old: Json, new: Json, kind: str) -> str:
    """How `new` differs from `old`, as the server prints it."""
    before, after = (_lines(internal(value, kind)) for value in (old, new))
    return "".join(list(difflib.unified_diff(before, after, n=CONTEXT))[2:])


def _lines(value: Any) -> list[str]:
    text = json.dumps(value, indent=1, ensure_ascii=False)
    text = text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    return [f"{line}\n" for line in text.split("\n")]
