from __future__ import annotations

import copy
from typing import Any

import pytest

from fakecluster.api.client import ApiError, Client
from fakecluster.api.kinds_workload.batch_validation import cron_complaints
from fakecluster.api.server import ApiServer
from fakecluster.sim import Clock, Seeded

Json = dict[str, Any]
TEMPLATE: Json = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}


@pytest.fixture
def client() -> Client:
    return Client(ApiServer(Clock(), Seeded(0)))


def workload(**spec: Any) -> Json:
    wanted = {"selector": {"matchLabels": {"app": "x"}}, "template": TEMPLATE, **spec}
    return {"metadata": {"name": "w", "namespace": "default"}, "spec": wanted}


def refused(client: Client, resource: str, obj: Json) -> list[str]:
    with pytest.raises(ApiError) as caught:
        client.create(resource, obj)
    return [f"{c['field']}: {c['message']}" for c in caught.value.status["details"]["causes"]]


def test_a_deployment_rolls_by_a_quarter(client: Client) -> None:
    spec = client.create("deployments.apps", workload())["spec"]
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}
    assert (spec["replicas"], spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (1, 10, 600)


def test_changed_annotations_count_for_a_deployment_only(client: Client) -> None:
    for resource, generation in (("deployments.apps", 2), ("replicasets.apps", 1)):
        client.create(resource, workload())
        after = client.patch(resource, "w", {"metadata": {"annotations": {"a": "b"}}}, "default")
        assert after["metadata"]["generation"] == generation


def test_a_daemonset_counts_its_templates(client: Client) -> None:
    key = "deprecated.daemonset.template.generation"
    made = client.create("daemonsets.apps", workload())
    assert made["metadata"]["annotations"] == {key: "1"}
    other = {"spec": {"template": {"metadata": {"labels": {"b": "c"}}}}}
    assert client.patch("daemonsets.apps", "w", other, "default")["metadata"]["annotations"] == {key: "2"}
    assert client.patch("daemonsets.apps", "w", {"spec": {"minReadySeconds": 1}}, "default")["metadata"][
        "annotations"
    ] == {key: "2"}


@pytest.mark.parametrize(
    ("resource", "spec", "wanted"),
    [
        (
            "deployments.apps",
            {"selector": {"matchLabels": {"app": "y"}}},
            ['spec.template.metadata.labels: Invalid value: {"app":"x"}: `selector` does not match template `labels`'],
        ),
        (
            "deployments.apps",
            {"selector": {}},
            ["spec.selector: Invalid value: {}: empty selector is invalid for deployment"],
        ),
        (
            "deployments.apps",
            {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}},
            ["spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"],
        ),
        (
            "daemonsets.apps",
            {"updateStrategy": {"rollingUpdate": {"maxSurge": 1}}},
            [
                "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: "
                "may not be set when maxUnavailable is non-zero"
            ],
        ),
        (
            "statefulsets.apps",
            {"podManagementPolicy": "Bad"},
            ["spec.podManagementPolicy: Invalid value: \"Bad\": must be 'OrderedReady' or 'Parallel'"],
        ),
        (
            "replicasets.apps",
            {"replicas": -1},
            ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"],
        ),
    ],
)
def test_a_workload_is_refused_in_the_servers_words(
    client: Client, resource: str, spec: Json, wanted: list[str]
) -> None:
    assert refused(client, resource, workload(**spec)) == wanted


def test_a_selector_is_immutable(client: Client) -> None:
    client.create("replicasets.apps", workload())
    patch = {"spec": {"selector": {"matchLabels": {"b": "c"}}, "template": {"metadata": {"labels": {"b": "c"}}}}}
    with pytest.raises(ApiError) as caught:
        client.patch("replicasets.apps", "w", patch, "default")
    (cause,) = caught.value.status["details"]["causes"]
    assert cause["message"] == 'Invalid value: {"matchLabels":{"app":"x","b":"c"}}: field is immutable'


def test_most_of_a_statefulset_is_immutable(client: Client) -> None:
    client.create("statefulsets.apps", workload(serviceName="a"))
    assert client.patch("statefulsets.apps", "w", {"spec": {"replicas": 5}}, "default")["spec"]["replicas"] == 5
    with pytest.raises(ApiError, match="for fields other than 'replicas', 'ordinals', 'template'"):
        client.patch("statefulsets.apps", "w", {"spec": {"serviceName": "b"}}, "default")


def job(**spec: Any) -> Json:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}
    return {"metadata": {"name": "j", "namespace": "default"}, "spec": {"template": template, **spec}}


def test_a_job_selects_its_own_pods_by_its_uid(client: Client) -> None:
    made = client.create("jobs.batch", job())
    uid = made["metadata"]["uid"]
    labels = {
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": "j",
        "controller-uid": uid,
        "job-name": "j",
    }
    assert made["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    assert made["spec"]["template"]["metadata"]["labels"] == labels
    assert (made["spec"]["completions"], made["spec"]["parallelism"], made["spec"]["backoffLimit"]) == (1, 1, 6)


def test_a_jobs_pods_do_not_restart_always(client: Client) -> None:
    obj = job()
    del obj["spec"]["template"]["spec"]["restartPolicy"]
    assert refused(client, "jobs.batch", obj) == [
        'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'
    ]


@pytest.mark.parametrize("schedule", ["* * * * *", "*/5 0-4,8 * JAN mon", "@daily", "@every 5m"])
def test_a_schedule_may_be(schedule: str) -> None:
    assert cron_complaints(schedule) == []


@pytest.mark.parametrize(
    ("schedule", "wanted"),
    [
        ("bad", "expected exactly 5 fields, found 1: [bad]"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("@never", "unrecognized descriptor: @never"),
    ],
)
def test_a_schedule_may_not_be(schedule: str, wanted: str) -> None:
    assert cron_complaints(schedule) == [wanted]


def test_a_pod_counts_changes_and_goes_with_grace(client: Client) -> None:
    pod = {"metadata": {"name": "p", "namespace": "default"}, "spec": {**TEMPLATE["spec"], "nodeName": "n"}}
    assert client.create("pods", pod)["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
    image = {"spec": {"containers": [{"name": "c", "image": "i:2"}]}}
    assert client.patch("pods", "p", image, "default", kind="strategic")["metadata"]["generation"] == 2
    client.delete("pods", "p", "default")
    meta = client.get("pods", "p", "default")["metadata"]
    assert (meta["generation"], meta["deletionGracePeriodSeconds"]) == (3, 30)
    client.delete("pods", "p", "default", grace_period_s=0)
    with pytest.raises(ApiError, match='pods "p" not found'):
        client.get("pods", "p", "default")


def test_a_pod_that_no_node_has_goes_at_once(client: Client) -> None:
    client.create("pods", {"metadata": {"name": "p", "namespace": "default"}, "spec": TEMPLATE["spec"]})
    client.delete("pods", "p", "default")
    assert client.list("pods") == []


def test_pods_learn_the_zone_of_their_node(client: Client) -> None:
    place = {"topology.kubernetes.io/zone": "a", "topology.kubernetes.io/region": "r"}
    client.create("nodes", {"metadata": {"name": "n", "labels": {**place, "other": "x"}}})
    for name, spec in (("bound", TEMPLATE["spec"]), ("born", {**TEMPLATE["spec"], "nodeName": "n"})):
        client.create("pods", {"metadata": {"name": name, "namespace": "default"}, "spec": spec})
    client.bind("bound", "default", "n")
    for name in ("bound", "born"):
        assert client.get("pods", name, "default")["metadata"]["labels"] == place


def test_a_missing_service_account_is_forbidden_where_accounts_matter() -> None:
    client = Client(ApiServer(Clock(), Seeded(0), service_account_admission=True))
    pod = {"metadata": {"name": "p", "namespace": "default"}, "spec": {**TEMPLATE["spec"], "serviceAccountName": "x"}}
    with pytest.raises(ApiError) as caught:
        client.create("pods", pod)
    assert caught.value.message == (
        'pods "p" is forbidden: error looking up service account default/x: serviceaccount "x" not found'
    )


def test_an_immutable_selector_is_quoted_in_gos_order(client: Client) -> None:
    labels = {"z": "1", "a": "2"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"selector": {"matchLabels": {"a": "2"}}, "template": template}
    made = client.create("deployments.apps", {"metadata": {"name": "web", "namespace": "default"}, "spec": spec})
    expression = {"values": ["1"], "operator": "In", "key": "z"}
    selector = {"matchExpressions": [expression], "matchLabels": labels}
    with pytest.raises(ApiError) as caught:
        client.update("deployments.apps", made | {"spec": made["spec"] | {"selector": selector}})
    wanted = '{"matchLabels":{"a":"2","z":"1"},"matchExpressions":[{"key":"z","operator":"In","values":["1"]}]}'
    assert f"spec.selector: Invalid value: {wanted}: field is immutable" in caught.value.message


def test_an_immutable_template_is_quoted_as_the_server_keeps_it(client: Client) -> None:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}
    made = client.create(
        "jobs.batch", {"metadata": {"name": "once", "namespace": "default"}, "spec": {"template": template}}
    )
    changed = copy.deepcopy(made)
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "j"
    with pytest.raises(ApiError) as caught:
        client.update("jobs.batch", changed)
    assert 'spec.template: Invalid value: {"labels":{"batch.kubernetes.io/controller-uid":' in caught.value.message
    assert '"Containers":[{"Name":"c","Image":"j","Command":null,' in caught.value.message


def test_a_runtime_class_completes_its_pods(client: Client) -> None:
    scheduling = {"nodeSelector": {"vm": "yes"}, "tolerations": [{"key": "vm", "operator": "Exists"}]}
    client.create(
        "runtimeclasses.node.k8s.io",
        {"metadata": {"name": "vm"}, "handler": "vm", "overhead": {"podFixed": {"cpu": "1"}}, "scheduling": scheduling},
    )
    pod = {"metadata": {"name": "p", "namespace": "default"}, "spec": {**TEMPLATE["spec"], "runtimeClassName": "vm"}}
    spec = client.create("pods", pod)["spec"]
    assert (spec["overhead"], spec["nodeSelector"]) == ({"cpu": "1"}, {"vm": "yes"})
    assert {"key": "vm", "operator": "Exists"} in spec["tolerations"]
    missing = {**pod, "spec": {**pod["spec"], "runtimeClassName": "none"}}
    with pytest.raises(ApiError, match='pods "p" is forbidden: pod rejected: RuntimeClass "none" not found'):
        client.create("pods", missing)


def test_label_keys_are_merged_into_the_selectors_of_a_new_pod(client: Client) -> None:
    constraint: Json = {
        "maxSkew": 1,
        "topologyKey": "z",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "x"}},
        "matchLabelKeys": ["hash", "none"],
    }
    meta = {"name": "p", "namespace": "default", "labels": {"app": "x", "hash": "1"}}
    spec = {**TEMPLATE["spec"], "topologySpreadConstraints": [constraint]}
    made = client.create("pods", {"metadata": meta, "spec": spec})
    (stored,) = made["spec"]["topologySpreadConstraints"]
    assert stored["labelSelector"]["matchExpressions"] == [{"key": "hash", "operator": "In", "values": ["1"]}]
    assert "matchExpressions" not in constraint["labelSelector"]


def test_without_a_selector_nothing_matches(client: Client) -> None:
    unmatched = 'spec.template.metadata.labels: Invalid value: {"app":"x"}: `selector` does not match template `labels`'
    assert refused(client, "deployments.apps", workload(selector=None)) == ["spec.selector: Required value", unmatched]
    assert refused(client, "daemonsets.apps", workload(selector=None)) == [unmatched]


def test_the_template_of_a_statefulset_is_checked_with_its_claims(client: Client) -> None:
    mount = {"name": "data", "mountPath": "/data"}
    template = {**TEMPLATE, "spec": {"containers": [{"name": "c", "image": "i", "volumeMounts": [mount]}]}}
    claim_spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    claim = {"metadata": {"name": "data"}, "spec": claim_spec}
    missing = 'spec.template.spec.containers[0].volumeMounts[0].name: Not found: "data"'
    assert refused(client, "statefulsets.apps", workload(template=template)) == [missing]
    made = client.create("statefulsets.apps", workload(template=template, volumeClaimTemplates=[claim]))
    assert made["spec"]["volumeClaimTemplates"][0]["spec"]["volumeMode"] == "Filesystem"
    small = {**claim, "spec": {"accessModes": ["ReadWriteOnce"]}}
    assert refused(client, "statefulsets.apps", workload(template=template, volumeClaimTemplates=[small])) == [
        "spec.volumeClaimTemplates[0].spec.resources[storage]: Required value"
    ]
