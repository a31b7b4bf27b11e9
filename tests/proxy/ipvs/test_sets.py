"""The ipsets of ipvs mode."""

from proxy_node_stub import StubNode

from fakecluster.proxy.ipvs import sets


def test_names_of_ipv6_sets_are_cut_to_what_ipset_takes():
    assert sets.set_name(sets.LOAD_BALANCER_SOURCE_CIDR, "IPv4") == "KUBE-LOAD-BALANCER-SOURCE-CIDR"
    assert sets.set_name(sets.LOAD_BALANCER_SOURCE_CIDR, "IPv6") == "KUBE-6-LOAD-BALANCER-SOURCE-CID"
    assert sets.set_name(sets.NODE_PORT_LOCAL["SCTP"], "IPv6") == "KUBE-6-NODE-PORT-LOCAL-SCTP-HAS"


def test_seventeen_sets_are_created_of_the_familys_kind():
    node = StubNode()
    sets.make_sets(node, "IPv6")
    lines = node.stdins[0].splitlines()
    assert len(lines) == 17
    assert "create KUBE-6-CLUSTER-IP hash:ip,port family inet6 hashsize 1024 maxelem 65536" in lines
    assert "create KUBE-6-NODE-PORT-UDP bitmap:port range 0-65535" in lines


def test_only_what_differs_is_added_and_deleted():
    node = StubNode()
    node.answers["ipset save"] = (
        "create KUBE-CLUSTER-IP hash:ip,port family inet\nadd KUBE-CLUSTER-IP 10.96.0.1,tcp:443\n"
        "add KUBE-CLUSTER-IP 172.30.1.1,tcp:80\ncreate OTHER hash:ip\nadd OTHER 1.2.3.4\n"
    )
    wanted = sets.no_entries()
    wanted[sets.CLUSTER_IP] = {"10.96.0.1,tcp:443": None, "10.96.0.2,udp:53": None}
    sets.reconcile(node, "IPv4", wanted)
    assert node.stdins == ["del KUBE-CLUSTER-IP 172.30.1.1,tcp:80\nadd KUBE-CLUSTER-IP 10.96.0.2,udp:53\n"]


def test_nothing_is_asked_when_nothing_differs():
    node = StubNode()
    sets.reconcile(node, "IPv4", sets.no_entries())
    assert node.commands == [("ipset", "save")]
