"""What strategies give is valid by construction, what the `invalid_*` ones give is refused as predicted."""

from __future__ import annotations

import re
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from fakecluster import Cluster
from fakecluster import strategies as kube
from fakecluster.api.selectors import from_label_selector
from fakecluster.errors import CommandError, ManifestError, Unsupported
from fakecluster.kernel.netns import Netns
from fakecluster.strategies import nft_rules

SOME = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
FEW = settings(SOME, max_examples=12)
QUICK = settings(SOME, database=None, suppress_health_check=list(HealthCheck))
SEARCH = settings(QUICK, max_examples=100)
JsonObject = dict[str, Any]


VALID = {
    "pods": kube.pods(),
    "services": kube.services(),
    "deployments": kube.deployments(),
    "endpoint_slices": kube.endpoint_slices(service="web"),
    "network_policies": kube.network_policies(),
}
INVALID = {
    "pods": kube.invalid_pods(),
    "services": kube.invalid_services(),
    "deployments": kube.invalid_deployments(),
    "endpoint_slices": kube.invalid_endpoint_slices(),
    "network_policies": kube.invalid_network_policies(),
    "names": kube.invalid_names().map(lambda drawn: (pod(drawn[0], {}), drawn[1])),
    "labels": kube.invalid_labels().map(lambda drawn: (pod("a", drawn[0]), drawn[1])),
    "selectors": kube.invalid_selectors().map(lambda drawn: (selecting("Service", "selector", drawn[0]), drawn[1])),
    "label_selectors": kube.invalid_label_selectors().map(
        lambda drawn: (selecting("NetworkPolicy", "podSelector", drawn[0]), drawn[1])
    ),
}


def pod(name: str, labels: dict[str, str]) -> JsonObject:
    spec = {"containers": [{"name": "main", "image": "example.com/server:1"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


def selecting(kind: str, field: str, selector: JsonObject) -> JsonObject:
    group = {"Service": "v1", "NetworkPolicy": "networking.k8s.io/v1"}[kind]
    spec: JsonObject = {field: selector, **({"ports": [{"port": 80}]} if kind == "Service" else {})}
    return {"apiVersion": group, "kind": kind, "metadata": {"name": "a"}, "spec": spec}


@pytest.mark.parametrize("kind", sorted(VALID))
def test_objects_are_accepted(kind: str) -> None:
    @FEW
    @given(obj=VALID[kind])
    def accepted(obj: JsonObject) -> None:
        Cluster(nodes=1, dns=False).apply(obj)

    accepted()


@pytest.mark.parametrize("kind", sorted(INVALID))
def test_wrong_objects_are_refused_in_the_predicted_words(kind: str) -> None:
    @FEW
    @given(wrong=INVALID[kind])
    def refused(wrong: tuple[JsonObject, str]) -> None:
        obj, words = wrong
        with pytest.raises(ManifestError) as error:
            Cluster(nodes=1, dns=False).apply(obj)
        assert words in str(error.value)

    refused()


@FEW
@given(wrong=kube.invalid_manifests())
def test_of_wrong_manifests_all_but_the_last_object_are_taken(wrong: tuple[list[JsonObject], str]) -> None:
    objects, words = wrong
    with pytest.raises(ManifestError) as error:
        Cluster(nodes=1, dns=False).apply(objects)
    assert words in str(error.value) and len(error.value.applied) == len(objects) - 1


@SOME
@given(data=st.data())
def test_selectors_match_or_do_not_as_asked(data: st.DataObject) -> None:
    labels = data.draw(kube.labels(min_size=1))
    matching = data.draw(kube.selectors(matching=labels))
    other = data.draw(kube.selectors(matching=labels, matches=False))
    assert matching.items() <= labels.items()
    assert not other.items() <= labels.items()


@SOME
@given(data=st.data())
def test_label_selectors_match_or_do_not_as_asked(data: st.DataObject) -> None:
    labels = data.draw(kube.labels())
    for wanted in (True, False):
        selector = data.draw(kube.label_selectors(matching=labels, matches=wanted))
        assert from_label_selector(selector).matches(labels) is wanted


CLUSTER = Cluster(nodes=1, dns=False)
OFFER = "apply a Service, or a Pod whose containers declare ports"
WRONG: Any = "web"  # where a strategy, labels or a cluster belong
CONTRADICTIONS: dict[str, tuple[st.SearchStrategy[Any], str]] = {
    "selector of nothing": (kube.selectors(matching={}), "no non-empty selector matches"),
    "matching what": (kube.selectors(matches=False), "needs the labels that it is about"),
    "text": (kube.selectors(matching=WRONG), "matching='web': expected labels, as in matching={'app': 'web'}"),
    "sizes": (kube.labels(min_size=3, max_size=2), "min_size=3, max_size=2: expected"),
    "services": (kube.manifests(min_services=2, max_services=1), "min_services=2 is larger"),
    "types": (kube.manifests(types=["Balanced"]), "expected some of ClusterIP, NodePort, LoadBalancer"),
    "type": (kube.manifests(types="ClusterIP"), "types='ClusterIP': expected some of"),
    "no type": (kube.services(types=[]), "types=[]: expected some of ClusterIP, NodePort, LoadBalancer"),
    "name": (kube.pods(name=WRONG), "name='web': expected a strategy, as in name=st.just('web')"),
    "target ports": (kube.services(target_ports=[{"port": 80}]), "{'port': 80} is no port of a container"),
    "no labels": (kube.deployments(labels=st.just({})), "a Deployment selects its Pods by their labels"),
    "port": (kube.deployments(port=70000), "port=70000: expected 1 to 65535"),
    "slice of what": (kube.endpoint_slices(service="A b"), "service='A b' is no name of a Service"),
    "namespaces": (kube.network_policies(namespaces="default"), "namespaces='default': expected a list of names"),
    "mode": (kube.clusters(proxy="ebpf"), "proxy='ebpf': expected one of iptables"),
    "family": (kube.clusters(ip_family="ipv5"), "ip_family='ipv5': expected one of ipv4"),
    "nodes": (kube.clusters(nodes=WRONG), "nodes='web': expected a strategy"),
    "drawn nodes": (kube.clusters(nodes=st.just(-1)), "nodes=-1: expected 0 to 4096"),
    "packets": (kube.packets(towards=CLUSTER), OFFER),
    "flows": (kube.flows(towards=CLUSTER), OFFER),
    "towards": (kube.flows(towards=WRONG), "towards='web': expected a Cluster"),
    "undrawn": (kube.packets(towards=kube.clusters()), "towards is a strategy: draw a Cluster from it first"),  # type: ignore[arg-type]
    "kinds": (kube.changes(CLUSTER, kinds=["explode"]), "expected some of step, time"),
    "no change": (kube.changes(CLUSTER, kinds=["readiness"]), "nothing that kinds="),
    "languages": (kube.rule_sets(languages=["pf"]), "expected some of iptables, nft"),
    "families": (kube.rule_sets(families=[5]), "expected some of 4, 6"),
    "fault": (kube.faults(CLUSTER, kinds=["explode"]), "no fault is called explode; there are hold, crash"),
    "no fault": (kube.faults(CLUSTER, kinds=[]), "kinds=[]: expected some of hold"),
    "partition of one": (
        kube.fault_plans(CLUSTER, kinds=["partition"], targets={"partition": ["a"]}),
        "this cluster has nothing for partition",
    ),
    "times": (kube.fault_plans(CLUSTER, within_s=-1), "within_s=-1, longest_s=30: expected whole numbers, 0"),
    "victim": (kube.faults(CLUSTER, kinds=["crash"], targets={"crash": ["x"]}), "targets: no component 'x'; there are"),
    "part of a second": (kube.fault_plans(CLUSTER, longest_s=1.5), "longest_s=1.5: expected whole numbers"),
    "one kind": (kube.fault_plans(CLUSTER, kinds="crash"), "kinds='crash': expected a list of names"),
    "victim of what": (
        kube.faults(CLUSTER, kinds=["crash"], targets={"hold": ["scheduler"]}),
        "targets has hold, which kinds=['crash'] leaves out",
    ),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_contradictory_arguments_are_refused_when_they_are_drawn(name: str) -> None:
    strategy, words = CONTRADICTIONS[name]
    with pytest.raises(InvalidArgument, match=re.escape(words)):
        find(strategy, lambda drawn: True, settings=QUICK)


def test_selectors_and_services_shrink_to_the_plainest() -> None:
    service = find(kube.services(), lambda drawn: True, settings=QUICK)
    assert service["metadata"] == {"name": "a"}
    assert service["spec"] == {
        "type": "ClusterIP", "selector": {"app": "a"}, "ports": [{"name": "p0", "protocol": "TCP", "port": 80}],
    }  # fmt: skip
    assert find(kube.label_selectors(matching={"app": "a"}, matches=False), lambda drawn: True, settings=QUICK) == {
        "matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]
    }


@FEW
@given(rules=kube.rule_sets())
def test_rule_sets_load_or_are_refused_in_the_tools_words(rules: kube.RuleSet) -> None:
    netns = Netns()
    try:
        rules.load(netns)
    except (CommandError, Unsupported):
        assert "t {" not in netns.run("nft list ruleset")


def test_a_rule_set_shrinks_to_the_one_rule_that_matters() -> None:
    """Neither another rule stays, nor a chain or a table that it does not need."""
    drawn = kube.rule_sets(languages=["iptables"])
    found = find(drawn, lambda rules: "-j DROP" in rules.text, settings=SEARCH, random=Random(1))
    assert (found.command, found.family) == (("iptables-restore",), 4)
    head, *policies, rule, end = found.text.splitlines()
    assert head in ("*filter", "*mangle", "*raw", "*security") and end == "COMMIT"
    assert [line for line in policies if not re.fullmatch(r":[A-Z]+ ACCEPT \[0:0\]|:U[12] - \[0:0\]", line)] == []
    assert re.fullmatch(r"-A [A-Z12]+ -j DROP", rule)


@SOME
@given(text=nft_rules.files(4))
def test_sets_and_chains_are_declared_all_or_as_far_as_the_rules_need_them(text: str) -> None:
    declared = set(re.findall(r"^(?:counter|quota|limit|set|map) (\w+) \{", text, re.MULTILINE))
    rules = "\n".join(
        line for line in text.splitlines() if not line.startswith(("counter c1 {", "quota q1 {", "limit l1 {"))
    )
    spoken_of = set(re.findall(r"@([a-z]+)\b(?!,)", rules)) | set(re.findall(r"\b[cql]1\b", rules))
    assert len(declared) == 15 or declared == spoken_of - {"nh", "th"}
    for chain in ("one", "two"):
        is_reached = re.search(rf"(jump|goto) {chain}\b", text) is not None
        assert (f"chain {chain} {{" in text) == (is_reached or len(declared) == 15)


def test_policies_shrink_to_one_rule_with_ports_alone() -> None:
    found = find(kube.network_policies(), lambda policy: "endPort" in str(policy), settings=SEARCH, random=Random(3))
    assert found["metadata"] == {"name": "p", "namespace": "default"}
    ((direction, (rule,)),) = ((key, value) for key, value in found["spec"].items() if key != "podSelector")
    assert direction in ("ingress", "egress") and list(rule) == ["ports"] and found["spec"]["podSelector"] == {}


def test_clusters_shrink_to_one_node_one_service_one_pod() -> None:
    found = find(kube.clusters(), lambda cluster: any(one.ready_pods for one in cluster.services), settings=SEARCH)
    assert (len(found.nodes), len(found.services), len(found.pods)) == (1, 1, 2)  # one, and the client


SHOP = Cluster(nodes=2)
SHOP.apply("examples/shop.yaml")


def test_flows_and_packets_go_to_what_is_offered_and_beside_it() -> None:
    plain = find(kube.flows(towards=SHOP), lambda flow: True, settings=QUICK)
    web = SHOP.service("web").cluster_ip
    assert plain == kube.Flow("pod/client", f"tcp://{web}:80")
    assert plain.outcomes(SHOP).destinations == {"web-1", "web-2", "web-3"}
    missed = find(kube.flows(towards=SHOP), lambda flow: "refused" in flow.outcomes(SHOP).destinations, settings=QUICK)
    assert missed.source == "pod/client" and not missed.target.endswith((":80", ":8080"))
    packet = find(kube.packets(towards=SHOP), lambda drawn: True, settings=QUICK)
    assert (packet.dst, packet.dport, packet.sport) == (web, 80, 32768)


def test_a_change_is_one_edit_or_one_unit_of_progress_and_the_line_of_a_script() -> None:
    assert repr(find(kube.changes(SHOP), lambda change: True, settings=QUICK)) == "cluster.step()"
    deleted = find(kube.changes(SHOP), lambda change: change.kind == "delete", settings=QUICK)
    assert repr(deleted) == "cluster.delete('pods', 'client', settle=False)"
    copy = SHOP.fork()
    deleted(copy)
    assert "deletionTimestamp" in copy.pod("client").object["metadata"] and SHOP.pod("client").ready
    assert copy.script().endswith("cluster.delete('pods', 'client', settle=False)\n")


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_changes_can_be_made_one_after_the_other(data: st.DataObject) -> None:
    cluster = SHOP.fork()
    for _ in range(5):
        data.draw(kube.changes(cluster))(cluster)
    cluster.settle()


def test_hypothesis_decides_what_chance_would() -> None:
    """Every endpoint can be reached by a choice that Hypothesis finds."""
    from hypothesis.errors import NoSuchExample

    manifest = "examples/shop.yaml"

    def server(choices: Any) -> str:
        cluster = Cluster(nodes=1, choices=choices)
        cluster.apply(manifest)
        return cluster.pod("client").connect("svc/web:80").request(b"x").server

    few = settings(max_examples=50, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    for wanted in ("web-1", "web-2", "web-3"):
        found = find(kube.choices(), lambda choices, wanted=wanted: server(choices) == wanted, settings=few)
        assert found.taken
    with pytest.raises(NoSuchExample):
        find(kube.choices(), lambda choices: server(choices) == "web-4", settings=few)


def test_plans_try_every_code_of_the_api_server_and_shrink_to_503() -> None:
    plans = kube.fault_plans(CLUSTER, kinds=["fail-api"])
    for code in (409, 410, 429, 500, 503, 504):
        found = find(plans, lambda plan, code=code: any(one.amount == code for one in plan.faults))
        assert [one.amount for one in found.faults] == [code]
    (least,) = find(plans, lambda plan: bool(plan.faults)).faults
    assert (least.amount, least.at_s, least.for_s) == (503, 0, 1)
