"""One valid object of every kind that has rules of its own: what the fuzzer starts from."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

PROBE = {"httpGet": {"port": 80, "path": "/", "httpHeaders": [{"name": "X-A", "value": "b"}]}, "periodSeconds": 5}
POD_SPEC: Json = {
    "initContainers": [{"name": "init", "image": "i", "restartPolicy": "Always", "startupProbe": PROBE}],
    "containers": [
        {
            "name": "main",
            "image": "i:1",
            "ports": [{"name": "http", "containerPort": 80, "hostPort": 8080, "protocol": "TCP"}],
            "env": [
                {"name": "A", "value": "1"},
                {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {"name": "C", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
            ],
            "envFrom": [{"prefix": "P", "configMapRef": {"name": "c"}}],
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}},
            "readinessProbe": PROBE,
            "livenessProbe": {"exec": {"command": ["true"]}},
            "lifecycle": {"preStop": {"sleep": {"seconds": 1}}},
            "volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "x"}],
            "securityContext": {
                "runAsUser": 1,
                "capabilities": {"add": ["X"]},
                "seccompProfile": {"type": "Unconfined"},
            },
        }
    ],
    "volumes": [
        {"name": "v", "emptyDir": {"sizeLimit": "1Gi"}},
        {"name": "w", "projected": {"sources": [{"configMap": {"name": "c", "items": [{"key": "k", "path": "p"}]}}]}},
        {"name": "x", "hostPath": {"path": "/x", "type": ""}},
        {"name": "y", "downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
    ],
    "nodeSelector": {"a": "b"},
    "tolerations": [{"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}]
            }
        },
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "podAffinityTerm": {"topologyKey": "z", "labelSelector": {"matchLabels": {"a": "b"}}}}
            ]
        },
    },
    "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule"}],
    "dnsConfig": {"nameservers": ["1.1.1.1"], "searches": ["a.b"], "options": [{"name": "ndots", "value": "2"}]},
    "hostAliases": [{"ip": "1.2.3.4", "hostnames": ["a.b"]}],
    "readinessGates": [{"conditionType": "x.io/gate"}],
    "securityContext": {"sysctls": [{"name": "net.a", "value": "1"}], "supplementalGroups": [1]},
    "imagePullSecrets": [{"name": "s"}],
    "terminationGracePeriodSeconds": 10,
    "activeDeadlineSeconds": 10,
}
TEMPLATE: Json = {"metadata": {"labels": {"app": "x"}}, "spec": POD_SPEC}
LASTING: Json = {
    "metadata": {"labels": {"app": "x"}},
    "spec": {key: value for key, value in POD_SPEC.items() if key != "activeDeadlineSeconds"},
}
ENDING: Json = {"spec": {**POD_SPEC, "restartPolicy": "Never"}}
SELECTOR: Json = {"matchLabels": {"app": "x"}}
META: Json = {
    "name": "subject",
    "labels": {"a": "b"},
    "annotations": {"x.io/y": "z"},
    "finalizers": ["x.io/hold"],
    "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u"}],
}
SCHEMA: Json = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["size"],
            "properties": {
                "size": {"type": "integer", "minimum": 1},
                "words": {"type": "array", "items": {"type": "string", "pattern": "^a"}, "maxItems": 3},
                "port": {"x-kubernetes-int-or-string": True},
                "map": {"type": "object", "additionalProperties": {"type": "string", "format": "ipv4"}},
                "mode": {"type": "string", "enum": ["x"], "default": "x"},
            },
        }
    },
}

#: path of the collection -> a valid object
SAMPLES: dict[str, Json] = {
    "/api/v1/namespaces/default/pods": {"spec": POD_SPEC, "status": {"podIP": "1.1.1.1"}},
    "/api/v1/namespaces/default/services": {
        "spec": {
            "type": "LoadBalancer",
            "selector": {"a": "b"},
            "ports": [{"name": "http", "port": 80, "targetPort": "http", "nodePort": 30100, "appProtocol": "x"}],
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10}},
            "externalIPs": ["1.2.3.4"],
            "loadBalancerSourceRanges": ["10.0.0.0/8"],
            "externalTrafficPolicy": "Local",
        }
    },
    "/api/v1/namespaces/default/endpoints": {
        "subsets": [{"addresses": [{"ip": "10.0.0.1", "hostname": "h"}], "ports": [{"name": "p", "port": 1}]}]
    },
    "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices": {
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": ["10.0.0.1"], "conditions": {"ready": True}, "hints": {"forZones": [{"name": "z"}]}}
        ],
        "ports": [{"name": "p", "port": 80, "protocol": "TCP"}],
    },
    "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies": {
        "spec": {
            "podSelector": SELECTOR,
            "policyTypes": ["Ingress"],
            "ingress": [
                {
                    "from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}, {"podSelector": SELECTOR}],
                    "ports": [{"port": 80, "endPort": 90, "protocol": "TCP"}],
                }
            ],
        }
    },
    "/apis/networking.k8s.io/v1/namespaces/default/ingresses": {
        "spec": {
            "ingressClassName": "c",
            "tls": [{"hosts": ["a.b"], "secretName": "s"}],
            "rules": [
                {
                    "host": "a.b",
                    "http": {
                        "paths": [
                            {
                                "path": "/",
                                "pathType": "Prefix",
                                "backend": {"service": {"name": "s", "port": {"number": 80}}},
                            }
                        ]
                    },
                }
            ],
        }
    },
    "/api/v1/namespaces": {"spec": {"finalizers": ["kubernetes"]}},
    "/api/v1/nodes": {
        "spec": {
            "podCIDR": "10.1.0.0/24",
            "podCIDRs": ["10.1.0.0/24"],
            "taints": [{"key": "k", "effect": "NoSchedule"}],
        },
        "status": {"capacity": {"cpu": "4"}, "addresses": [{"type": "InternalIP", "address": "1.1.1.1"}]},
    },
    "/api/v1/namespaces/default/configmaps": {"data": {"a": "b"}, "binaryData": {"c": "AAAA"}, "immutable": False},
    "/api/v1/namespaces/default/secrets": {"type": "Opaque", "data": {"a": "AAAA"}, "stringData": {"b": "c"}},
    "/api/v1/namespaces/default/serviceaccounts": {"imagePullSecrets": [{"name": "s"}], "secrets": [{"name": "t"}]},
    "/api/v1/namespaces/default/events": {
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"},
        "reason": "R",
        "message": "m",
        "type": "Normal",
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "count": 1,
    },
    "/apis/apps/v1/namespaces/default/deployments": {
        "spec": {
            "replicas": 1,
            "selector": SELECTOR,
            "template": LASTING,
            "strategy": {"rollingUpdate": {"maxSurge": "10%", "maxUnavailable": 1}},
        }
    },
    "/apis/apps/v1/namespaces/default/replicasets": {"spec": {"selector": SELECTOR, "template": LASTING}},
    "/apis/apps/v1/namespaces/default/statefulsets": {
        "spec": {
            "serviceName": "s",
            "selector": SELECTOR,
            "template": LASTING,
            "volumeClaimTemplates": [
                {
                    "metadata": {"name": "d"},
                    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
                }
            ],
        }
    },
    "/apis/apps/v1/namespaces/default/daemonsets": {"spec": {"selector": SELECTOR, "template": LASTING}},
    "/apis/batch/v1/namespaces/default/jobs": {"spec": {"template": ENDING, "backoffLimit": 1, "completions": 2}},
    "/apis/batch/v1/namespaces/default/cronjobs": {
        "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": ENDING}}}
    },
    "/apis/policy/v1/namespaces/default/poddisruptionbudgets": {"spec": {"minAvailable": "50%", "selector": SELECTOR}},
    "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers": {
        "spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}}
    },
    "/apis/coordination.k8s.io/v1/namespaces/default/leases": {
        "spec": {"holderIdentity": "h", "leaseDurationSeconds": 1, "renewTime": "2026-01-01T00:00:00.000000Z"}
    },
    "/apis/networking.k8s.io/v1/servicecidrs": {"spec": {"cidrs": ["10.200.0.0/16"]}},
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions": {
        "metadata": {"name": "things.fuzz.test"},
        "spec": {
            "group": "fuzz.test",
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing", "shortNames": ["th"]},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": SCHEMA},
                    "subresources": {
                        "status": {},
                        "scale": {"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n"},
                    },
                    "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
                }
            ],
        },
    },
    "/apis/acme.test/v1/namespaces/default/widgets": {
        "spec": {"size": 1, "words": ["a"], "port": 80, "map": {"x": "1.2.3.4"}}
    },
}
#: the definition behind the last sample
WIDGETS: Json = {
    "metadata": {"name": "widgets.acme.test"},
    "spec": {
        "group": "acme.test",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": SCHEMA}}],
    },
}


def sample(path: str) -> Json:
    """The object of a collection with metadata that every kind takes."""
    wanted = SAMPLES[path]
    return {**wanted, "metadata": {**META, **wanted.get("metadata", {})}}
