"""What is created, updated and deleted: filling, packing, recycling, placeholders."""

from collections import Counter

import pytest
from endpoint_objects import NODES, node, pod, service

from fakecluster.controllers.endpointslices.reconcile import reconcile

PORTS = [{"name": "http", "protocol": "TCP", "port": 8080}]


def pods(first, last, **fields):
    return [pod(f"p{i:04}", f"10.244.{i // 250}.{i % 250 + 1}", **fields) for i in range(first, last)]


class Slices:
    """Slices as a server would keep them; `sync` carries a plan out."""

    def __init__(self, made=None):
        self.service = made or service()
        self.kept = {}
        self.made = 0

    def sync(self, pods, *, nodes=NODES, shares=None, service=None):
        self.service = service or self.service
        plan = reconcile(self.service, pods, nodes, self.kept.values(), shares)
        for one in plan.create:
            self.made += 1
            name = f"web-{self.made}"
            self.kept[name] = {**one, "metadata": {**one["metadata"], "name": name}}
        for one in plan.update:
            self.kept[one["metadata"]["name"]] = one
        for one in plan.delete:
            del self.kept[one["metadata"]["name"]]
        return plan

    @property
    def sizes(self):
        return sorted((len(one["endpoints"] or ()) for one in self.kept.values()), reverse=True)

    def endpoint(self, name):
        found = [e for one in self.kept.values() for e in one["endpoints"] if e["targetRef"]["name"] == name]
        (endpoint,) = found
        return endpoint


def actions(plan):
    return len(plan.create), len(plan.update), len(plan.delete)


def test_a_new_service_without_pods_has_one_empty_slice_and_keeps_it():
    slices = Slices()
    assert actions(slices.sync([])) == (1, 0, 0)
    (placeholder,) = slices.kept.values()
    assert (placeholder["endpoints"], placeholder["ports"], placeholder["addressType"]) == ([], None, "IPv4")
    assert placeholder["metadata"]["labels"] == {
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    assert actions(slices.sync([])) == (0, 0, 0)


def test_the_first_pod_takes_over_the_placeholder_and_the_last_leaves_one():
    slices = Slices()
    slices.sync([])
    assert actions(slices.sync(pods(0, 1))) == (0, 1, 0)
    assert list(slices.kept) == ["web-1"]
    assert actions(slices.sync([])) == (0, 1, 0)
    assert slices.sizes == [0]


def test_a_slice_has_at_most_a_hundred_endpoints():
    slices = Slices()
    slices.sync(pods(0, 250))
    assert slices.sizes == [100, 100, 50]
    counted = Counter(e["targetRef"]["name"] for one in slices.kept.values() for e in one["endpoints"])
    assert len(counted) == 250 and set(counted.values()) == {1}


def test_new_endpoints_fill_the_fullest_slice_that_takes_them_all():
    slices = Slices()
    slices.sync(pods(0, 150))
    assert actions(slices.sync(pods(0, 160))) == (0, 1, 0)
    assert slices.sizes == [100, 60]
    assert actions(slices.sync(pods(0, 210))) == (1, 0, 0)  # 50 do not fit beside 60: a new slice, not two changes
    assert slices.sizes == [100, 60, 50]


def test_slices_that_change_anyway_are_filled_first():
    slices = Slices()
    slices.sync(pods(0, 150))
    gone = slices.kept["web-1"]["endpoints"][0]["targetRef"]["name"]
    rest = [one for one in pods(0, 151) if one["metadata"]["name"] != gone]
    assert actions(slices.sync(rest)) == (0, 1, 0)
    assert slices.sizes == [100, 50]


def test_endpoints_stay_where_they_are_when_others_go():
    slices = Slices()
    slices.sync(pods(0, 270))
    before = {name: [e["addresses"][0] for e in one["endpoints"]] for name, one in slices.kept.items()}
    slices.sync(pods(90, 270))
    for name, one in slices.kept.items():
        after = [e["addresses"][0] for e in one["endpoints"]]
        assert after == [address for address in before[name] if address in set(after)]
    assert sum(slices.sizes) == 180 and len(slices.kept) == 3


def test_a_changed_pod_changes_only_its_slice():
    slices = Slices()
    slices.sync(pods(0, 150))
    flipped = [
        pod("p0007", "10.244.0.8", ready=False) if one["metadata"]["name"] == "p0007" else one for one in pods(0, 150)
    ]
    assert actions(slices.sync(flipped)) == (0, 1, 0)
    assert slices.endpoint("p0007")["conditions"]["ready"] is False
    assert actions(slices.sync(flipped)) == (0, 0, 0)


def test_other_ports_rewrite_all_slices_and_use_the_old_names_again():
    slices = Slices()
    slices.sync(pods(0, 250))
    renamed = service(ports=[{"name": "new", "port": 80, "targetPort": 1, "protocol": "TCP"}])
    assert actions(slices.sync(pods(0, 180), service=renamed)) == (0, 2, 1)
    assert slices.sizes == [100, 80]
    assert {one["ports"][0]["name"] for one in slices.kept.values()} == {"new"}
    assert set(slices.kept) < {"web-1", "web-2", "web-3"}


def test_each_family_has_its_slices_and_loses_them_with_the_family():
    slices = Slices(service(ipFamilies=["IPv4", "IPv6"]))
    slices.sync([pod("a", "10.244.0.3", "fd00::3"), pod("b", "10.244.0.4")])
    found = {one["addressType"]: [e["addresses"] for e in one["endpoints"]] for one in slices.kept.values()}
    assert found == {"IPv4": [["10.244.0.3"], ["10.244.0.4"]], "IPv6": [["fd00::3"]]}
    plan = slices.sync([pod("a", "10.244.0.3", "fd00::3"), pod("b", "10.244.0.4")], service=service())
    assert [one["addressType"] for one in plan.delete] == ["IPv6"]


def test_a_pod_on_a_missing_node_is_left_out_and_reported():
    slices = Slices()
    plan = slices.sync(
        [pod("a", "10.244.0.3"), pod("ghost", "10.244.0.4", node="gone"), pod("lost", "10.244.0.5", node="")]
    )
    assert plan.without_node == ["ghost", "lost"]
    assert slices.sizes == [1]


def test_a_pod_on_a_missing_node_is_published_where_unready_ones_are():
    slices = Slices(service(publishNotReadyAddresses=True))
    assert slices.sync([pod("ghost", "10.244.0.4", node="gone")]).without_node == []
    endpoint = slices.endpoint("ghost")
    assert (endpoint["nodeName"], "zone" in endpoint) == ("gone", False)


def test_labels_follow_the_service_but_reserved_ones_do_not():
    slices = Slices()
    slices.sync(pods(0, 1))
    labelled = service(labels={"tier": "a", "kubernetes.io/service-name": "zz", "service.kubernetes.io/headless": "q"})
    assert actions(slices.sync(pods(0, 1), service=labelled)) == (0, 1, 0)
    assert slices.kept["web-1"]["metadata"]["labels"] == {
        "tier": "a",
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }


def test_headless_services_say_so_in_a_label():
    slices = Slices(service(clusterIP="None"))
    slices.sync(pods(0, 1))
    assert slices.kept["web-1"]["metadata"]["labels"]["service.kubernetes.io/headless"] == ""


def test_slices_of_an_older_service_of_that_name_are_deleted_and_not_reused():
    slices = Slices()
    slices.sync(pods(0, 1))
    again = service()
    again["metadata"]["uid"] = "uid-again"
    plan = slices.sync(pods(0, 1), service=again)
    assert actions(plan) == (1, 0, 1)


def test_a_terminating_service_gets_no_new_slices_but_keeps_its_old_ones_up_to_date():
    slices = Slices()
    slices.sync(pods(0, 100))
    going = service()
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:01:00Z"
    assert actions(slices.sync(pods(0, 150), service=going)) == (0, 0, 0)
    assert actions(slices.sync(pods(0, 99), service=going)) == (0, 1, 0)


def test_hints_follow_the_traffic_distribution():
    nodes = {**NODES, "node-d": node("node-d")}
    members = [pod("a", "10.244.0.3"), pod("b", "10.244.0.4", ready=False), pod("d", "10.244.0.5", node="node-d")]
    slices = Slices(service(trafficDistribution="PreferSameNode"))
    slices.sync(members, nodes=nodes)
    assert slices.endpoint("a")["hints"] == {"forZones": [{"name": "zone-a"}], "forNodes": [{"name": "node-a"}]}
    assert "hints" not in slices.endpoint("b")
    assert slices.endpoint("d")["hints"] == {"forNodes": [{"name": "node-d"}]}
    assert actions(slices.sync(members, nodes=nodes)) == (0, 0, 0)
    slices.sync(members, nodes=nodes, service=service(trafficDistribution="PreferClose"))
    assert slices.endpoint("a")["hints"] == {"forZones": [{"name": "zone-a"}]}
    slices.sync(members, nodes=nodes, service=service())
    assert not any("hints" in slices.endpoint(name) for name in "abd")


@pytest.mark.parametrize(
    ("annotations", "asked"),
    [
        ({"service.kubernetes.io/topology-mode": "Auto"}, True),
        ({"service.kubernetes.io/topology-mode": "auto"}, True),
        ({"service.kubernetes.io/topology-aware-hints": "auto"}, True),
        ({"service.kubernetes.io/topology-mode": "Disabled"}, False),
        (
            {
                "service.kubernetes.io/topology-aware-hints": "disabled",
                "service.kubernetes.io/topology-mode": "Auto",
            },
            False,
        ),
        ({}, False),
    ],
)
def test_hints_by_zone_are_asked_for_by_annotation(annotations, asked):
    assert bool(Slices(service(annotations=annotations)).sync(pods(0, 3)).hinted) is asked


def test_the_topology_annotation_goes_before_the_traffic_distribution():
    annotated = service(trafficDistribution="PreferClose", annotations={"service.kubernetes.io/topology-mode": "Auto"})
    slices = Slices(annotated)
    plan = slices.sync(pods(0, 3), shares=None)
    assert plan.hinted["IPv4"][0] is None
    assert "hints" not in slices.endpoint("p0000")
