"""A Pod's host name and hosts file."""

from __future__ import annotations

from typing import Any

import pytest

from fakecluster.discovery.hostname import Hostname, hosts_file, listed, pod_hostname


def pod(name: str = "web-0", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "ns"}, "spec": spec}


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (pod(), Hostname("web-0", "", "web-0")),
        (pod(hostname="h"), Hostname("h", "", "h")),
        (pod(hostname="h", subdomain="s"), Hostname("h", "s.ns.svc.cluster.local", "h")),
        (
            pod(hostname="h", subdomain="s", setHostnameAsFQDN=True),
            Hostname("h", "s.ns.svc.cluster.local", "h.s.ns.svc.cluster.local"),
        ),
        (pod(setHostnameAsFQDN=True), Hostname("web-0", "", "web-0")),
        (pod("a" * 62 + "-bc"), Hostname("a" * 62, "", "a" * 62)),
        (pod(hostnameOverride="x.y", hostname="h"), Hostname("x.y", "", "x.y")),
    ],
)
def test_the_host_name_by_what_the_pod_says(made: dict[str, Any], expected: Hostname) -> None:
    assert pod_hostname(made) == expected


def test_a_full_name_over_64_characters_is_refused() -> None:
    with pytest.raises(ValueError, match="64 characters is the max, 67 characters requested"):
        pod_hostname(pod("p" * 44, subdomain="s", setHostnameAsFQDN=True))


def test_the_hosts_file_names_the_pod_and_its_aliases() -> None:
    made = pod(hostname="h", subdomain="s", hostAliases=[{"ip": "192.0.2.9", "hostnames": ["a", "b"]}])
    text = hosts_file(made, ["10.244.0.5", "fd00::5"], pod_hostname(made))
    assert text.startswith("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n")
    assert text.endswith(
        "10.244.0.5\th.s.ns.svc.cluster.local\th\nfd00::5\th.s.ns.svc.cluster.local\th\n"
        "\n# Entries added by HostAliases.\n192.0.2.9\ta\tb\n"
    )


def test_a_pod_on_the_host_network_gets_the_node_s_file() -> None:
    made = pod(hostNetwork=True)
    text = hosts_file(made, ["172.18.0.2"], pod_hostname(made), node_hosts="127.0.0.1 localhost\n")
    assert text == "# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n"


def test_names_are_found_in_a_hosts_file() -> None:
    text = "# c\n\n192.0.2.1\tdb.corp db # more\nfd00::1 db\n192.0.2.2 DB\n"
    assert [(record.type, record.data) for record in listed(text, "db", ("A", "AAAA"))] == [
        ("A", "192.0.2.1"),
        ("AAAA", "fd00::1"),
        ("A", "192.0.2.2"),
    ]
    assert [record.data for record in listed(text, "DB.corp.", ("A",))] == ["192.0.2.1"]
    assert listed(text, "more", ("A",)) == ()
    assert listed(text, "db", ("SRV",)) == ()
