"""Real nodes' dumps, explained end to end: packets end where the real kernel sent them, and the rules say why."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from fakecluster.explaining import Explanation, explain, names_of, node_from_dumps
from fakecluster.explaining.rendered import RealCluster, real_cluster, rendered
from fakecluster.explaining.rule_differences import differences
from fakecluster.kernel.netns import Netns
from fakecluster.kernel.packet import Skb
from fakecluster.proxy import config as proxy_config

ARCHIVE = Path(__file__).resolve().parents[1] / "conformance" / "recordings" / "kubeproxy.tar.xz"
SCENARIOS = ("clusterip_basic", "external_ips", "etp_local", "loadbalancer", "no_endpoints", "dual_stack")
#: Probes of a step that are explained; the conformance tests walk all of them.
PROBES = 4
#: Tries from which on every endpoint can be taken to have been chosen once.
TRIES = 10
_SENT = re.compile(r"(\w+): (?:TCP|UDP|SCTP) src=\S+ sport=\w+ dst=(\S+)")

JsonObject = dict[str, Any]


def recordings(mode: str) -> Iterator[JsonObject]:
    with tarfile.open(ARCHIVE) as archive:
        for member in archive.getmembers():
            path = Path(member.name)
            if path.parent.name == mode and path.stem.partition("-")[0] in SCENARIOS and path.stem.endswith("-s1"):
                file = archive.extractfile(member)
                assert file is not None
                yield json.load(file)


def address_dump(topology: JsonObject) -> str:
    """As `ip address` prints it."""
    lines = []
    names = [*topology["nodeInterfaces"].items(), *((name, ()) for name in topology["podInterfaces"])]
    for number, (name, addresses) in enumerate(names, 1):
        lines.append(f"{number}: {name}: <UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default")
        scope = "host" if name == "lo" else "global"
        lines += [f"    inet{6 if ':' in one else ''} {one} scope {scope} {name}" for one in addresses]
    return "\n".join(lines) + "\n"


def node_of(recording: JsonObject, step: JsonObject) -> Netns:
    rules = step["rules"]
    dumps = {"ip-addr": address_dump(recording["topology"]), "ip-route": "\n".join(recording["topology"]["routes"])}
    if "nft_ruleset" in rules:
        dumps["nft"] = rules["nft_ruleset"]
    else:
        dumps |= {"iptables-save": rules["iptables_save"], "ip6tables-save": rules["ip6tables_save"]}
    return node_from_dumps({kind: (text, kind) for kind, text in dumps.items()})


def ends(probe: JsonObject) -> set[tuple[str, str]] | None:
    """(interface, target) of what the kernel did with the tries; None for what is more than forwarding or dropping."""
    found = set()
    for group in probe["groups"]:
        (first, *more) = group["outcome"] if isinstance(group["outcome"], list) else [group["outcome"]]
        sent = _SENT.fullmatch(first)
        if more or (sent is None and "no output" not in first) or (sent is not None and sent[1] == "local"):
            return None
        found.add((sent[1], sent[2]) if sent is not None else ("", ""))
    return found


def end(explanation: Explanation) -> tuple[str, str]:
    hop = explanation.trace.way[-1]
    if hop.verdict.what != "transmitted":
        return "", ""
    skb = Skb(hop.packet_out)
    return hop.oif, f"{ip_address(skb.dst.to_bytes(4 if skb.family == 4 else 16))}:{skb.dport}"


@pytest.mark.parametrize("mode", ["iptables", "nftables"])
def test_probes_end_where_the_real_kernel_sent_them(mode: str) -> None:
    explained, dropped = 0, 0
    for recording in recordings(mode):
        for step in recording["steps"]:
            if "rules" not in step or not ({"iptables_save", "nft_ruleset"} & set(step["rules"])):
                continue
            node = node_of(recording, step)
            for probe in [one for one in step.get("packets", ()) if ends(one)][:PROBES]:
                source, target = (f"[{ip}]" if ":" in ip else ip for ip in (probe["src"], probe["dst"]))
                inside = "" if probe["from"] == "host" else f" in {probe['from']}"
                words = f"{probe['proto'].lower()} {source}:{probe['sportBase']} > {target}:{probe['dport']}{inside}"
                found = explain(node, words)
                wanted = ends(probe)
                assert wanted is not None
                if probe["tries"] < TRIES:  # not every endpoint was seen: the port must be theirs
                    ports = {target.rpartition(":")[2] for _, target in wanted}
                    assert end(found)[1].rpartition(":")[2] in ports, f"{probe['name']}: {words}\n{found}"
                else:
                    assert end(found) in wanted, f"{probe['name']}: {words}\n{found}"
                explained += 1
                dropped += ("", "") in wanted
    assert explained > 25


def test_a_real_node_is_explained_in_services_names() -> None:
    recording = next(one for one in recordings("iptables") if one["scenario"] == "clusterip_basic")
    step = recording["steps"][0]
    probe = next(one for one in step["packets"] if one["proto"] == "TCP" and one["from"] != "host")
    names = names_of({**one, "kind": "Service"} for one in step["objects"]["services"])
    words = f"tcp {probe['src']}:5 > {probe['dst']}:{probe['dport'] + 1} in {probe['from']}"
    text = str(explain(node_of(recording, step), words, names=names))
    (service,) = {name for name in names.of_address.values() if f"{name}:{probe['dport'] + 1}" in text}
    assert f"the destination port is {probe['dport'] + 1}, not {probe['dport']}" in text
    assert re.search(
        rf"with destination port {probe['dport']}: transmitted in node at \w+ as TCP \S+ > \S+ \[S\]", text
    )
    assert service.startswith("svc/")


#: The recorded dumps of a node, by the kind of dump.
DUMPS = {
    "iptables_save": "iptables-save", "ip6tables_save": "ip6tables-save", "nft_ruleset": "nft",
    "ipset_save": "ipset", "ipvsadm_Sn": "ipvsadm",
}  # fmt: skip
KINDS = {"services": "Service", "endpointSlices": "EndpointSlice"}


def cluster_of(objects: JsonObject) -> RealCluster:
    """The objects as `kubectl get` dumps them; of Nodes the recording has only what matters, the ServiceCIDR is known."""
    nodes = [
        {"kind": "Node", "metadata": {"name": one["name"], "labels": one["labels"]}, "spec": {"podCIDRs": one["podCIDRs"]},
         "status": {"addresses": one["addresses"]}}
        for one in objects["nodes"]
    ]  # fmt: skip
    cidr = {
        "kind": "ServiceCIDR", "metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.96.0.0/16", "fd00:10:96::/112"]},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }  # fmt: skip
    found = [{**one, "kind": KINDS[name]} for name, group in objects.items() if name in KINDS for one in group]
    return real_cluster([*nodes, cidr, *found])


def beside(recording: JsonObject, step: JsonObject, objects: JsonObject) -> list[str]:
    """A recorded node's dumps beside what kube-proxy is expected to write for objects."""
    texts = {kind: step["rules"][name] for name, kind in DUMPS.items() if name in step["rules"]}
    real = node_from_dumps({kind: (text, kind) for kind, text in texts.items()})
    cluster = cluster_of(objects)
    addresses = (address_dump(recording["topology"]), "ip-addr")
    model = rendered(cluster, "kp-node", proxy_config.parse(step["config"]), addresses)
    return [str(one) for one in differences(real, model, names=cluster.service_names, kinds=texts)]


@pytest.mark.parametrize("mode", ["iptables", "ipvs", "nftables"])
def test_a_real_nodes_rules_are_those_that_its_clusters_objects_ask_for(mode: str) -> None:
    compared = 0
    for recording in recordings(mode):
        step = recording["steps"][0]
        if set(DUMPS) & set(step.get("rules", ())):
            assert beside(recording, step, step["objects"]) == [], recording["scenario"]
            compared += 1
    assert compared >= 4


@pytest.mark.parametrize(
    ("mode", "lines", "words"),
    [
        ("iptables", 24, "nat KUBE-SERVICES (kp-clusterip-basic-s1/app-front:http): -d 10.96.29.238/32 -p tcp"),
        ("nftables", 10, "kube-proxy map service-ips (kp-clusterip-basic-s1/app-front:http): 10.96.29.238 . tcp . 10605"),
    ],
)  # fmt: skip
def test_what_a_real_node_has_of_a_deleted_service_is_told_in_its_name(mode: str, lines: int, words: str) -> None:
    recording = next(one for one in recordings(mode) if one["scenario"] == "clusterip_basic")
    step = recording["steps"][0]
    left = [one for one in step["objects"]["services"] if one["metadata"]["name"] != "app-front"]
    found = beside(recording, step, {**step["objects"], "services": left})
    assert (len(found), {text.split()[0] for text in found}) == (lines, {"extra"})
    assert any(text.startswith(f"extra in ip {words}") for text in found)
