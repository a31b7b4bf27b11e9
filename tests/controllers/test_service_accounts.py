"""What every namespace gets."""

from endpoint_objects import ControlPlane

ACCOUNTS, CERTIFICATES = "serviceaccount-controller", "root-ca-certificate-publisher-controller"


def test_every_namespace_has_its_default_account():
    plane = ControlPlane(ACCOUNTS)
    names = {(one["metadata"]["namespace"], one["metadata"]["name"]) for one in plane.client.list("serviceaccounts")}
    assert names == {
        (space, "default") for space in ("default", "kube-node-lease", "kube-public", "kube-system", "shop")
    }


def test_a_deleted_account_comes_back():
    plane = ControlPlane(ACCOUNTS)
    old = plane.get("serviceaccounts", "default")
    plane.client.delete("serviceaccounts", "default", "shop")
    plane.settle()
    assert plane.get("serviceaccounts", "default")["metadata"]["uid"] != old["metadata"]["uid"]


def test_the_root_certificate_is_published_and_put_right():
    plane = ControlPlane(CERTIFICATES, root_ca="PEM")
    assert plane.get("configmaps", "kube-root-ca.crt")["data"] == {"ca.crt": "PEM"}
    plane.client.patch("configmaps", "kube-root-ca.crt", {"data": {"ca.crt": "forged", "more": "x"}}, "shop")
    plane.settle()
    assert plane.get("configmaps", "kube-root-ca.crt")["data"] == {"ca.crt": "PEM"}


def test_a_settled_namespace_is_left_alone():
    plane = ControlPlane(ACCOUNTS, CERTIFICATES)
    revision = plane.api.store.revision
    plane.client.patch("namespaces", "shop", {"metadata": {"labels": {"a": "b"}}})
    plane.settle(10.0)
    assert plane.api.store.revision == revision + 1


def test_a_fork_provides_for_its_own_namespaces():
    plane = ControlPlane(ACCOUNTS)
    copy = plane.fork()
    copy.client.create("namespaces", {"metadata": {"name": "new"}})
    copy.settle()
    assert copy.api.store.get("serviceaccounts", "new", "default") is not None
    assert plane.api.store.get("serviceaccounts", "new", "default") is None
