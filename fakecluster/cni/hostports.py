"""Container ports with a hostPort, as the portmap CNI plugin writes them in iptables (plugins/meta/portmap).

Chains: CNI-HOSTPORT-DNAT (from PREROUTING and OUTPUT, local destinations only) leads to a CNI-DN-<hash> chain per Pod;
CNI-HOSTPORT-SETMARK marks hairpin and loopback traffic with 0x2000, which CNI-HOSTPORT-MASQ masquerades.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha512
from ipaddress import ip_network
from typing import Any

from fakecluster.kernel.netns import Netns

JsonObject = dict[str, Any]
MARK = "0x2000/0x2000"
#: The chain that there is once a node has mapped a port.
CHAIN = "CNI-HOSTPORT-DNAT"
_TOOL = {4: "iptables", 6: "ip6tables"}
_LOOPBACK = {4: "127.0.0.1", 6: "::1"}


def mappings(pod: JsonObject) -> list[JsonObject]:
    """The ports of a Pod that ask for a port of its node."""
    containers = pod["spec"].get("containers") or ()
    return [port for container in containers for port in container.get("ports") or () if port.get("hostPort")]


def chain_of(pod: JsonObject) -> str:
    return "CNI-DN-" + sha512(f"portmap{pod['metadata']['uid']}".encode()).hexdigest()[:21]


def add(node: Netns, pod: JsonObject, addresses: list[str]) -> None:
    """Map the Pod's host ports on its node."""
    ports = mappings(pod)
    if not ports:
        return
    for address in addresses:
        family = 6 if ":" in address else 4
        _ensure_chains(node, family)
        node.run([f"{_TOOL[family]}-restore", "--noflush"], "\n".join(_rules(pod, ports, address, family)))


def remove(node: Netns, pod: JsonObject) -> None:
    """Take the Pod's mappings away."""
    if not mappings(pod):
        return
    chain = chain_of(pod)
    for tool in _TOOL.values():
        jumps = [line for line in node.run([tool, "-t", "nat", "-S"]).splitlines() if line.endswith(f"-j {chain}")]
        deletions = "\n".join(f"-D{line[2:]}" for line in jumps)
        if jumps:
            node.run([f"{tool}-restore", "--noflush"], f"*nat\n:{chain} - [0:0]\n{deletions}\n-X {chain}\nCOMMIT\n")


def _ensure_chains(node: Netns, family: int) -> None:
    tool = _TOOL[family]
    if ":CNI-HOSTPORT-DNAT" in node.run([f"{tool}-save", "-t", "nat"]):
        return
    node.run(
        [f"{tool}-restore", "--noflush"],
        "*nat\n:CNI-HOSTPORT-DNAT - [0:0]\n:CNI-HOSTPORT-SETMARK - [0:0]\n:CNI-HOSTPORT-MASQ - [0:0]\n"
        "-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT\n"
        "-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT\n"
        '-I POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ\n'
        '-A CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" '
        f"-j MARK --set-xmark {MARK}\n"
        f"-A CNI-HOSTPORT-MASQ -m mark --mark {MARK} -j MASQUERADE\n"
        "COMMIT\n",
    )


def _rules(pod: JsonObject, ports: list[JsonObject], address: str, family: int) -> Iterator[str]:
    chain = chain_of(pod)
    source = ip_network(address)
    yield "*nat"
    yield f":{chain} - [0:0]"
    for protocol in dict.fromkeys(port.get("protocol", "TCP").lower() for port in ports):
        of_protocol = [port for port in ports if port.get("protocol", "TCP").lower() == protocol]
        numbers = ",".join(str(port["hostPort"]) for port in of_protocol)
        yield f"-A CNI-HOSTPORT-DNAT -p {protocol} -m multiport --dports {numbers} -j {chain}"
        for port in of_protocol:
            host_ip = port.get("hostIP") or ""
            if host_ip and (":" in host_ip) != (family == 6):
                continue
            match = f"-p {protocol}" + (f" -d {host_ip}" if host_ip else "") + f" -m {protocol}"
            match += f" --dport {port['hostPort']}"
            target = f"[{address}]" if family == 6 else address
            yield f"-A {chain} -s {source} {match} -j CNI-HOSTPORT-SETMARK"
            yield f"-A {chain} -s {_LOOPBACK[family]} {match} -j CNI-HOSTPORT-SETMARK"
            yield f"-A {chain} {match} -j DNAT --to-destination {target}:{port['containerPort']}"
    yield "COMMIT\n"
