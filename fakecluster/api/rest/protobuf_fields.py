"""Field numbers of the messages that clients send; a message or a field that is not here is refused, not skipped.

Each line: a message, then its fields as ``number name`` (indented lines go on). A message that another group numbers
otherwise is named with its group and version. Numbers are part of Kubernetes' wire format and never change.
"""

from __future__ import annotations

_MESSAGES = """
ObjectMeta 1 name 2 generateName 3 namespace 4 selfLink 5 uid 6 resourceVersion 7 generation 8 creationTimestamp 9
  deletionTimestamp 10 deletionGracePeriodSeconds 11 labels 12 annotations 13 ownerReferences 14 finalizers 17
  managedFields
OwnerReference 1 kind 3 name 4 uid 5 apiVersion 6 controller 7 blockOwnerDeletion
ManagedFieldsEntry 1 manager 2 operation 3 apiVersion 4 time 6 fieldsType 7 fieldsV1 8 subresource
LabelSelector 1 matchLabels 2 matchExpressions
LabelSelectorRequirement 1 key 2 operator 3 values
DeleteOptions 1 gracePeriodSeconds 2 preconditions 3 orphanDependents 4 propagationPolicy 5 dryRun
Preconditions 1 uid 2 resourceVersion
Namespace 1 metadata 2 spec 3 status
NamespaceSpec 1 finalizers
NamespaceStatus 1 phase
ConfigMap 1 metadata 2 data 3 binaryData 4 immutable
Secret 1 metadata 2 data 3 type 4 stringData 5 immutable
ServiceAccount 1 metadata 2 secrets 3 imagePullSecrets 4 automountServiceAccountToken
ObjectReference 1 kind 2 namespace 3 name 4 uid 5 apiVersion 6 resourceVersion 7 fieldPath
LocalObjectReference 1 name
TypedLocalObjectReference 1 apiGroup 2 kind 3 name
Service 1 metadata 2 spec 3 status
ServiceSpec 1 ports 2 selector 3 clusterIP 4 type 5 externalIPs 7 sessionAffinity 8 loadBalancerIP 9
  loadBalancerSourceRanges 10 externalName 11 externalTrafficPolicy 12 healthCheckNodePort 13
  publishNotReadyAddresses 14 sessionAffinityConfig 17 ipFamilyPolicy 18 clusterIPs 19 ipFamilies 20
  allocateLoadBalancerNodePorts 21 loadBalancerClass 22 internalTrafficPolicy 23 trafficDistribution
ServicePort 1 name 2 protocol 3 port 4 targetPort 5 nodePort 6 appProtocol
SessionAffinityConfig 1 clientIP
ClientIPConfig 1 timeoutSeconds
ServiceStatus 1 loadBalancer 2 conditions
LoadBalancerStatus 1 ingress
LoadBalancerIngress 1 ip 2 hostname 3 ipMode 4 ports
Pod 1 metadata 2 spec 3 status
PodStatus 1 phase 2 conditions 3 message 4 reason 5 hostIP 6 podIP 7 startTime 9 qosClass 11 nominatedNodeName 17
  observedGeneration
PodCondition 1 type 2 status 3 lastProbeTime 4 lastTransitionTime 5 reason 6 message 7 observedGeneration
PodTemplateSpec 1 metadata 2 spec
PodSpec 1 volumes 2 containers 3 restartPolicy 4 terminationGracePeriodSeconds 5 activeDeadlineSeconds 6 dnsPolicy 7
  nodeSelector 8 serviceAccountName 9 serviceAccount 10 nodeName 11 hostNetwork 12 hostPID 13 hostIPC 14
  securityContext 15 imagePullSecrets 16 hostname 17 subdomain 19 schedulerName 20 initContainers 21
  automountServiceAccountToken 22 tolerations 23 hostAliases 24 priorityClassName 25 priority 26 dnsConfig 27
  shareProcessNamespace 28 readinessGates 29 runtimeClassName 30 enableServiceLinks 31 preemptionPolicy 32 overhead
  35 setHostnameAsFQDN 36 os 37 hostUsers 38 schedulingGates 40 resources 41 hostnameOverride
PodOS 1 name
PodReadinessGate 1 conditionType
PodSchedulingGate 1 name
PodDNSConfig 1 nameservers 2 searches 3 options
PodDNSConfigOption 1 name 2 value
PodSecurityContext 2 runAsUser 3 runAsNonRoot 4 supplementalGroups 5 fsGroup 6 runAsGroup 9 fsGroupChangePolicy 10
  seccompProfile 12 supplementalGroupsPolicy
SecurityContext 1 capabilities 2 privileged 4 runAsUser 5 runAsNonRoot 6 readOnlyRootFilesystem 7
  allowPrivilegeEscalation 8 runAsGroup 9 procMount 11 seccompProfile
Capabilities 1 add 2 drop
SeccompProfile 1 type 2 localhostProfile
Toleration 1 key 2 operator 3 value 4 effect 5 tolerationSeconds
HostAlias 1 ip 2 hostnames
Container 1 name 2 image 3 command 4 args 5 workingDir 6 ports 7 env 8 resources 9 volumeMounts 10 livenessProbe 11
  readinessProbe 13 terminationMessagePath 14 imagePullPolicy 15 securityContext 16 stdin 17 stdinOnce 18 tty 19
  envFrom 20 terminationMessagePolicy 22 startupProbe 24 restartPolicy
ContainerPort 1 name 2 hostPort 3 containerPort 4 protocol 5 hostIP
EnvVar 1 name 2 value 3 valueFrom
EnvVarSource 1 fieldRef 2 resourceFieldRef 3 configMapKeyRef 4 secretKeyRef
ObjectFieldSelector 1 apiVersion 2 fieldPath
ResourceFieldSelector 1 containerName 2 resource 3 divisor
ConfigMapKeySelector 2 key 3 optional
SecretKeySelector 2 key 3 optional
EnvFromSource 1 prefix 2 configMapRef 3 secretRef
ConfigMapEnvSource 2 optional
SecretEnvSource 2 optional
ResourceRequirements 1 limits 2 requests
Probe 2 initialDelaySeconds 3 timeoutSeconds 4 periodSeconds 5 successThreshold 6 failureThreshold 7
  terminationGracePeriodSeconds
ProbeHandler 1 exec 2 httpGet 3 tcpSocket 4 grpc
ExecAction 1 command
HTTPGetAction 1 path 2 port 3 host 4 scheme 5 httpHeaders
HTTPHeader 1 name 2 value
TCPSocketAction 1 port 2 host
GRPCAction 1 port 2 service
Volume 1 name
VolumeSource 1 hostPath 2 emptyDir 6 secret 10 persistentVolumeClaim 19 configMap
HostPathVolumeSource 1 path 2 type
EmptyDirVolumeSource 1 medium 2 sizeLimit
SecretVolumeSource 1 secretName 2 items 3 defaultMode 4 optional
ConfigMapVolumeSource 2 items 3 defaultMode 4 optional
PersistentVolumeClaimVolumeSource 1 claimName 2 readOnly
KeyToPath 1 key 2 path 3 mode
VolumeMount 1 name 2 readOnly 3 mountPath 4 subPath 5 mountPropagation 6 subPathExpr 7 recursiveReadOnly
Binding 1 metadata 2 target
Eviction 1 metadata 2 deleteOptions
ResourceQuota 1 metadata 2 spec 3 status
ResourceQuotaSpec 1 hard 2 scopes
ResourceQuotaStatus 1 hard 2 used
Event 1 metadata 2 involvedObject 3 reason 4 message 5 source 6 firstTimestamp 7 lastTimestamp 8 count 9 type 10
  eventTime 11 series 12 action 13 related 14 reportingComponent 15 reportingInstance
EventSource 1 component 2 host
EventSeries 1 count 2 lastObservedTime
Deployment 1 metadata 2 spec 3 status
DeploymentSpec 1 replicas 2 selector 3 template 4 strategy 5 minReadySeconds 6 revisionHistoryLimit 7 paused 9
  progressDeadlineSeconds
DeploymentStrategy 1 type 2 rollingUpdate
RollingUpdateDeployment 1 maxUnavailable 2 maxSurge
DeploymentStatus 1 observedGeneration 2 replicas 3 updatedReplicas 4 availableReplicas 5 unavailableReplicas 7
  readyReplicas 8 collisionCount 9 terminatingReplicas
Job 1 metadata 2 spec 3 status
JobSpec 1 parallelism 2 completions 3 activeDeadlineSeconds 4 selector 5 manualSelector 6 template 7 backoffLimit 8
  ttlSecondsAfterFinished 9 completionMode 10 suspend 12 backoffLimitPerIndex 13 maxFailedIndexes 14
  podReplacementPolicy 15 managedBy
JobStatus 2 startTime 3 completionTime 4 active 5 succeeded 6 failed 7 completedIndexes 9 ready 10 failedIndexes 11
  terminating
CronJob 1 metadata 2 spec 3 status
CronJobSpec 1 schedule 2 startingDeadlineSeconds 3 concurrencyPolicy 4 suspend 5 jobTemplate 6
  successfulJobsHistoryLimit 7 failedJobsHistoryLimit 8 timeZone
JobTemplateSpec 1 metadata 2 spec
CronJobStatus 1 active 4 lastScheduleTime 5 lastSuccessfulTime
Ingress 1 metadata 2 spec 3 status
IngressSpec 1 defaultBackend 2 tls 3 rules 4 ingressClassName
IngressRule 1 host
IngressRuleValue 1 http
HTTPIngressRuleValue 1 paths
HTTPIngressPath 1 path 2 backend 3 pathType
IngressBackend 3 resource 4 service
IngressServiceBackend 1 name 2 port
ServiceBackendPort 1 name 2 number
IngressTLS 1 hosts 2 secretName
IngressStatus 1 loadBalancer
IngressLoadBalancerStatus 1 ingress
Role 1 metadata 2 rules
ClusterRole 1 metadata 2 rules
PolicyRule 1 verbs 2 apiGroups 3 resources 4 resourceNames 5 nonResourceURLs
RoleBinding 1 metadata 2 subjects 3 roleRef
ClusterRoleBinding 1 metadata 2 subjects 3 roleRef
Subject 1 kind 2 apiGroup 3 name 4 namespace
RoleRef 1 apiGroup 2 kind 3 name
PodDisruptionBudget 1 metadata 2 spec 3 status
PodDisruptionBudgetSpec 1 minAvailable 2 selector 3 maxUnavailable 4 unhealthyPodEvictionPolicy
PodDisruptionBudgetStatus 1 observedGeneration 3 disruptionsAllowed 4 currentHealthy 5 desiredHealthy 6 expectedPods
events.v1.Event 1 metadata 2 eventTime 3 series 4 reportingController 5 reportingInstance 6 action 7 reason
  8 regarding 9 related 10 note 11 type 12 deprecatedSource 13 deprecatedFirstTimestamp 14 deprecatedLastTimestamp
  15 deprecatedCount
HorizontalPodAutoscaler 1 metadata 2 spec 3 status
autoscaling.v1.HorizontalPodAutoscalerSpec 1 scaleTargetRef 2 minReplicas 3 maxReplicas
  4 targetCPUUtilizationPercentage
autoscaling.v1.HorizontalPodAutoscalerStatus 1 observedGeneration 2 lastScaleTime 3 currentReplicas 4 desiredReplicas
  5 currentCPUUtilizationPercentage
CrossVersionObjectReference 1 kind 2 name 3 apiVersion
Scale 1 metadata 2 spec 3 status
ScaleSpec 1 replicas
ScaleStatus 1 replicas 2 selector
Lease 1 metadata 2 spec
LeaseSpec 1 holderIdentity 2 leaseDurationSeconds 3 acquireTime 4 renewTime 5 leaseTransitions 6 strategy 7
  preferredHolder
SelfSubjectAccessReview 1 metadata 2 spec 3 status
SelfSubjectAccessReviewSpec 1 resourceAttributes 2 nonResourceAttributes
SubjectAccessReview 1 metadata 2 spec 3 status
SubjectAccessReviewSpec 1 resourceAttributes 2 nonResourceAttributes 3 user 4 groups 6 uid
SubjectAccessReviewStatus 1 allowed 2 reason 3 evaluationError 4 denied
ResourceAttributes 1 namespace 2 verb 3 group 4 version 5 resource 6 subresource 7 name
NonResourceAttributes 1 path 2 verb
SelfSubjectRulesReview 1 metadata 2 spec 3 status
SelfSubjectRulesReviewSpec 1 namespace
SubjectRulesReviewStatus 3 incomplete 4 evaluationError
SelfSubjectReview 1 metadata 2 status
SelfSubjectReviewStatus 1 userInfo
UserInfo 1 username 2 uid 3 groups
TokenRequest 1 metadata 2 spec 3 status
TokenRequestSpec 1 audiences 4 expirationSeconds
TokenRequestStatus 1 token 2 expirationTimestamp
"""


def _numbers() -> dict[str, dict[int, str]]:
    found = {}
    for line in _MESSAGES.strip().replace("\n  ", " ").splitlines():
        message, *words = line.split()
        found[message] = dict(zip(map(int, words[::2]), words[1::2], strict=True))
    return found


#: message -> field number -> name in JSON
NUMBERS = _numbers()
#: (message, field number) -> the message whose fields stand in the same JSON object
INLINE = {
    ("Volume", 2): "VolumeSource",
    ("Probe", 1): "ProbeHandler",
    ("IngressRule", 2): "IngressRuleValue",
    **{
        (message, 1): "LocalObjectReference"
        for message in (
            "ConfigMapKeySelector",
            "SecretKeySelector",
            "ConfigMapEnvSource",
            "SecretEnvSource",
            "ConfigMapVolumeSource",
        )
    },
}
