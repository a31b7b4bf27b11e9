"""After any change of API objects, the zone answers what the objects say, and nothing is left of what they said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from zone_objects import ask, endpoint, endpoint_slice, namespace, pod, server, service

from fakecluster.discovery.index import DnsIndex

JsonObject = dict[str, Any]
NAMESPACES, NAMES, SLICES = ("ns", "other"), ("web", "db"), ("one", "two")
IPS = tuple(f"10.244.0.{number}" for number in range(1, 6))
HTTP, DNS = {"name": "http", "port": 80, "protocol": "TCP"}, {"name": "dns", "port": 53, "protocol": "UDP"}

places = {"at": st.sampled_from(NAMESPACES)}
names = st.sampled_from(NAMES)
services = st.one_of(
    st.builds(
        service, names, st.sampled_from(("10.96.0.1", "10.96.0.2", "fd00::1")), ports=st.just([HTTP, DNS]), **places
    ),
    st.builds(service, names, st.just("None"), **places),
    st.builds(service, names, type=st.just("ExternalName"), externalName=st.just("web.ns.svc.cluster.local"), **places),
)
endpoints = st.builds(
    endpoint,
    st.sampled_from(IPS),
    hostname=st.sampled_from(("", "", "h0", "h1")),
    ready=st.sampled_from((True, None, False)),
)
slices = st.builds(
    lambda of, at, name, found: endpoint_slice(of, *found, at=at, name=name),
    names,
    st.sampled_from(NAMESPACES),
    st.sampled_from(SLICES),
    st.lists(endpoints, max_size=3),
)
pods = st.builds(
    pod,
    st.sampled_from(("p", "q")),
    st.sampled_from(IPS),
    phase=st.sampled_from(("Running", "Succeeded")),
    **places,
)
objects = st.one_of(services, slices, pods, st.builds(namespace, st.sampled_from(NAMESPACES)))
changes = st.lists(st.tuples(objects, st.booleans()), max_size=25)


def key(obj: JsonObject) -> tuple[str, str, str]:
    return obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


class Model:
    """What the API holds, and what the names must be by reading all of it anew for every question."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], JsonObject] = {("Namespace", "", "ns"): namespace("ns")}

    def of(self, kind: str) -> list[JsonObject]:
        return [obj for (found, _, _), obj in self.objects.items() if found == kind]

    def ready(self, at: str, of: str) -> list[JsonObject]:
        return [
            one
            for obj in self.of("EndpointSlice")
            if obj["metadata"]["namespace"] == at and obj["metadata"]["labels"]["kubernetes.io/service-name"] == of
            for one in obj["endpoints"]
            if one["conditions"].get("ready") is not False
        ]

    def service(self, at: str, name: str) -> list[str]:
        """A records of a Service's name."""
        found = self.objects.get(("Service", at, name))
        if found is None or ("Namespace", "", at) not in self.objects:
            return ["NXDOMAIN"]
        if found["spec"].get("type") == "ExternalName":
            if (at, name) == ("ns", "web"):
                return ["NODATA"]  # its own alias
            target = self.service("ns", "web")
            gone = target in (["NODATA"], ["NXDOMAIN"])
            return ["NODATA"] if gone else sorted({"CNAME web.ns.svc.cluster.local.", *target})
        ips = found["spec"]["clusterIPs"]
        if ips != ["None"]:
            return [f"A {ip}" for ip in ips if "." in ip] or ["NODATA"]
        return sorted({f"A {one['addresses'][0]}" for one in self.ready(at, name)}) or ["NXDOMAIN"]

    def hostname(self, label: str, at: str, name: str) -> list[str]:
        """A records of an endpoint's host name."""
        found = self.objects.get(("Service", at, name))
        if found is None or ("Namespace", "", at) not in self.objects or found["spec"].get("type") == "ExternalName":
            return ["NXDOMAIN"]
        ips = {one["addresses"][0] for one in self.ready(at, name) if one.get("hostname") == label}
        return sorted(f"A {ip}" for ip in ips) or ["NXDOMAIN"]

    def pod(self, ip: str, at: str) -> list[str]:
        """The A record of a Pod's address when Pods are verified."""
        known = any(
            obj["status"] == {"podIP": ip, "phase": "Running"} and obj["metadata"]["namespace"] == at
            for obj in self.of("Pod")
        )
        return [f"A {ip}"] if known and ("Namespace", "", at) in self.objects else ["NXDOMAIN"]

    def reverse(self, ip: str) -> set[str]:
        """The Services that an address is a ready endpoint of."""
        return {
            f"{obj['metadata']['labels']['kubernetes.io/service-name']}.{obj['metadata']['namespace']}"
            for obj in self.of("EndpointSlice")
            for one in obj["endpoints"]
            if one["conditions"].get("ready") is not False and one["addresses"] == [ip]
        }


def agree(model: Model, question: Callable[..., list[str]]) -> None:
    for at in NAMESPACES:
        for name in NAMES:
            assert question(f"{name}.{at}.svc.cluster.local") == model.service(at, name)
            for label in ("h0", "h1"):
                assert question(f"{label}.{name}.{at}.svc.cluster.local") == model.hostname(label, at, name)
        for ip in IPS:
            assert question(f"{ip.replace('.', '-')}.{at}.pod.cluster.local") == model.pod(ip, at)
    for ip in IPS:
        found = question(".".join(reversed(ip.split("."))) + ".in-addr.arpa", "PTR")
        services = {".".join(text.removeprefix("PTR ").split(".")[1:3]) for text in found if text.startswith("PTR ")}
        assert services == model.reverse(ip)


@settings(max_examples=120, deadline=None)
@given(changes)
def test_the_zone_answers_what_the_objects_say_after_any_change(changed: list[tuple[JsonObject, bool]]) -> None:
    made, model = server(options="pods verified"), Model()
    for number, (obj, deleted) in enumerate(changed):
        if deleted:
            model.objects.pop(key(obj), None)
        else:
            model.objects[key(obj)] = obj
        made.on_change(obj, deleted=deleted)
        if number % 5 == 0 or number == len(changed) - 1:
            agree(model, lambda name, rtype="A": ask(made, name, rtype))


@settings(max_examples=60, deadline=None)
@given(changes, changes)
def test_a_fork_and_its_origin_do_not_see_each_other_s_changes(
    before: list[tuple[JsonObject, bool]], after: list[tuple[JsonObject, bool]]
) -> None:
    index, alone = DnsIndex(), DnsIndex()
    for obj, deleted in before:
        index.apply(obj["kind"], obj, deleted=deleted)
        alone.apply(obj["kind"], obj, deleted=deleted)
    copy = index.fork()
    for obj, deleted in after:
        copy.apply(obj["kind"], obj, deleted=deleted)
    assert everything(index) == everything(alone)
    for obj, deleted in after:
        index.apply(obj["kind"], obj, deleted=deleted)
    assert everything(index) == everything(copy)


@settings(max_examples=60, deadline=None)
@given(changes)
def test_nothing_is_left_when_everything_is_deleted(changed: list[tuple[JsonObject, bool]]) -> None:
    index = DnsIndex()
    for obj, _ in changed:
        index.apply(obj["kind"], obj)
    for obj, _ in changed:
        index.apply(obj["kind"], obj, deleted=True)
    assert not any(everything(index))


def everything(index: DnsIndex) -> list[Any]:
    return [
        index.namespaces, index.services, index.slices, index.pods, index.service_by_ip, index.endpoints_by_ip,
        index._slice_owner, index._pod_ips,
    ]  # fmt: skip
