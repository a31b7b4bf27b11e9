"""The Go structures of a Pod template: fields in order of declaration, with their types.

A field without a type in front of it is embedded. Source: k8s.io/api/core/v1/types.go, k8s.io/apimachinery meta/v1.
"""

from __future__ import annotations

from fakecluster.api.kinds_workload.internal_types import wire_name

#: field, Go type: strings may go without their type, structures of package v1 are written as they are
_DECLARED: dict[str, str] = {
    "PodTemplateSpec": "ObjectMeta v1.ObjectMeta, Spec v1.PodSpec",
    "ObjectMeta": "Name, GenerateName, Namespace, SelfLink, UID types.UID, ResourceVersion, Generation int64, "
    "CreationTimestamp v1.Time, DeletionTimestamp *v1.Time, DeletionGracePeriodSeconds *int64, "
    "Labels map[string]string, Annotations map[string]string, OwnerReferences []v1.OwnerReference, "
    "Finalizers []string, ManagedFields []v1.ManagedFieldsEntry",
    "PodSpec": "Volumes []v1.Volume, InitContainers []v1.Container, Containers []v1.Container, "
    "EphemeralContainers []v1.EphemeralContainer, RestartPolicy v1.RestartPolicy, "
    "TerminationGracePeriodSeconds *int64, ActiveDeadlineSeconds *int64, DNSPolicy v1.DNSPolicy, "
    "NodeSelector map[string]string, ServiceAccountName, DeprecatedServiceAccount, "
    "AutomountServiceAccountToken *bool, NodeName, HostNetwork bool, HostPID bool, HostIPC bool, "
    "ShareProcessNamespace *bool, SecurityContext *v1.PodSecurityContext, "
    "ImagePullSecrets []v1.LocalObjectReference, Hostname, Subdomain, Affinity *v1.Affinity, SchedulerName, "
    "Tolerations []v1.Toleration, HostAliases []v1.HostAlias, PriorityClassName, Priority *int32, "
    "DNSConfig *v1.PodDNSConfig, ReadinessGates []v1.PodReadinessGate, RuntimeClassName *string, "
    "EnableServiceLinks *bool, PreemptionPolicy *v1.PreemptionPolicy, Overhead v1.ResourceList, "
    "TopologySpreadConstraints []v1.TopologySpreadConstraint, SetHostnameAsFQDN *bool, OS *v1.PodOS, "
    "HostUsers *bool, SchedulingGates []v1.PodSchedulingGate, ResourceClaims []v1.PodResourceClaim, "
    "Resources *v1.ResourceRequirements, HostnameOverride *string, SchedulingGroup *v1.PodSchedulingGroup",
    "PodSecurityContext": "SELinuxOptions *v1.SELinuxOptions, WindowsOptions *v1.WindowsSecurityContextOptions, "
    "RunAsUser *int64, RunAsGroup *int64, RunAsNonRoot *bool, SupplementalGroups []int64, "
    "SupplementalGroupsPolicy *v1.SupplementalGroupsPolicy, FSGroup *int64, Sysctls []v1.Sysctl, "
    "FSGroupChangePolicy *v1.PodFSGroupChangePolicy, SeccompProfile *v1.SeccompProfile, "
    "AppArmorProfile *v1.AppArmorProfile, SELinuxChangePolicy *v1.PodSELinuxChangePolicy",
    "Container": "Name, Image, Command []string, Args []string, WorkingDir, Ports []v1.ContainerPort, "
    "EnvFrom []v1.EnvFromSource, Env []v1.EnvVar, Resources v1.ResourceRequirements, "
    "ResizePolicy []v1.ContainerResizePolicy, RestartPolicy *v1.ContainerRestartPolicy, "
    "RestartPolicyRules []v1.ContainerRestartRule, VolumeMounts []v1.VolumeMount, "
    "VolumeDevices []v1.VolumeDevice, LivenessProbe *v1.Probe, ReadinessProbe *v1.Probe, StartupProbe *v1.Probe, "
    "Lifecycle *v1.Lifecycle, TerminationMessagePath, TerminationMessagePolicy v1.TerminationMessagePolicy, "
    "ImagePullPolicy v1.PullPolicy, SecurityContext *v1.SecurityContext, Stdin bool, StdinOnce bool, TTY bool",
    "ContainerPort": "Name, HostPort int32, ContainerPort int32, Protocol v1.Protocol, HostIP",
    "EnvFromSource": "Prefix, ConfigMapRef *v1.ConfigMapEnvSource, SecretRef *v1.SecretEnvSource",
    "ConfigMapEnvSource": "+LocalObjectReference, Optional *bool",
    "SecretEnvSource": "+LocalObjectReference, Optional *bool",
    "EnvVar": "Name, Value, ValueFrom *v1.EnvVarSource",
    "EnvVarSource": "FieldRef *v1.ObjectFieldSelector, ResourceFieldRef *v1.ResourceFieldSelector, "
    "ConfigMapKeyRef *v1.ConfigMapKeySelector, SecretKeyRef *v1.SecretKeySelector, FileKeyRef *v1.FileKeySelector",
    "ObjectFieldSelector": "APIVersion, FieldPath",
    "ResourceFieldSelector": "ContainerName, Resource, Divisor resource.Quantity",
    "ConfigMapKeySelector": "+LocalObjectReference, Key, Optional *bool",
    "SecretKeySelector": "+LocalObjectReference, Key, Optional *bool",
    "FileKeySelector": "VolumeName, Path, Key, Optional *bool",
    "LocalObjectReference": "Name",
    "ResourceRequirements": "Limits v1.ResourceList, Requests v1.ResourceList, Claims []v1.ResourceClaim",
    "ResourceClaim": "Name, Request",
    "ContainerResizePolicy": "ResourceName v1.ResourceName, RestartPolicy v1.ResourceResizeRestartPolicy",
    "VolumeMount": "Name, ReadOnly bool, RecursiveReadOnly *v1.RecursiveReadOnlyMode, MountPath, SubPath, "
    "MountPropagation *v1.MountPropagationMode, SubPathExpr",
    "VolumeDevice": "Name, DevicePath",
    "Probe": "+ProbeHandler, InitialDelaySeconds int32, TimeoutSeconds int32, PeriodSeconds int32, "
    "SuccessThreshold int32, FailureThreshold int32, TerminationGracePeriodSeconds *int64",
    "ProbeHandler": "Exec *v1.ExecAction, HTTPGet *v1.HTTPGetAction, TCPSocket *v1.TCPSocketAction, "
    "GRPC *v1.GRPCAction",
    "ExecAction": "Command []string",
    "HTTPGetAction": "Path, Port intstr.IntOrString, Host, Scheme v1.URIScheme, HTTPHeaders []v1.HTTPHeader",
    "HTTPHeader": "Name, Value",
    "TCPSocketAction": "Port intstr.IntOrString, Host",
    "GRPCAction": "Port int32, Service *string",
    "Lifecycle": "PostStart *v1.LifecycleHandler, PreStop *v1.LifecycleHandler, StopSignal *v1.Signal",
    "LifecycleHandler": "Exec *v1.ExecAction, HTTPGet *v1.HTTPGetAction, TCPSocket *v1.TCPSocketAction, "
    "Sleep *v1.SleepAction",
    "SleepAction": "Seconds int64",
    "SecurityContext": "Capabilities *v1.Capabilities, Privileged *bool, SELinuxOptions *v1.SELinuxOptions, "
    "WindowsOptions *v1.WindowsSecurityContextOptions, RunAsUser *int64, RunAsGroup *int64, RunAsNonRoot *bool, "
    "ReadOnlyRootFilesystem *bool, AllowPrivilegeEscalation *bool, ProcMount *v1.ProcMountType, "
    "SeccompProfile *v1.SeccompProfile, AppArmorProfile *v1.AppArmorProfile",
    "Capabilities": "Add []v1.Capability, Drop []v1.Capability",
    "SELinuxOptions": "User, Role, Type, Level",
    "SeccompProfile": "Type v1.SeccompProfileType, LocalhostProfile *string",
    "AppArmorProfile": "Type v1.AppArmorProfileType, LocalhostProfile *string",
    "Sysctl": "Name, Value",
    "Affinity": "NodeAffinity *v1.NodeAffinity, PodAffinity *v1.PodAffinity, PodAntiAffinity *v1.PodAntiAffinity",
    "NodeAffinity": "RequiredDuringSchedulingIgnoredDuringExecution *v1.NodeSelector, "
    "PreferredDuringSchedulingIgnoredDuringExecution []v1.PreferredSchedulingTerm",
    "NodeSelector": "NodeSelectorTerms []v1.NodeSelectorTerm",
    "NodeSelectorTerm": "MatchExpressions []v1.NodeSelectorRequirement, MatchFields []v1.NodeSelectorRequirement",
    "NodeSelectorRequirement": "Key, Operator v1.NodeSelectorOperator, Values []string",
    "PreferredSchedulingTerm": "Weight int32, Preference v1.NodeSelectorTerm",
    "PodAffinity": "RequiredDuringSchedulingIgnoredDuringExecution []v1.PodAffinityTerm, "
    "PreferredDuringSchedulingIgnoredDuringExecution []v1.WeightedPodAffinityTerm",
    "PodAntiAffinity": "RequiredDuringSchedulingIgnoredDuringExecution []v1.PodAffinityTerm, "
    "PreferredDuringSchedulingIgnoredDuringExecution []v1.WeightedPodAffinityTerm",
    "PodAffinityTerm": "LabelSelector *v1.LabelSelector, Namespaces []string, TopologyKey, "
    "NamespaceSelector *v1.LabelSelector, MatchLabelKeys []string, MismatchLabelKeys []string",
    "WeightedPodAffinityTerm": "Weight int32, PodAffinityTerm v1.PodAffinityTerm",
    "LabelSelector": "MatchLabels map[string]string, MatchExpressions []v1.LabelSelectorRequirement",
    "LabelSelectorRequirement": "Key, Operator v1.LabelSelectorOperator, Values []string",
    "Toleration": "Key, Operator v1.TolerationOperator, Value, Effect v1.TaintEffect, TolerationSeconds *int64",
    "HostAlias": "IP, Hostnames []string",
    "PodDNSConfig": "Nameservers []string, Searches []string, Options []v1.PodDNSConfigOption",
    "PodDNSConfigOption": "Name, Value *string",
    "PodReadinessGate": "ConditionType v1.PodConditionType",
    "TopologySpreadConstraint": "MaxSkew int32, TopologyKey, WhenUnsatisfiable v1.UnsatisfiableConstraintAction, "
    "LabelSelector *v1.LabelSelector, MinDomains *int32, NodeAffinityPolicy *v1.NodeInclusionPolicy, "
    "NodeTaintsPolicy *v1.NodeInclusionPolicy, MatchLabelKeys []string",
    "PodOS": "Name v1.OSName",
    "PodSchedulingGate": "Name",
    "PodResourceClaim": "Name, ResourceClaimName *string, ResourceClaimTemplateName *string",
    "Volume": "Name, +VolumeSource",
    "VolumeSource": "HostPath *v1.HostPathVolumeSource, EmptyDir *v1.EmptyDirVolumeSource, "
    "GCEPersistentDisk *v1.GCEPersistentDiskVolumeSource, "
    "AWSElasticBlockStore *v1.AWSElasticBlockStoreVolumeSource, GitRepo *v1.GitRepoVolumeSource, "
    "Secret *v1.SecretVolumeSource, NFS *v1.NFSVolumeSource, ISCSI *v1.ISCSIVolumeSource, "
    "Glusterfs *v1.GlusterfsVolumeSource, PersistentVolumeClaim *v1.PersistentVolumeClaimVolumeSource, "
    "RBD *v1.RBDVolumeSource, FlexVolume *v1.FlexVolumeSource, Cinder *v1.CinderVolumeSource, "
    "CephFS *v1.CephFSVolumeSource, Flocker *v1.FlockerVolumeSource, DownwardAPI *v1.DownwardAPIVolumeSource, "
    "FC *v1.FCVolumeSource, AzureFile *v1.AzureFileVolumeSource, ConfigMap *v1.ConfigMapVolumeSource, "
    "VsphereVolume *v1.VsphereVirtualDiskVolumeSource, Quobyte *v1.QuobyteVolumeSource, "
    "AzureDisk *v1.AzureDiskVolumeSource, PhotonPersistentDisk *v1.PhotonPersistentDiskVolumeSource, "
    "Projected *v1.ProjectedVolumeSource, PortworxVolume *v1.PortworxVolumeSource, "
    "ScaleIO *v1.ScaleIOVolumeSource, StorageOS *v1.StorageOSVolumeSource, CSI *v1.CSIVolumeSource, "
    "Ephemeral *v1.EphemeralVolumeSource, Image *v1.ImageVolumeSource",
    "HostPathVolumeSource": "Path, Type *v1.HostPathType",
    "EmptyDirVolumeSource": "Medium v1.StorageMedium, SizeLimit *resource.Quantity",
    "GitRepoVolumeSource": "Repository, Revision, Directory",
    "SecretVolumeSource": "SecretName, Items []v1.KeyToPath, DefaultMode *int32, Optional *bool",
    "ConfigMapVolumeSource": "+LocalObjectReference, Items []v1.KeyToPath, DefaultMode *int32, Optional *bool",
    "KeyToPath": "Key, Path, Mode *int32",
    "NFSVolumeSource": "Server, Path, ReadOnly bool",
    "PersistentVolumeClaimVolumeSource": "ClaimName, ReadOnly bool",
    "DownwardAPIVolumeSource": "Items []v1.DownwardAPIVolumeFile, DefaultMode *int32",
    "DownwardAPIVolumeFile": "Path, FieldRef *v1.ObjectFieldSelector, "
    "ResourceFieldRef *v1.ResourceFieldSelector, Mode *int32",
    "ProjectedVolumeSource": "Sources []v1.VolumeProjection, DefaultMode *int32",
    "VolumeProjection": "Secret *v1.SecretProjection, DownwardAPI *v1.DownwardAPIProjection, "
    "ConfigMap *v1.ConfigMapProjection, ServiceAccountToken *v1.ServiceAccountTokenProjection, "
    "ClusterTrustBundle *v1.ClusterTrustBundleProjection, PodCertificate *v1.PodCertificateProjection",
    "SecretProjection": "+LocalObjectReference, Items []v1.KeyToPath, Optional *bool",
    "ConfigMapProjection": "+LocalObjectReference, Items []v1.KeyToPath, Optional *bool",
    "DownwardAPIProjection": "Items []v1.DownwardAPIVolumeFile",
    "ServiceAccountTokenProjection": "Audience, ExpirationSeconds *int64, Path",
    "CSIVolumeSource": "Driver, ReadOnly *bool, FSType *string, VolumeAttributes map[string]string, "
    "NodePublishSecretRef *v1.LocalObjectReference",
    "ImageVolumeSource": "Reference, PullPolicy v1.PullPolicy",
    "EphemeralVolumeSource": "VolumeClaimTemplate *v1.PersistentVolumeClaimTemplate",
    "PersistentVolumeClaimTemplate": "ObjectMeta v1.ObjectMeta, Spec v1.PersistentVolumeClaimSpec",
    "PersistentVolumeClaimSpec": "AccessModes []v1.PersistentVolumeAccessMode, Selector *v1.LabelSelector, "
    "Resources v1.VolumeResourceRequirements, VolumeName, StorageClassName *string, "
    "VolumeMode *v1.PersistentVolumeMode, DataSource *v1.TypedLocalObjectReference, "
    "DataSourceRef *v1.TypedObjectReference, VolumeAttributesClassName *string",
    "VolumeResourceRequirements": "Limits v1.ResourceList, Requests v1.ResourceList",
    "TypedLocalObjectReference": "APIGroup *string, Kind, Name",
    "TypedObjectReference": "APIGroup *string, Kind, Name, Namespace *string",
    "WindowsSecurityContextOptions": "GMSACredentialSpecName *string, GMSACredentialSpec *string, "
    "RunAsUserName *string, HostProcess *bool",
    "ContainerRestartRule": "Action v1.ContainerRestartRuleAction, ExitCodes *v1.ContainerRestartRuleOnExitCodes",
    "ContainerRestartRuleOnExitCodes": "Operator v1.ContainerRestartRuleOnExitCodesOperator, Values []int32",
    "ClusterTrustBundleProjection": "Name *string, SignerName *string, LabelSelector *v1.LabelSelector, "
    "Optional *bool, Path",
}
#: Fields whose JSON name is another than Go's.
_OTHER_NAMES = {"DeprecatedServiceAccount": "serviceAccount", "ObjectMeta": "metadata"}


def _fields(text: str) -> tuple[tuple[str, str, str], ...]:
    """(Go name, JSON name or "" for an embedded structure, type) of every field."""
    found = []
    for part in text.split(", "):
        name, _, kind = part.partition(" ")
        if name.startswith("+"):
            found.append((name[1:], "", f"v1.{name[1:]}"))
        else:
            found.append((name, _OTHER_NAMES.get(name) or wire_name(name), kind or "string"))
    return tuple(found)


STRUCTURES = {f"v1.{name}": _fields(text) for name, text in _DECLARED.items()}
