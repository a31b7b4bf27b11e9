"""Environment variables: Services, where values come from, expansion, the downward API."""

import base64

import pytest

from fakecluster.discovery.envvars import (
    EnvVar,
    container_env,
    expand,
    pod_service_variables,
    service_variables,
)


def service(name, cluster_ip, *ports, namespace="shop"):
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"clusterIP": cluster_ip, "ports": [{"port": 80}] if not ports else list(ports)},
    }


def pod(*env, env_from=(), links=True, **metadata):
    container = {"name": "main", "env": list(env), "envFrom": list(env_from)}
    spec = {"nodeName": "node-a", "enableServiceLinks": links, "containers": [container]}
    return {"metadata": {"name": "p", "namespace": "shop", **metadata}, "spec": spec}


def env_of(made, *services, config_maps=None, secrets=None, **addresses):
    return container_env(made, made["spec"]["containers"][0], services, config_maps or {}, secrets or {}, **addresses)


def value(**origin):
    return {"name": "X", "valueFrom": origin}


def field(path, **more):
    return value(fieldRef={"fieldPath": path, **more})


def test_a_service_gives_its_address_its_ports_and_the_forms_of_docker_links():
    assert service_variables(
        [service("my-web", "10.96.0.7", {"name": "http-alt", "port": 8080, "protocol": "UDP"})]
    ) == [
        EnvVar("MY_WEB_SERVICE_HOST", "10.96.0.7"),
        EnvVar("MY_WEB_SERVICE_PORT", "8080"),
        EnvVar("MY_WEB_SERVICE_PORT_HTTP_ALT", "8080"),
        EnvVar("MY_WEB_PORT", "udp://10.96.0.7:8080"),
        EnvVar("MY_WEB_PORT_8080_UDP", "udp://10.96.0.7:8080"),
        EnvVar("MY_WEB_PORT_8080_UDP_PROTO", "udp"),
        EnvVar("MY_WEB_PORT_8080_UDP_PORT", "8080"),
        EnvVar("MY_WEB_PORT_8080_UDP_ADDR", "10.96.0.7"),
    ]


def test_the_first_port_is_the_services_port():
    found = dict(
        str(one).split("=") for one in service_variables([service("web", "10.96.0.7", {"port": 443}, {"port": 80})])
    )
    assert (found["WEB_SERVICE_PORT"], found["WEB_PORT"]) == ("443", "tcp://10.96.0.7:443")
    assert found["WEB_PORT_80_TCP"] == "tcp://10.96.0.7:80"


def test_an_ipv6_address_is_bracketed_in_urls_only():
    found = dict(str(one).split("=") for one in service_variables([service("six", "fd00::9")]))
    assert found["SIX_SERVICE_HOST"] == "fd00::9"
    assert found["SIX_PORT"] == "tcp://[fd00::9]:80"


@pytest.mark.parametrize("cluster_ip", ["None", "", None])
def test_services_without_an_address_give_nothing(cluster_ip):
    assert service_variables([service("web", cluster_ip)]) == []


def test_a_pod_learns_of_its_own_namespace_and_of_the_api_server():
    services = [
        service("kubernetes", "10.96.0.1", namespace="default"),
        service("other", "10.96.0.2", namespace="default"),
        service("web", "10.96.0.3"),
    ]
    linked = pod_service_variables(services, "shop")
    assert {name for name in linked if name.endswith("_HOST")} == {"KUBERNETES_SERVICE_HOST", "WEB_SERVICE_HOST"}
    unlinked = pod_service_variables(services, "shop", service_links=False)
    assert {name for name in unlinked if name.endswith("_HOST")} == {"KUBERNETES_SERVICE_HOST"}


def test_a_namespaces_own_service_kubernetes_hides_the_api_server():
    own, api = service("kubernetes", "10.96.0.9"), service("kubernetes", "10.96.0.1", namespace="default")
    for order in ([own, api], [api, own]):
        assert pod_service_variables(order, "shop")["KUBERNETES_SERVICE_HOST"] == "10.96.0.9"


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(A)", "1"),
        ("$(A)$(B)", "12"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$(NOPE)", "$(NOPE)"),
        ("$A $ $(A", "$A $ $(A"),
        ("$()", "$()"),
    ],
)
def test_references_are_replaced_as_the_kubelet_does(text, expanded):
    assert expand(text, {"A": "1"}, {"A": "hidden", "B": "2"}) == expanded


def test_own_variables_go_before_those_of_services_and_see_earlier_ones():
    made = pod({"name": "WEB_SERVICE_HOST", "value": "mine"}, {"name": "U", "value": "http://$(WEB_SERVICE_HOST)"})
    found = env_of(made, service("web", "10.96.0.3"))
    assert (found["WEB_SERVICE_HOST"], found["U"], found["WEB_SERVICE_PORT"]) == ("mine", "http://mine", "80")


def test_whole_config_maps_and_secrets_come_first_and_with_their_prefix():
    sources = [{"prefix": "P_", "configMapRef": {"name": "c"}}, {"secretRef": {"name": "s"}}]
    made = pod({"name": "B", "value": "env"}, env_from=sources)
    secrets = {"s": {"data": {"B": base64.b64encode(b"secret").decode(), "C": base64.b64encode(b"$(P_A)").decode()}}}
    assert env_of(made, config_maps={"c": {"data": {"A": "1"}}}, secrets=secrets) == {
        "P_A": "1",
        "B": "env",
        "C": "$(P_A)",  # only values of `env` are expanded
    }


@pytest.mark.parametrize(
    ("variable", "complaint"),
    [
        (value(configMapKeyRef={"name": "c", "key": "no"}), "couldn't find key no in ConfigMap shop/c"),
        (value(configMapKeyRef={"name": "gone", "key": "A"}), 'configmap "gone" not found'),
        (value(secretKeyRef={"name": "gone", "key": "A"}), 'secret "gone" not found'),
        (field("status.bogus"), "field label not supported: status.bogus"),
        (field("spec.restartPolicy"), "unsupported fieldPath: spec.restartPolicy"),
        (field("spec.nodeName['x']"), "field label does not support subscript: spec.nodeName['x']"),
        (field("metadata.name", apiVersion="v2"), "unsupported pod version: v2"),
    ],
)
def test_what_is_missing_or_not_supported_is_said_in_the_kubelets_words(variable, complaint):
    with pytest.raises(ValueError) as raised:
        env_of(pod(variable), config_maps={"c": {"data": {"A": "1"}}})
    assert str(raised.value) == complaint


def test_a_subscript_that_is_no_label_key_is_refused():
    with pytest.raises(
        ValueError, match=r"^invalid key subscript in metadata.labels\['a b'\]: name part must consist of"
    ):
        env_of(pod(field("metadata.labels['a b']")))


def test_optional_sources_may_be_missing():
    missing = value(configMapKeyRef={"name": "gone", "key": "A", "optional": True})
    assert env_of(pod(missing, env_from=[{"secretRef": {"name": "gone", "optional": True}}])) == {}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("metadata.name", "p"),
        ("metadata.namespace", "shop"),
        ("metadata.labels", 'a="1"\nb="x\\"y"'),
        ("metadata.labels['a']", "1"),
        ("metadata.annotations['missing']", ""),
        ("spec.nodeName", "node-a"),
        ("spec.host", "node-a"),
        ("status.podIP", "10.244.0.5"),
        ("status.podIPs", "10.244.0.5,fd00::5"),
        ("status.hostIP", "172.18.0.3"),
        ("status.hostIPs", "172.18.0.3,fc00::3"),
    ],
)
def test_the_downward_api_tells_a_pod_about_itself(path, expected):
    made = pod(field(path), labels={"b": 'x"y', "a": "1"})
    found = env_of(made, pod_ips=["10.244.0.5", "fd00::5"], host_ips=["172.18.0.3", "fc00::3"])
    assert found == {"X": expected}


RESOURCES = {"requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"cpu": "1500m"}}


def resource_of(reference, **more):
    made = pod(value(resourceFieldRef=reference))
    made["spec"]["containers"][0]["resources"] = RESOURCES
    return env_of(made, allocatable={"cpu": "4", "memory": "8Gi"}, **more)["X"]


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ({"resource": "requests.cpu"}, "1"),  # rounded up
        ({"resource": "requests.cpu", "divisor": "1m"}, "250"),
        ({"resource": "limits.cpu", "divisor": "0"}, "2"),
        ({"resource": "requests.memory"}, "67108864"),
        ({"resource": "requests.memory", "divisor": "1Mi"}, "64"),
        ({"resource": "limits.memory", "divisor": "1Gi"}, "8"),  # no limit: all that the node has
        ({"resource": "requests.ephemeral-storage"}, "0"),
        ({"resource": "limits.cpu", "containerName": "main", "divisor": "1m"}, "1500"),
    ],
)
def test_resources_are_told_in_units_of_their_divisor(reference, expected):
    assert resource_of(reference) == expected


@pytest.mark.parametrize(
    ("reference", "complaint"),
    [
        ({"resource": "limits.gpu"}, "Unsupported container resource : limits.gpu"),
        ({"resource": "limits.cpu", "containerName": "other"}, "container other not found"),
    ],
)
def test_resources_that_there_are_not_are_refused(reference, complaint):
    with pytest.raises(ValueError) as raised:
        resource_of(reference)
    assert str(raised.value) == complaint


def test_without_a_decision_on_service_links_there_is_no_environment():
    with pytest.raises(ValueError, match="nil pod"):
        env_of(pod(links=None))
