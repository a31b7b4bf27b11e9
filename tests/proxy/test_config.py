"""The configuration file: defaults, values, and kube-proxy's complaints."""

import pytest

from fakecluster.errors import ManifestError, Unsupported
from fakecluster.proxy.config import parse
from fakecluster.proxy.go_duration import duration_s, duration_text

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
        (
            {"mode": "ebpf"},
            'KubeProxyConfiguration.Mode.ProxyMode: Invalid value: "ebpf": must be iptables, ipvs, nftables or blank '
            "(blank means the best-available proxy [currently iptables])",
        ),
        (
            {"detectLocalMode": "Magic"},
            'KubeProxyConfiguration.DetectLocalMode: Unsupported value: "Magic": supported values: '
            '"ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix", ""',
        ),
        (
            {"detectLocalMode": "BridgeInterface"},
            'KubeProxyConfiguration.DetectLocalConfiguration.InterfaceName: Invalid value: "": must not be empty',
        ),
        (
            {"clusterCIDR": "10.244.0.0/16,10.245.0.0/16"},
            'KubeProxyConfiguration.DetectLocalConfiguration.ClusterCIDRs: Invalid value: []string{"10.244.0.0/16", '
            '"10.245.0.0/16"}: must be a either a single CIDR or dual-stack pair of CIDRs '
            "(e.g. [10.100.0.0/16, fde4:8dba:82e1::/48]",
        ),
        (
            {"clusterCIDR": "10.244.0.0"},
            'KubeProxyConfiguration.DetectLocalConfiguration.ClusterCIDRs[0]: Invalid value: "10.244.0.0": '
            "must be a valid CIDR block (e.g. 10.100.0.0/16 or fde4:8dba:82e1::/48)",
        ),
        (
            {"nodePortAddresses": ["primary", "10.0.0.0/8"]},
            "KubeProxyConfiguration.NodePortAddresses[0]: Invalid value: \"primary\": can't use both 'primary' and CIDRs",
        ),
        (
            {"nodePortAddresses": ["10.0.0.0"]},
            'KubeProxyConfiguration.NodePortAddresses[0]: Invalid value: "10.0.0.0": must be a valid CIDR',
        ),
        (
            {"iptables": {"masqueradeBit": 32}},
            "KubeProxyConfiguration.KubeProxyIPTablesConfiguration.MasqueradeBit: Invalid value: 32: "
            "must be within the range [0, 31]",
        ),
        (
            {"iptables": {"syncPeriod": "1s", "minSyncPeriod": "1m5s"}},
            "KubeProxyConfiguration.SyncPeriod: Invalid value: 1m5s: must be greater than or equal to "
            "KubeProxyConfiguration.MinSyncPeriod",
        ),
        (
            {"mode": "ipvs", "ipvs": {"excludeCIDRs": ["10.0.0.0/8", "x"], "tcpTimeout": "-1s"}},
            "[KubeProxyConfiguration.KubeProxyIPVSConfiguration.TCPTimeout: Invalid value: -1s: must be greater than or "
            'equal to 0, KubeProxyConfiguration.KubeProxyIPVSConfiguration.ExcludeCidrs[1]: Invalid value: "x": '
            "must be a valid CIDR]",
        ),
        (
            {"conntrack": {"maxPerCore": -1}, "oomScoreAdj": 1001},
            "[KubeProxyConfiguration.KubeProxyLinuxConfiguration.KubeProxyConntrackConfiguration.MaxPerCore: Invalid "
            "value: -1: must be greater than or equal to 0, KubeProxyConfiguration.KubeProxyLinuxConfiguration."
            "OOMScoreAdj: Invalid value: 1001: must be within the range [-1000, 1000]]",
        ),
        (
            {"bindAddress": "everywhere"},
            'KubeProxyConfiguration.BindAddress: Invalid value: "everywhere": '
            "not a valid textual representation of an IP address",
        ),
        (
            {"healthzBindAddress": "node-a", "metricsBindAddress": "0.0.0.0:70000"},
            '[KubeProxyConfiguration.HealthzBindAddress: Invalid value: "node-a": must be IP:port, '
            'KubeProxyConfiguration.MetricsBindAddress: Invalid value: "70000": must be a valid port]',
        ),
        (
            {"portRange": "3000-2000"},
            'KubeProxyConfiguration.PortRange: Invalid value: "3000-2000": must be a valid port range (e.g. 300-2000)',
        ),
        (
            {"iptables": {"syncPeriod": "soon"}},
            'KubeProxyConfiguration.iptables.syncPeriod: time: invalid duration "soon"',
        ),
        ({"oomScoreAdj": "low"}, "KubeProxyConfiguration.oomScoreAdj: expected an integer, got 'low'"),
        ({"mode": 3}, "KubeProxyConfiguration.mode: expected a string, got int"),
    ],
)
def test_contradictions_are_refused_in_its_words(fields, complaint):
    with pytest.raises(ManifestError) as refused:
        parse({**HEAD, **fields})
    assert complaint in str(refused.value)


def test_what_another_mode_would_refuse_does_not_matter():
    assert parse({**HEAD, "mode": "nftables", "iptables": {"syncPeriod": "0s"}}).mode == "nftables"
    assert parse({**HEAD, "detectLocalMode": "NodeCIDR", "clusterCIDR": "all of them"}).detect_local_mode == "NodeCIDR"


def test_a_bind_address_of_ipv6_moves_the_default_addresses():
    config = parse({**HEAD, "bindAddress": "fd00::10"})
    assert (config.healthz_bind_address, config.metrics_bind_address) == ("[::]:10256", "[::1]:10249")


def test_an_address_without_a_port_gets_the_default_port():
    config = parse({**HEAD, "healthzBindAddress": "fd00::10", "metricsBindAddress": "0.0.0.0"})
    assert (config.healthz_bind_address, config.metrics_bind_address) == ("[fd00::10]:10256", "0.0.0.0:10249")


def test_another_kind_is_refused():
    with pytest.raises(ManifestError, match='no kind "Deployment" is registered for version "apps/v1"'):
        parse({"apiVersion": "apps/v1", "kind": "Deployment"})


def test_what_is_not_modelled_is_said():
    with pytest.raises(Unsupported, match="winkernel"):
        parse({**HEAD, "winkernel": {"networkName": "x"}})


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("0s", 0), ("1h2m3.5s", 3723.5), ("200ms", 0.2), ("-1s", -1)])
def test_durations_are_those_of_go(text, seconds):
    assert duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0s"), (0.25, "250ms"), (65.0, "1m5s"), (3723.5, "1h2m3.5s"), (-1.0, "-1s"), (0.0001, "100µs")],
)
def test_durations_are_printed_as_go_prints_them(seconds, text):
    assert duration_text(seconds) == text
