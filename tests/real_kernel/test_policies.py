"""The text that enforces network policies loads into the real kernel, which then decides as the model does."""

from __future__ import annotations

import pytest
from both import compare
from real_node import why_not
from scapy.layers.inet import IP, TCP, UDP
from scenario import Inject, Load, React, Scenario

from fakecluster.kernel.netns import Netns
from fakecluster.policy.iptables import IptablesWriter
from fakecluster.policy.model import PolicyPod, network_policy_of
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
    recorder = Recorder(Netns("node"))
    program = PolicyProgram("n", family, writer)
    policy, changed = network_policy_of(POLICY), network_policy_of(CHANGED)
    steps = (
        Changed({"default": {}}, {WEB.key: WEB, FRIEND.key: FRIEND}, {policy.key: policy}),
        Changed(pods={FRIEND.key: MOVED}),
        Changed(policies={policy.key: None}),
        Changed(pods={FRIEND.key: FRIEND}, policies={policy.key: changed}),
        Changed(policies={policy.key: policy}),
    )
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
