"""`fakecluster replay` and `fakecluster diff-rules`: what they print and how they exit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import yaml
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.utils import wrpcap

from fakecluster import Cluster

SHOP = str(Path(__file__).resolve().parents[2] / "examples" / "shop.yaml")


def fakecluster(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "fakecluster", *arguments]
    return subprocess.run(command, capture_output=True, input=stdin, check=False)


def test_replay_prints_flows_as_json_and_takes_standard_input(tmp_path: Path) -> None:
    wrpcap(str(tmp_path / "a.pcap"), [IP(src="203.0.113.9", dst="10.1.2.3") / UDP(sport=5, dport=9)])
    data = (tmp_path / "a.pcap").read_bytes()
    options = ("--at", "a:eth0", "--map", "10.1.2.3=node/a", "--output", "json")
    run = fakecluster("replay", SHOP, "-", *options, stdin=data)
    assert run.returncode == 0, run.stderr
    (flow,) = json.loads(run.stdout)["flows"]
    assert (flow["flow"], flow["packets"]) == ("udp 203.0.113.9:5 > 172.18.0.2:9", 1)
    cut = fakecluster("replay", SHOP, "-", *options, stdin=data + data[24:40])
    assert cut.returncode == 2
    assert json.loads(cut.stdout)["packets"] == 1
    assert b"the file ends inside a packet (0 of 28 bytes); 1 packets before it were read" in cut.stderr


def test_replay_writes_every_packets_verdict(tmp_path: Path) -> None:
    packets = [Ether() / ARP(), Ether() / IP(src="203.0.113.9", dst="172.18.0.2") / UDP(sport=5, dport=9) / b"x",
               Ether() / IP(src="203.0.113.9", dst="172.18.0.2", ttl=0) / UDP(sport=5, dport=9)]  # fmt: skip
    for number, packet in enumerate(packets):
        packet.time = 1000 + number / 4
    wrpcap(str(tmp_path / "a.pcap"), packets)
    options = ("--at", "a:eth0", "--verdicts", str(tmp_path / "a.csv"))
    assert fakecluster("replay", SHOP, str(tmp_path / "a.pcap"), *options).returncode == 0
    assert (tmp_path / "a.csv").read_text().splitlines() == [
        "packet,time_s,verdict",
        "1,1000.000000000,no IP packet",
        "2,1000.250000000,delivered in node/a to the host",
        "3,1000.500000000,delivered in node/a to the host",
    ]


def test_diff_rules_names_what_is_missing(tmp_path: Path) -> None:
    rules = fakecluster("rules", SHOP).stdout.decode()
    (tmp_path / "whole").write_text(rules)
    kept = [line for line in rules.splitlines() if not line.startswith("-A KUBE-SERVICES") or "default/web" not in line]
    (tmp_path / "cut").write_text("\n".join(kept) + "\n")
    whole = fakecluster("diff-rules", SHOP, "--iptables-save", str(tmp_path / "whole"))
    assert (whole.returncode, whole.stdout) == (0, b"0 differences\n")
    cut = fakecluster("diff-rules", SHOP, "--iptables-save", str(tmp_path / "cut"))
    assert cut.returncode == 1
    assert b"missing in ip nat KUBE-SERVICES (default/web:http)" in cut.stdout


def test_diff_rules_takes_the_objects_of_the_nodes_own_cluster(tmp_path: Path) -> None:
    cluster = Cluster(nodes=2, proxy="ipvs")
    cluster.apply(SHOP)
    kinds = ("services", "endpointslices.discovery.k8s.io", "nodes", "servicecidrs.networking.k8s.io")
    objects = [one for kind in kinds for one in cluster.api.list(kind)]
    (tmp_path / "objects").write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": objects}))
    config = {"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration", "mode": "ipvs"}
    data = {"config.conf": yaml.safe_dump({**config, "clusterCIDR": "10.244.0.0/16"})}
    (tmp_path / "config").write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "ConfigMap", "data": data}))
    dumps = {kind: cluster.node("b").run(command) for kind, command in
             (("ipset", "ipset save"), ("ipvsadm", "ipvsadm -Sn"), ("ip-addr", "ip address"))}  # fmt: skip
    web = cluster.service("web").cluster_ip
    dumps["ipvsadm"] = "".join(line for line in dumps["ipvsadm"].splitlines(True) if f" {web}:80 " not in line)
    for kind, text in dumps.items():
        (tmp_path / kind).write_text(text)
    own = ("--objects", str(tmp_path / "objects"), "--proxy-config", str(tmp_path / "config"), "--node", "b")
    run = fakecluster("diff-rules", *own, *(word for kind in dumps for word in (f"--{kind}", str(tmp_path / kind))))
    assert (run.returncode, run.stderr) == (1, b"")
    assert run.stdout.decode().splitlines() == [
        f"missing in ipvs (default/web:http): -A -t {web}:80 -s rr",
        *(f"missing in ipvs (default/web:http): -a -t {web}:80 -r {pod}:8080 -m -w 1"
          for pod in sorted(cluster.pod(f"web-{n}").ip for n in (1, 2, 3))),
        "4 differences",
    ]  # fmt: skip
