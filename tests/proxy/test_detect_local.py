"""The local detectors as iptables arguments."""

from fakecluster.proxy.config import DetectLocalConfiguration, KubeProxyConfiguration
from fakecluster.proxy.detect_local import local_detector


def detector(mode, family="IPv4", **fields):
    config = KubeProxyConfiguration(detect_local_mode=mode, **fields)
    return local_detector(config, family, ("10.244.0.0/24", "fd00:10:244::/64"))


def test_cluster_cidr_matches_the_source_by_family():
    found = detector("ClusterCIDR", cluster_cidrs=("10.244.0.0/16",))
    assert (found.if_local, found.if_not_local) == ("-s 10.244.0.0/16", "! -s 10.244.0.0/16")
    assert not detector("ClusterCIDR", "IPv6", cluster_cidrs=("10.244.0.0/16",))


def test_node_cidr_takes_the_pod_cidr_of_the_node():
    assert detector("NodeCIDR").if_local == "-s 10.244.0.0/24"
    assert detector("NodeCIDR", "IPv6").if_local == "-s fd00:10:244::/64"


def test_interface_modes_match_the_incoming_interface():
    bridge = DetectLocalConfiguration(bridge_interface="cbr0")
    prefix = DetectLocalConfiguration(interface_name_prefix="veth")
    assert detector("BridgeInterface", detect_local=bridge).if_not_local == "! -i cbr0"
    assert detector("InterfaceNamePrefix", detect_local=prefix).if_local == "-i veth+"
