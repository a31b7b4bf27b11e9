"""Change tracking: many events, one update, and what it touched."""

from proxy_objects import endpoint_slice, service

from fakecluster.proxy.changes import ChangeTracker
from fakecluster.proxy.view import NodeView, ServiceName, ServicePortName

WEB = ServiceName("shop", "web")
HTTP = ServicePortName("shop", "web", "http", "TCP")


def tracker():
    return ChangeTracker(NodeView("IPv4", "node-a"))


def test_nothing_reaches_the_view_before_apply():
    changes = tracker()
    assert changes.on_service(service())
    assert changes.view.services == {}
    assert changes.apply().services == {WEB}
    assert list(changes.view.services) == [HTTP]


def test_a_change_that_is_taken_back_before_the_sync_is_no_change():
    changes = tracker()
    changes.on_service(service())
    assert not changes.on_service(service(), deleted=True)
    assert changes.apply().touched == frozenset()


def test_an_update_that_changes_nothing_for_the_family_calls_for_no_sync():
    changes = tracker()
    changes.on_service(service())
    changes.apply()
    assert not changes.on_service(service(labels={"team": "a"}))
    assert not changes.is_ours(endpoint_slice("fd00::1", family="IPv6"))


def test_a_service_that_is_handed_to_another_proxy_goes_away():
    changes = tracker()
    changes.on_service(service())
    changes.apply()
    changes.on_service(service(labels={"service.kubernetes.io/service-proxy-name": "mesh"}))
    changes.apply()
    assert changes.view.services == {}


def test_endpoints_of_several_slices_are_merged_and_unmerged():
    changes = tracker()
    changes.on_slice(endpoint_slice("10.0.0.1"))
    changes.on_slice(endpoint_slice("10.0.0.2", name="web-2"))
    assert changes.apply().endpoints == {WEB}
    assert [e.ip for e in changes.view.endpoints[HTTP]] == ["10.0.0.1", "10.0.0.2"]
    changes.on_slice(endpoint_slice("10.0.0.1"), deleted=True)
    changes.apply()
    assert [e.ip for e in changes.view.endpoints[HTTP]] == ["10.0.0.2"]


def test_the_endpoints_of_known_services_are_counted():
    changes = tracker()
    changes.on_slice(endpoint_slice("10.0.0.1", "10.0.0.2"))
    changes.apply()
    assert changes.view.total_endpoints == 0
    changes.on_service(service())
    changes.apply()
    assert changes.view.total_endpoints == 2
    changes.on_slice(endpoint_slice("10.0.0.1"))
    changes.apply()
    assert changes.view.total_endpoints == 1
    changes.on_service(service(), deleted=True)
    changes.apply()
    assert changes.view.total_endpoints == 0


def test_only_changed_udp_endpoints_ask_for_conntrack():
    changes = tracker()
    changes.on_slice(endpoint_slice("10.0.0.1"))
    assert not changes.apply().udp_endpoints
    udp = [{"name": "dns", "port": 53, "protocol": "UDP"}]
    changes.on_slice(endpoint_slice("10.0.0.1", name="web-2", ports=udp))
    assert changes.apply().udp_endpoints


def test_a_fork_does_not_see_later_changes():
    changes = tracker()
    changes.on_service(service())
    changes.apply()
    copy = changes.fork(changes.view.fork())
    changes.on_service(service(), deleted=True)
    changes.apply()
    assert list(copy.view.services) == [HTTP]
    assert copy.apply().touched == frozenset()
