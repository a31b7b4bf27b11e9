"""The configuration file: defaults, values, and kube-proxy's complaints."""

import pytest

from fakecluster.errors import ManifestError, Unsupported
from fakecluster.proxy.config import parse
from fakecluster.proxy.go_duration import duration_s

HEAD = {"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration"}


def test_an_empty_file_means_the_defaults():
    config = parse(HEAD)
    assert config.mode == "iptables"
    assert config.sync_periods_s == (1.0, 30.0)
    assert config.iptables.masquerade_bit == 14
    assert config.iptables.localhost_node_ports
    assert config.detect_local_mode == "ClusterCIDR"
    assert config.healthz_bind_address == "0.0.0.0:10256"


def test_sections_are_read():
    config = parse(
        {
            **HEAD,
            "mode": "nftables",
            "clusterCIDR": "10.244.0.0/16,fd00:10:244::/56",
            "nftables": {"minSyncPeriod": "200ms", "syncPeriod": "1m30s", "masqueradeAll": True},
            "conntrack": {"tcpBeLiberal": True, "maxPerCore": 0},
        }
    )
    assert config.sync_periods_s == (0.2, 90.0)
    assert config.nftables.masquerade_all
    assert config.conntrack.tcp_be_liberal
    assert (config.cluster_cidr("IPv4"), config.cluster_cidr("IPv6")) == ("10.244.0.0/16", "fd00:10:244::/56")


def test_an_unknown_field_is_a_warning_as_decoding_turns_lenient():
    config = parse({**HEAD, "iptable": {}, "iptables": {"masqueradeall": True}})
    assert config.warnings == (
        'strict decoding error: unknown field "iptable"',
        'strict decoding error: unknown field "iptables.masqueradeall"',
    )


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"mode": "ebpf"}, 'ProxyMode: Invalid value: "ebpf"'),
        ({"detectLocalMode": "Magic"}, 'DetectLocalMode: Invalid value: "Magic"'),
        ({"detectLocalMode": "BridgeInterface"}, "BridgeInterface cannot be empty"),
        ({"clusterCIDR": "10.244.0.0/16,10.245.0.0/16"}, "only one CIDR allowed or a valid DualStack CIDR"),
        ({"clusterCIDR": "10.244.0.0"}, "must be a valid CIDR block"),
        ({"nodePortAddresses": ["primary", "10.0.0.0/8"]}, "can't use both 'primary' and CIDRs"),
        ({"iptables": {"masqueradeBit": 32}}, "MasqueradeBit: Invalid value: 32"),
        ({"iptables": {"syncPeriod": "1s", "minSyncPeriod": "5s"}}, "must be greater than or equal to"),
        ({"iptables": {"syncPeriod": "soon"}}, 'time: invalid duration "soon"'),
        ({"mode": 3}, "KubeProxyConfiguration.mode: expected a string"),
        ({"bindAddress": "everywhere"}, "not a valid textual representation of an IP address"),
    ],
)
def test_contradictions_are_refused_in_its_words(fields, complaint):
    with pytest.raises(ManifestError, match=complaint.replace("[", r"\[")):
        parse({**HEAD, **fields})


def test_another_kind_is_refused():
    with pytest.raises(ManifestError, match='no kind "Deployment" is registered for version "apps/v1"'):
        parse({"apiVersion": "apps/v1", "kind": "Deployment"})


def test_what_is_not_modelled_is_said():
    with pytest.raises(Unsupported, match="winkernel"):
        parse({**HEAD, "winkernel": {"networkName": "x"}})


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("0s", 0), ("1h2m3.5s", 3723.5), ("200ms", 0.2), ("-1s", -1)])
def test_durations_are_those_of_go(text, seconds):
    assert duration_s(text) == pytest.approx(seconds)
