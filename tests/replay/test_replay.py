"""Replaying captures into clusters."""

from __future__ import annotations

import re
import shutil
import subprocess
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP

from fakecluster import Cluster
from fakecluster.fabric.captures import CaptureError, CaptureInterface, open_capture
from fakecluster.kernel.hooks import Hook
from fakecluster.kernel.packet import Skb
from fakecluster.replay import MapError, Verdict, replay
from fakecluster.replay.headers import read
from fakecluster.replay.preparing import with_ack_shifted

SHOP = Path(__file__).resolve().parents[2] / "examples" / "shop.yaml"


@pytest.fixture(scope="module")
def template() -> Cluster:
    cluster = Cluster(nodes=2)
    cluster.apply(SHOP)
    return cluster


@pytest.fixture
def shop(template: Cluster) -> Cluster:
    return template.fork()


def client_port(cluster: Cluster) -> str:
    """The node's end of the client's veth."""
    client = cluster.pod("client")
    routes = client.node.run("ip route")
    found = re.search(rf"{re.escape(client.ip)} dev (\S+)", routes)
    assert found is not None
    return f"{client.node.name}:{found[1]}"


def talk(cluster: Cluster, path: Path) -> None:
    with cluster.capture(client_port(cluster), path=path):
        cluster.pod("client").connect("web", 80).request(b"hi")


def test_what_a_cluster_did_it_does_again(shop: Cluster, tmp_path: Path) -> None:
    again = shop.fork()
    talk(shop, tmp_path / "a.pcapng")
    result = replay(again, tmp_path / "a.pcapng", at=client_port(again))
    assert (result.packets, result.injected, result.recorded, result.sent) == (9, 5, 4, 4)
    assert result.differences == []
    assert {fate.what for fate in result.fates} == {"delivered"}


def test_other_sequence_numbers_do_not_break_connections(shop: Cluster, tmp_path: Path) -> None:
    other = shop.fork()
    other.pod("client").connect("web", 80)  # draws numbers: the next connection has others
    talk(shop, tmp_path / "a.pcapng")
    result = replay(other, tmp_path / "a.pcapng", at=client_port(other))
    tcp = next(flow for flow in result.flows if flow.key.proto == 6)
    assert (tcp.packets, tcp.answers) == (4, 3)
    assert tcp.ack_shift != 0
    assert all(fate.what == "delivered" for fate in result.fates)


@pytest.mark.parametrize(("answer", "answers"), [(1, 10), (45, 9), (100, 9)])
def test_answers_of_another_length_are_acknowledged(shop: Cluster, answer: int, answers: int) -> None:
    """The capture's server answers with `answer` bytes; the model's with 45."""
    ip = shop.service("web").cluster_ip

    def sent(flags: str, seq: int, ack: int, data: bytes = b"") -> Any:
        return IP(src="203.0.113.9", dst=ip) / TCP(sport=5, dport=80, flags=flags, seq=seq, ack=ack) / data

    packets = [sent("S", 0, 0), sent("A", 1, 701)]
    for n in range(3):
        packets += [sent("PA", 1 + 2 * n, 701 + answer * n, b"hi"), sent("A", 3 + 2 * n, 701 + answer * (n + 1))]
    packets += [sent("FA", 7, 701 + answer * 3), sent("A", 8, 702 + answer * 3)]
    for n, one in enumerate(packets):
        one.time = 1_000 + n * 0.3  # long enough for what is not acknowledged to be sent again
    result = shop.replay(packets, at="a:eth0")
    (flow,) = result.flows
    assert {fate.what for fate in result.fates} == {"delivered"}
    # SYN-ACK, three acknowledgments and answers, ACK and FIN; one answer is sent again before the lengths are found to differ
    assert (flow.answers, flow.diverged) == (answers, answer != 45)
    assert [one for pod in shop.pods for one in pod.netns.sockets.connections.values()] == []


def test_selective_acknowledgments_are_shifted_too() -> None:
    options = [("NOP", None), ("NOP", None), ("SAck", (1100, 1200, 1300, 1400))]
    packet = bytes(IP(src="203.0.113.9", dst="10.0.0.1") / TCP(sport=5, dport=80, flags="A", ack=1000, options=options))
    whole = IP(with_ack_shifted(read(packet), -1050))
    shifted, right = whole[TCP], whole.copy()
    assert (shifted.ack, dict(shifted.options)["SAck"]) == (2**32 - 50, (50, 150, 250, 350))
    del right[TCP].chksum
    assert shifted.chksum == IP(bytes(right))[TCP].chksum


def test_what_was_recorded_and_is_not_sent_is_a_difference(shop: Cluster, tmp_path: Path) -> None:
    again = shop.fork()
    talk(shop, tmp_path / "a.pcapng")
    for name in ("web-1", "web-2", "web-3"):
        again.pod(name).stop_listening()
    found = again.replay(tmp_path / "a.pcapng", at=client_port(again)).differences
    words = [str(one) for one in found]
    assert any("a packet that was not sent: expected tcp" in text and "[SA] 0 bytes" in text for text in words)
    assert any("extra: expected nothing, got tcp" in text and "[RA] 0 bytes" in text for text in words)


def test_packets_that_nobody_takes_say_where_they_ended(shop: Cluster) -> None:
    ip = shop.pod("web-1").ip
    packets = [IP(src="203.0.113.9", dst=ip, ttl=1) / TCP(sport=5, dport=8080, flags="S")]
    result = shop.replay(packets, at="b:eth0")
    (fate,) = result.fates
    assert (fate.what, fate.namespace) == ("dropped", "node/b")


def test_addresses_are_mapped_on_request(shop: Cluster) -> None:
    packets = [IP(src="10.1.1.1", dst="10.1.2.3") / UDP(sport=5, dport=9) / b"x"]
    result = shop.replay(packets, at="a:eth0", mapping={"10.1.2.3": "pod/web-1"})
    (fate,) = result.fates
    assert (fate.what, fate.namespace) == ("delivered", "pod/web-1")
    assert str(result.flows[0].key) == f"udp 10.1.1.1:5 > {shop.pod('web-1').ip}:9"


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"10.1.2": "pod/web-1"}, "--map 10.1.2=pod/web-1: '10.1.2' does not appear to be"),
        ({"10.1.2.3": "cow/web-1"}, "expected an address, pod/NAME, svc/NAME, node/NAME or outside"),
        ({"10.1.2.3": "pod/nobody"}, '--map 10.1.2.3=pod/nobody: pods "nobody" not found'),
        ({"10.1.2.3": "node/z"}, "--map 10.1.2.3=node/z: no node 'z'; there are a, b"),
        ({"10.1.2.3": "fd00::1"}, "IPv4 cannot become IPv6"),
    ],
)
def test_a_wrong_map_is_refused(shop: Cluster, mapping: dict[str, str], words: str) -> None:
    with pytest.raises(MapError, match=re.escape(words)):
        shop.replay([], at="a:eth0", mapping=mapping)


def test_an_address_to_map_that_no_packet_has_is_said(shop: Cluster) -> None:
    packets = [IP(src="10.1.1.1", dst="10.1.2.3") / UDP(sport=5, dport=9) / b"x"]
    mapping = {"10.1.1.1": "outside", "10.1.2.3": "pod/web-1", "10.1.2.33": "pod/web-2"}
    result = shop.replay(packets, at="a:eth0", mapping=mapping)
    assert result.warnings == {"no packet has the address to map: 10.1.2.33": 1}
    assert str(result.flows[0].key) == f"udp 203.0.113.1:5 > {shop.pod('web-1').ip}:9"


def test_virtual_time_follows_the_capture_and_never_goes_back(shop: Cluster) -> None:
    def at(time_s: float) -> Any:
        packet = IP(src="203.0.113.9", dst="172.18.0.2") / UDP(sport=5, dport=9)
        packet.time = time_s
        return packet

    before = shop.clock.now_s
    result = shop.replay((at(t) for t in (1000.0, 1002.5, 1001.0, 1003.0, 10_000_000.0)), at="a:eth0")
    assert shop.clock.now_s - before == pytest.approx(3603.0)
    assert result.warnings == {
        "the capture's clock goes backwards": 1,
        "a silence of more than 3600 s was shortened": 1,
    }


def test_snapped_packets_are_restored(shop: Cluster) -> None:
    from struct import pack

    whole = bytes(IP(src="203.0.113.9", dst="172.18.0.2") / UDP(sport=5, dport=9) / bytes(500))
    head = pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 60, 101)
    records = [pack("<IIII", 1, 0, size, len(whole)) + whole[:size] for size in (60, 22)]
    result = shop.replay(head + b"".join(records), at="a:eth0")
    assert {(fate.what, count) for fate, count in result.fates.items()} == {("delivered", 1), ("unreadable", 1)}


def test_a_cut_capture_tells_what_came_before(shop: Cluster, tmp_path: Path) -> None:
    again = shop.fork()
    talk(shop, tmp_path / "a.pcapng")
    data = (tmp_path / "a.pcapng").read_bytes()[:-10]
    out = tmp_path / "out.pcapng"
    with pytest.raises(CaptureError, match="the file ends inside a block") as caught:
        replay(again.fork(), data, at=client_port(again), output=out)
    assert caught.value.replay.packets == 8  # type: ignore[attr-defined]
    replay(again, tmp_path / "a.pcapng", at=client_port(again), output=tmp_path / "whole.pcapng")
    written, whole = (list(open_capture(path)) for path in (out, tmp_path / "whole.pcapng"))
    assert 0 < len(written) < len(whole)
    assert whole[: len(written)] == written


def test_two_modes_send_packets_to_the_same_ends(shop: Cluster, tmp_path: Path) -> None:
    talk(shop.fork(), tmp_path / "a.pcapng")
    result = replay(shop, tmp_path / "a.pcapng", at=client_port(shop), against=shop.fork(proxy="nftables"))
    assert (result.injected, result.differences) == (5, [])


def test_another_cluster_shows_what_changes(shop: Cluster, tmp_path: Path) -> None:
    talk(shop.fork(), tmp_path / "a.pcapng")
    without = shop.fork()
    without.delete("services", "web")
    result = replay(shop, tmp_path / "a.pcapng", at=client_port(shop), against=without)
    assert result.differences[0].what == "another end"
    assert "delivered in pod/web-" in result.differences[0].expected
    assert "pod/web-" not in result.differences[0].got


def test_the_output_names_hook_rule_and_verdict_at_every_interface(shop: Cluster, tmp_path: Path) -> None:
    talk(shop.fork(), tmp_path / "a.pcapng")
    out = tmp_path / "out.pcapng"
    shop.replay(tmp_path / "a.pcapng", at=client_port(shop), output=out)
    capture = open_capture(out)
    passed = [(one.interface, one.direction) for one in capture]
    assert [way for number, way in passed if number == 0] == ["in", "out", "in", "out", "in", "in", "out", "out", "in"]
    names = {one.name.partition("/")[0] for one in capture.interfaces}
    assert names == {"node", "pod"}
    text = out.read_bytes()
    assert b"PREROUTING ip nat KUBE-SEP-" in text
    assert b"dnat: dport 80 -> 8080" in text
    assert re.search(rb"delivered in pod/web-\d to web-\d \(tcp:8080\)", text)


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_reads_what_is_written_without_complaint(shop: Cluster, tmp_path: Path) -> None:
    again = shop.fork()
    with shop.capture(client_port(shop), "pod/client", path=tmp_path / "a.pcapng"):
        shop.pod("client").connect("web", 80).request(b"hi")
    again.replay(tmp_path / "a.pcapng", at=client_port(shop), output=tmp_path / "out.pcapng")
    for name, field, words in (("a", "frame.interface_name", "pod/client:eth0"), ("out", "frame.comment", "KUBE-SEP-")):
        command = ["tshark", "-r", str(tmp_path / f"{name}.pcapng"), "-T", "fields", "-e", field]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        assert "cut short" not in run.stderr
        assert words in run.stdout


def test_every_packets_verdict_is_told_with_the_result_of_a_replay_that_tells_none(shop: Cluster, tmp_path: Path) -> None:
    talk(shop.fork(), tmp_path / "a.pcapng")
    told: list[Verdict] = []
    result = replay(shop.fork(), tmp_path / "a.pcapng", at=client_port(shop), told=told.append)
    assert result == replay(shop.fork(), tmp_path / "a.pcapng", at=client_port(shop))
    assert [one.packet for one in told] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    ends = [re.sub(r"(web|coredns)(-\w+)+", r"\1", str(one)) for one in told]
    dns, web, leaving = (
        "delivered in pod/kube-system/coredns to coredns (udp:53)",
        "delivered in pod/web to web (tcp:8080)",
        "leaves the interface in the capture",
    )
    assert ends == [dns, leaving, web, leaving, web, web, leaving, leaving, web]
    assert {one.time_text for one in told} == {"1767225600.000000000"}


def test_a_second_capture_is_compared_with_what_passes_there(shop: Cluster, tmp_path: Path) -> None:
    again, place = shop.fork(), client_port(shop)
    with shop.capture(place, path=tmp_path / "a.pcapng"), shop.capture("pod/client", path=tmp_path / "b.pcapng"):
        shop.pod("client").connect("web", 80).request(b"hi")
    recorded = (tmp_path / "b.pcapng").read_bytes()
    assert again.fork().replay(tmp_path / "a.pcapng", at=place, against=recorded, against_at=place).differences == []
    found = again.replay(
        tmp_path / "a.pcapng", at=place, against=tmp_path / "b.pcapng", against_at="pod/client"
    ).differences
    assert {one.what for one in found} == {
        "only in the second capture"
    }  # the capture plays the client: nothing gets there


def test_what_a_second_capture_does_not_have_is_told_by_the_packet_that_caused_it(shop: Cluster) -> None:
    ip, ends = shop.pod("web-1").ip, {"src": "203.0.113.9", "dst": shop.pod("web-1").ip}
    packets = [IP(**ends) / UDP(sport=5, dport=9) / bytes(n) for n in (10, 11, 12)]
    found = shop.replay(packets, at="a:eth0", against=[packets[0], packets[2]], against_at="pod/web-1").differences
    assert [text for one in found if "udp" in (text := str(one))] == [
        f"packet 2: not in the second capture: expected nothing, got udp 203.0.113.9:5 > {ip}:9 11 bytes"
    ]


def test_hooks_and_links_are_captured_as_well(shop: Cluster, tmp_path: Path) -> None:
    client = shop.pod("client")
    node = client.node.name
    with shop.capture(f"{node}:PREROUTING", f"{node}:POSTROUTING", "node-network", path=tmp_path / "a.pcapng") as pcap:
        client.connect("svc/web", 80)
    assert [seen.port.interface for seen in pcap.packets[:2]] == ["PREROUTING", "POSTROUTING"]
    before, after = pcap.packets[:2]
    service, endpoint = int(ip_address(shop.service("web").cluster_ip)), Skb(after.packet)
    assert Skb(before.packet).dst == service
    assert (endpoint.dst != service, endpoint.dport) == (True, 8080)
    assert {one.name for one in _interfaces(tmp_path / "a.pcapng")} >= {f"node/{node}:PREROUTING", "outside:eth0"}
    with (
        shop.capture("a:FORWARD"),
        pytest.raises(ValueError, match="node/a:FORWARD is being captured already"),
        shop.capture("a:FORWARD"),
    ):
        pass
    assert all(entry.name != "capture" for entry in shop.node("a").netns.hooks.entries[4][Hook.FORWARD])


def _interfaces(path: Path) -> list[CaptureInterface]:
    capture = open_capture(path)
    list(capture)
    return capture.interfaces


def test_what_chance_decides_for_a_flow_does_not_depend_on_other_flows(shop: Cluster) -> None:
    ip = shop.service("web").cluster_ip
    packets = [IP(src=f"203.0.113.{n}", dst=ip) / TCP(sport=n, dport=80, flags="S") for n in range(1, 12)]
    whole = {str(flow.key): flow.fate for flow in shop.fork().replay(packets, at="a:eth0").flows}
    # beside other packets, which are no flows of their own for the cluster
    fewer = [
        packet if n % 3 else IP(src="203.0.113.77", dst="172.18.0.2") / UDP(dport=9) for n, packet in enumerate(packets)
    ]
    some = {str(flow.key): flow.fate for flow in shop.fork().replay(fewer, at="a:eth0").flows if "tcp" in str(flow.key)}
    assert some == {key: whole[key] for key in some}
    assert len({fate.namespace for fate in whole.values()}) == 3


def test_a_port_that_does_not_exist_is_refused_with_those_that_do(shop: Cluster) -> None:
    with pytest.raises(LookupError, match=r"node/a has no eth7; it has lo, eth0"):
        shop.replay([], at="a:eth7")
    with pytest.raises(LookupError, match=r"no node/z; there are node/a, node/b, outside.*; links: node-network; hooks: PRER"):
        shop.capture("z:eth0")


def test_a_recording_whose_file_cannot_be_written_does_not_begin(shop: Cluster) -> None:
    with pytest.raises(FileNotFoundError, match=r"/nowhere/a\.pcapng"), shop.capture("a:eth0", path="/nowhere/a.pcapng"):
        pytest.fail("nothing is recorded")


@pytest.mark.parametrize(
    ("source", "words"),
    [([1], "item 1 is 1, not a packet"), ([b"", "x"], "item 2 is 'x', not a packet"), (5, "5 is no capture: a path, bytes")],
)
def test_what_is_no_packet_is_named(shop: Cluster, source: Any, words: str) -> None:
    with pytest.raises(CaptureError, match=words):
        shop.replay(source, at="a:eth0")
