"""The text that enforces network policies loads into the real kernel, which then decides as the model does."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Any

import pytest
from both import compare
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from real_node import why_not
from scapy.layers.inet import IP, TCP, UDP
from scenario import Inject, Load, React, Scenario

from fakecluster import strategies as kube
from fakecluster.api.kinds_network.network_policies import default_policy
from fakecluster.cluster.policies import KINDS
from fakecluster.kernel.netns import Netns
from fakecluster.policy.iptables import IptablesWriter
from fakecluster.policy.model import Policy, PolicyNode, PolicyPod, network_policy_of
from fakecluster.policy.nftables import NftablesWriter
from fakecluster.policy.program import PolicyProgram, RuleWriter
from fakecluster.policy.view import Changed
from fakecluster.proxy.program import Command, Recorder

REASON = why_not()
pytestmark = pytest.mark.skipif(bool(REASON), reason=f"needs a network namespace of the real kernel: {REASON}")

#: As on a node where iptables-restore has run: without it the real tool's built-in chains do not count packets.
BUILT_IN = Load(
    ("iptables-restore",),
    "*mangle\n" + "".join(f":{hook} ACCEPT [0:0]\n" for hook in ("FORWARD", "OUTPUT")) + "COMMIT\n",
)
POLICY = {
    "metadata": {"namespace": "default", "name": "web"},
    "spec": {
        "podSelector": {"matchLabels": {"app": "web"}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {
                "from": [{"podSelector": {"matchLabels": {"app": "friend"}}}],
                "ports": [{"protocol": "TCP", "port": "http"}],
            },
            {
                "from": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "192.168.1.64/26"]}}],
                "ports": [{"protocol": "UDP", "port": 5000, "endPort": 5010}, {"protocol": "SCTP", "port": 9}],
            },
        ],
        "egress": [{"to": [{"ipBlock": {"cidr": "192.168.1.0/24"}}]}],
    },
}
CHANGED = {**POLICY, "spec": {**POLICY["spec"], "egress": []}}
WEB = PolicyPod("default", "web", "n", {"app": "web"}, ("10.244.0.3", "fd00:10:244::3"), (("http", "TCP", 80),))
FRIEND = PolicyPod("default", "friend", "n", {"app": "friend"}, ("10.244.0.2", "fd00:10:244::2"), ())
MOVED = PolicyPod("default", "friend", "n", {"app": "friend"}, ("10.244.0.9", "fd00:10:244::9"), ())


def commands(writer: RuleWriter, family: int) -> tuple[Load, ...]:
    """What an agent runs: from nothing, then a Pod gets another address and back, then the policy changes and returns."""
    policy, changed = network_policy_of(POLICY), network_policy_of(CHANGED)
    steps = (
        Changed({"default": {}}, {WEB.key: WEB, FRIEND.key: FRIEND}, {policy.key: policy}),
        Changed(pods={FRIEND.key: MOVED}),
        Changed(policies={policy.key: None}),
        Changed(pods={FRIEND.key: FRIEND}, policies={policy.key: changed}),
        Changed(policies={policy.key: policy}),
    )
    return rendered(writer, family, steps)


def rendered(writer: RuleWriter, family: int, steps: Iterable[Changed]) -> tuple[Load, ...]:
    """What an agent writes on a node that has no rules yet."""
    recorder = Recorder(Netns("node"))
    program = PolicyProgram("n", family, writer)
    for step in steps:
        program.sync(step, recorder)
    loads = tuple(_load(command) for command in recorder.commands if not ASKING & {*command.argv})
    return (BUILT_IN, *loads) if isinstance(writer, IptablesWriter) and family == 4 else loads


#: words of commands that change nothing
ASKING = {"-C", "iptables-save", "ip6tables-save", "list"}


def _load(command: Command) -> Load:
    return Load(command.argv, command.stdin)


def tcp(source: str, port: int) -> bytes:
    return bytes(IP(src=source, dst="10.244.0.3") / TCP(sport=4000, dport=port, flags="S"))


def udp(source: str, port: int) -> bytes:
    return bytes(IP(src=source, dst="10.244.0.3") / UDP(sport=4000, dport=port) / b"hello")


STEPS = (
    Inject(tcp("10.244.0.2", 80), "vethA"),  # a friend, on the port's name
    React(0, "answer"),
    Inject(tcp("10.244.0.2", 81), "vethA"),
    Inject(tcp("192.168.1.20", 80), "eth0"),
    Inject(udp("192.168.1.20", 5010), "eth0"),  # inside the block and the range
    Inject(udp("192.168.1.20", 5011), "eth0"),
    Inject(udp("192.168.1.70", 5010), "eth0"),  # in a hole of the block
    Inject(bytes(IP(src="10.244.0.3", dst="10.244.0.2") / TCP(sport=5, dport=80, flags="S")), "vethB"),
    Inject(bytes(IP(src="10.244.0.3", dst="192.168.1.20") / TCP(sport=5, dport=80, flags="S")), "vethB"),
)


@pytest.mark.parametrize("writer", [IptablesWriter, NftablesWriter])
def test_the_real_kernel_lets_through_what_the_model_lets_through(writer: type) -> None:
    result = compare(Scenario(commands(writer(4), 4), STEPS))
    assert (result.differences, result.outcome, result.packets) == ([], "compared", 9)


@pytest.mark.parametrize("writer", [IptablesWriter, NftablesWriter])
def test_the_text_for_ipv6_loads_too(writer: type) -> None:
    assert compare(Scenario(commands(writer(6), 6), ())).differences == []


# --- any policies, of all kinds

LEFT = PolicyPod(
    "x", "left", "n", {"pod": "a", "app": "web"}, ("10.244.0.2",), (("http", "TCP", 80), ("dns", "UDP", 80))
)
RIGHT = PolicyPod(
    "y", "right", "n", {"pod": "b", "app": "db"}, ("10.244.0.3",), (("http", "TCP", 81), ("dns", "UDP", 81))
)
NODES = {
    name: PolicyNode(name, {"kubernetes.io/hostname": name}, ips)
    for name, ips in (("n", ("192.168.1.10",)), ("a", ("192.168.1.20",)))
}
SPACES = {name: {"ns": name} for name in "xyz"}
OUTSIDE = "192.168.1.20"
NAMES = ("http", "dns")
POLICIES = st.lists(
    st.one_of(
        kube.admin_network_policies(port_names=NAMES),
        kube.baseline_admin_network_policies(port_names=NAMES),
        kube.cluster_network_policies(port_names=NAMES),
        kube.network_policies(namespaces=("x", "y"), port_names=NAMES),
    ),
    min_size=2,
    max_size=6,
)


def read(obj: dict[str, Any]) -> Policy:
    if obj["kind"] == "NetworkPolicy":
        default_policy(obj)
    plural = obj["kind"].lower().removesuffix("y") + "ies"
    return KINDS[f"{plural}.{obj['apiVersion'].split('/')[0]}"](obj)


def every_packet() -> Iterable[Inject]:
    """TCP and UDP to two ports, between the two Pods and with the outside."""
    ways = (("10.244.0.2", "10.244.0.3", "vethA"), ("10.244.0.3", "10.244.0.2", "vethB"),
            ("10.244.0.2", OUTSIDE, "vethA"), (OUTSIDE, "10.244.0.3", "eth0"))  # fmt: skip
    numbers = count(4000)
    for source, target, interface in ways:
        for port in (80, 81):
            head, sport = IP(src=source, dst=target), next(numbers)
            yield Inject(bytes(head / TCP(sport=sport, dport=port, flags="S")), interface)
            yield Inject(bytes(head / UDP(sport=sport, dport=port) / b"hello"), interface)


@pytest.mark.parametrize("writer", [IptablesWriter, NftablesWriter])
def test_the_kernels_agree_about_any_policies(writer: type) -> None:
    @settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(policies=POLICIES, gone=st.integers(0, 5))
    def agree(policies: list[dict[str, Any]], gone: int) -> None:
        chosen = {policy.key: policy for policy in map(read, policies)}
        steps = [Changed(dict(SPACES), {LEFT.key: LEFT, RIGHT.key: RIGHT}, dict(chosen), dict(NODES))]
        steps.append(Changed(policies=dict.fromkeys(list(chosen)[gone : gone + 1])))
        result = compare(Scenario(rendered(writer(4), 4, steps), tuple(every_packet())))
        assert (result.differences, result.outcome) == ([], "compared")

    agree()


def test_the_longest_way_through_all_tiers_is_short_enough_for_the_kernel() -> None:
    everyone: dict[str, Any] = {"namespaces": {}}

    def rules(action: str) -> dict[str, Any]:
        ports = {"ports": [{"portNumber": {"protocol": "TCP", "port": 80}}]}
        names = {"name": 'a "quoted" näme \\ and more than two hundred and forty letters: ' + 30 * "abc "}
        ends = {"ingress": "from", "egress": "to"}
        return {way: [{**names, "action": action, field: [everyone], **ports}] for way, field in ends.items()}

    guard = {"subject": everyone, "priority": 1, **rules("Pass")}
    base = {"subject": everyone, **rules("Allow")}
    both = {"podSelector": {}, "ingress": [{}], "egress": [{}]}
    group = "policy.networking.k8s.io/v1alpha1"
    objects = [
        {"apiVersion": group, "kind": "AdminNetworkPolicy", "metadata": {"name": "g"}, "spec": guard},
        {"apiVersion": group, "kind": "BaselineAdminNetworkPolicy", "metadata": {"name": "default"}, "spec": base},
        {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p", "namespace": "x"},
         "spec": both},
    ]  # fmt: skip
    chosen = {policy.key: policy for policy in map(read, objects)}
    state = Changed(dict(SPACES), {LEFT.key: LEFT, RIGHT.key: RIGHT}, dict(chosen), dict(NODES))
    for writer in (IptablesWriter(4), NftablesWriter(4)):
        result = compare(Scenario(rendered(writer, 4, [state]), tuple(every_packet())))
        assert (result.differences, result.outcome) == ([], "compared")
