"""What goes with what: owners and dependents, namespaces and their content."""

import pytest
from workshop import Workshop, pod, workload


def config(name: str, *owners: dict, finalizers: list[str] | None = None, block: bool = False) -> dict:
    references = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            **({"blockOwnerDeletion": True} if block else {}),
        }
        for owner in owners
    ]
    meta = {"name": name, "ownerReferences": references, "finalizers": finalizers or []}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}


@pytest.fixture
def shop() -> Workshop:
    return Workshop("a", controllers=None)


def make(shop: Workshop, obj: dict, namespace: str = "default") -> dict:
    made = shop.client.create("configmaps", obj, namespace)
    shop.clock.settle()
    return made


def configs(shop: Workshop, namespace: str = "default") -> list[str]:
    found = (one["metadata"]["name"] for one in shop.client.list("configmaps", namespace))
    return [name for name in found if name != "kube-root-ca.crt"]


def release(shop: Workshop, name: str, namespace: str = "default") -> None:
    shop.client.patch("configmaps", name, {"metadata": {"finalizers": None}}, namespace)
    shop.clock.settle()


def test_dependents_go_with_their_owner_and_theirs_with_them(shop):
    owner = make(shop, config("owner"))
    child = make(shop, config("child", owner))
    make(shop, config("grandchild", child))
    make(shop, config("stranger"))
    shop.client.delete("configmaps", "owner", "default")
    shop.clock.settle()
    assert configs(shop) == ["stranger"]


def test_an_object_with_another_living_owner_stays_and_forgets_the_dead_one(shop):
    one, two = make(shop, config("one")), make(shop, config("two"))
    make(shop, config("child", one, two))
    shop.client.delete("configmaps", "one", "default")
    shop.clock.settle()
    left = shop.client.get("configmaps", "child", "default")["metadata"]["ownerReferences"]
    assert [reference["name"] for reference in left] == ["two"]


def test_an_object_whose_owner_never_was_is_collected(shop):
    ghost = {"metadata": {"name": "ghost", "uid": "99999999-9999-9999-9999-999999999999"}}
    make(shop, config("child", ghost))
    assert configs(shop) == []


def test_an_owner_of_the_same_name_but_another_uid_does_not_count(shop):
    owner = make(shop, config("owner"))
    shop.client.delete("configmaps", "owner", "default")
    make(shop, config("owner"))
    make(shop, config("child", owner))
    assert configs(shop) == ["owner"]


def test_orphaned_dependents_stay_without_their_owner(shop):
    owner = make(shop, config("owner"))
    make(shop, config("child", owner))
    shop.client.delete("configmaps", "owner", "default", propagation="Orphan")
    shop.clock.settle()
    assert configs(shop) == ["child"]
    assert "ownerReferences" not in shop.client.get("configmaps", "child", "default")["metadata"]


def test_in_the_foreground_an_owner_waits_for_dependents_that_block_it(shop):
    owner = make(shop, config("owner"))
    make(shop, config("child", owner, finalizers=["x.io/hold"], block=True))
    shop.client.delete("configmaps", "owner", "default", propagation="Foreground")
    shop.clock.settle()
    assert configs(shop) == ["child", "owner"]
    release(shop, "child")
    assert configs(shop) == []


def test_in_the_foreground_an_owner_does_not_wait_for_others(shop):
    owner = make(shop, config("owner"))
    make(shop, config("child", owner, finalizers=["x.io/hold"]))
    shop.client.delete("configmaps", "owner", "default", propagation="Foreground")
    shop.clock.settle()
    assert configs(shop) == ["child"]


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
def test_a_deployment_takes_its_replica_sets_and_pods_along(shop, propagation):
    shop.create(workload("Deployment", "web", replicas=2))
    assert len(shop.pods) == 2
    shop.client.delete("deployments.apps", "web", "default", propagation=propagation)
    shop.clock.settle()
    assert (shop.client.list("replicasets.apps"), shop.pods) == ([], [])


def test_the_collector_goes_on_in_a_fork(shop):
    owner = make(shop, config("owner"))
    make(shop, config("child", owner))
    copy = shop.fork()
    copy.client.delete("configmaps", "owner", "default")
    copy.clock.settle()
    assert (configs(copy), configs(shop)) == ([], ["child", "owner"])


def test_a_deleted_namespace_goes_with_everything_in_it(shop):
    shop.client.create("namespaces", {"metadata": {"name": "shop"}})
    make(shop, config("one"), "shop")
    shop.client.create("pods", pod("p"), "shop")
    shop.clock.settle()
    shop.client.delete("namespaces", "shop")
    shop.clock.advance(4.9)
    assert configs(shop, "shop") == ["one"]
    shop.clock.advance(0.1)
    assert shop.server.store.get("namespaces", "", "shop") is None
    assert [resource for resource in shop.server.store.resources() if shop.client.list(resource, "shop")] == []


def test_in_a_deleted_namespace_pods_go_before_anything_else(shop):
    shop.client.create("namespaces", {"metadata": {"name": "shop"}})
    make(shop, config("one"), "shop")
    held = pod("p")
    held["metadata"]["finalizers"] = ["x.io/hold"]
    shop.client.create("pods", held, "shop")
    shop.clock.settle()
    shop.client.delete("namespaces", "shop")
    shop.clock.advance(5)
    assert configs(shop, "shop") == ["one"]
    assert shop.client.get("namespaces", "shop")["status"]["phase"] == "Terminating"
    shop.client.patch("pods", "p", {"metadata": {"finalizers": None}}, "shop")
    shop.clock.settle()
    assert shop.server.store.get("namespaces", "", "shop") is None


def test_a_namespace_that_cannot_go_says_what_is_left(shop):
    shop.client.create("namespaces", {"metadata": {"name": "shop"}})
    make(shop, config("one", finalizers=["x.io/hold"]), "shop")
    shop.client.delete("namespaces", "shop")
    shop.clock.advance(5)
    said = {one["type"]: one for one in shop.client.get("namespaces", "shop")["status"]["conditions"]}
    remaining = said["NamespaceContentRemaining"]
    assert (remaining["status"], remaining["reason"]) == ("True", "SomeResourcesRemain")
    assert remaining["message"] == "Some resources are remaining: configmaps. has 1 resource instances"
    assert said["NamespaceFinalizersRemaining"]["message"] == (
        "Some content in the namespace has finalizers remaining: x.io/hold in 1 resource instances"
    )
    release(shop, "one", "shop")
    assert shop.server.store.get("namespaces", "", "shop") is None
