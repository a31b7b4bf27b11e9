"""Hand-made Endpoints of Services without selectors, mirrored into slices."""

import pytest
from endpoint_objects import SLICES, ControlPlane

from fakecluster.controllers.mirrored_slices import mirror


def endpoints(*subsets, **metadata):
    full = {"name": "web", "namespace": "shop", "uid": "uid-e", **metadata}
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": full, "subsets": list(subsets)}


def subset(*ips, not_ready=(), port=80):
    return {
        "addresses": [{"ip": ip} for ip in ips],
        "notReadyAddresses": [{"ip": ip} for ip in not_ready],
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
    }


def test_addresses_of_one_family_and_port_make_one_slice():
    plan = mirror(endpoints(subset("10.0.0.1", "fd00::1", not_ready=["10.0.0.2"]), subset("10.0.0.3", port=81)), [])
    found = {
        (one["addressType"], one["ports"][0]["port"]): [(e["addresses"], e["conditions"]) for e in one["endpoints"]]
        for one in plan.create
    }
    assert found == {
        ("IPv4", 80): [(["10.0.0.1"], {"ready": True}), (["10.0.0.2"], {"ready": False})],
        ("IPv6", 80): [(["fd00::1"], {"ready": True})],
        ("IPv4", 81): [(["10.0.0.3"], {"ready": True})],
    }


def test_what_is_mirrored_already_is_left_alone():
    made = endpoints(subset("10.0.0.1"), labels={"tier": "a"}, annotations={"note": "x"})
    (slice_,) = mirror(made, []).create
    slice_["metadata"]["name"] = "web-1"
    plan = mirror(made, [slice_])
    assert (plan.create, plan.update, plan.delete) == ([], [], [])


@pytest.mark.parametrize(("field", "changed"), [("labels", {"tier": "b"}), ("annotations", {"note": "y"})])
def test_other_labels_and_annotations_are_copied_again(field, changed):
    (slice_,) = mirror(endpoints(subset("10.0.0.1")), []).create
    slice_["metadata"]["name"] = "web-1"
    (update,) = mirror(endpoints(subset("10.0.0.1"), **{field: changed}), [slice_]).update
    assert update["metadata"]["name"] == "web-1"
    assert changed.items() <= update["metadata"][field].items()


def test_of_two_slices_that_say_the_same_one_goes():
    (slice_,) = mirror(endpoints(subset("10.0.0.1")), []).create
    twins = [{**slice_, "metadata": {**slice_["metadata"], "name": name}} for name in ("web-1", "web-2")]
    plan = mirror(endpoints(subset("10.0.0.1")), twins)
    assert ([one["metadata"]["name"] for one in plan.delete], plan.update, plan.create) == (["web-2"], [], [])


def test_other_ports_take_over_the_slice_that_is_not_needed_any_more():
    (old,) = mirror(endpoints(subset("10.0.0.1")), []).create
    old["metadata"]["name"] = "web-1"
    plan = mirror(endpoints(subset("10.0.0.1", port=99)), [old])
    assert ([one["metadata"]["name"] for one in plan.update], plan.create, plan.delete) == (["web-1"], [], [])


def test_a_thousand_addresses_of_a_subset_are_mirrored():
    plan = mirror(endpoints(subset(*(f"10.1.{i // 250}.{i % 250}" for i in range(1010)))), [])
    assert (len(plan.create[0]["endpoints"]), plan.skipped) == (1000, 10)


def test_labels_and_annotations_are_copied_but_for_the_reserved_and_kubectls_own():
    applied = "kubectl.kubernetes.io/last-applied-configuration"
    made = endpoints(subset("10.0.0.1"), labels={"tier": "a"}, annotations={"note": "x", applied: "{}"})
    metadata = mirror(made, []).create[0]["metadata"]
    assert metadata["labels"] == {
        "tier": "a",
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslicemirroring-controller.k8s.io",
    }
    assert metadata["annotations"] == {"note": "x"}


@pytest.fixture
def plane():
    plane = ControlPlane("endpointslicemirroring-controller", "endpoints-controller")
    plane.add_service(selector={})
    bare = {"metadata": {"name": "web"}, "subsets": [subset("10.0.0.1")]}
    plane.client.create("endpoints", bare, "shop")
    plane.settle()
    return plane


def mirrored(plane):
    return [address for one in plane.slices() for e in one["endpoints"] for address in e["addresses"]]


def test_endpoints_of_a_service_without_selector_are_mirrored_and_followed(plane):
    assert mirrored(plane) == ["10.0.0.1"]
    plane.client.patch("endpoints", "web", {"subsets": [subset("10.0.0.2", "10.0.0.3")]}, "shop")
    plane.settle()
    assert sorted(mirrored(plane)) == ["10.0.0.2", "10.0.0.3"]


@pytest.mark.parametrize(
    ("resource", "patch"),
    [
        ("endpoints", {"metadata": {"labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}}}),
        ("endpoints", {"metadata": {"annotations": {"control-plane.alpha.kubernetes.io/leader": "{}"}}}),
        ("endpoints", {"subsets": None}),
        ("services", {"spec": {"selector": {"app": "web"}}}),
    ],
    ids=["label", "leader election", "emptied", "selector"],
)
def test_slices_go_when_there_is_nothing_to_mirror(plane, resource, patch):
    plane.client.patch(resource, "web", patch, "shop")
    plane.settle()
    assert mirrored(plane) == []


def test_slices_go_with_the_service(plane):
    plane.client.delete("services", "web", "shop")
    plane.settle()
    assert (plane.slices(), plane.get("endpoints", "web")) == ([], None)


def test_an_edited_mirror_is_put_right(plane):
    name = plane.slices()[0]["metadata"]["name"]
    plane.client.patch(SLICES, name, {"endpoints": [{"addresses": ["9.9.9.9"]}]}, "shop")
    plane.settle()
    assert mirrored(plane) == ["10.0.0.1"]


def test_addresses_left_out_are_reported(plane):
    many = subset(*(f"10.1.{i // 250}.{i % 250}" for i in range(1004)))
    plane.client.patch("endpoints", "web", {"subsets": [many]}, "shop")
    plane.settle()
    (event,) = plane.client.list("events", "shop")
    assert event["reason"] == "TooManyAddressesToMirror"
    assert event["message"] == (
        "A max of 1000 addresses can be mirrored to EndpointSlices per Endpoints subset. 4 addresses were skipped"
    )
