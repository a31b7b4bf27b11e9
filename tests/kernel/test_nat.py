"""Address translation: destinations, sources, ports, errors about translated packets."""

from __future__ import annotations

from kernel.kernel_node import router, sent, wire
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPerror, TCPerror
from scapy.packet import Raw

from fakecluster.kernel.netns import Netns

VIP = "10.96.0.1"


def natted(*rules: str) -> Netns:
    netns = router()
    for rule in rules:
        netns.run(f"iptables -t nat {rule}")
    return netns


DNAT = f"-A PREROUTING -d {VIP} -p tcp --dport 80 -j DNAT --to-destination 10.244.0.3:8080"
MASQUERADE = "-A POSTROUTING -o eth0 -j MASQUERADE"


def test_a_destination_is_translated_and_the_answer_translated_back() -> None:
    netns = natted(DNAT)
    [(iface, packet)] = sent(netns.receive(wire("10.244.0.2", VIP, TCP(sport=1000, dport=80, flags="S")), "podA"))
    assert (iface, packet.dst, packet[TCP].dport) == ("podB", "10.244.0.3", 8080)
    answer = wire("10.244.0.3", "10.244.0.2", TCP(sport=8080, dport=1000, flags="SA", ack=1))
    [(iface, packet)] = sent(netns.receive(answer, "podB"))
    assert (iface, packet.src, packet[TCP].sport) == ("podA", VIP, 80)


def test_translated_checksums_are_right() -> None:
    [(_, packet)] = sent(natted(DNAT).receive(wire("10.244.0.2", VIP, TCP(dport=80, flags="S") / Raw(b"odd")), "podA"))
    written = packet[TCP].chksum, packet.chksum
    del packet[TCP].chksum, packet.chksum
    again = IP(bytes(packet))
    assert written == (again[TCP].chksum, again.chksum)


def test_masquerade_takes_the_address_of_the_way_out_and_keeps_the_port() -> None:
    [(iface, packet)] = sent(
        natted(MASQUERADE).receive(wire("10.244.0.2", "203.0.113.7", UDP(sport=999, dport=53)), "podA")
    )
    assert (iface, packet.src, packet[UDP].sport) == ("eth0", "192.168.1.10", 999)


def test_a_taken_port_is_replaced_by_one_of_its_class() -> None:
    netns = natted(MASQUERADE)
    ports = [
        sent(netns.receive(wire(source, "203.0.113.7", UDP(sport=700, dport=53)), iface))[0][1][UDP].sport
        for source, iface in (("10.244.0.2", "podA"), ("10.244.0.3", "podB"))
    ]
    assert ports[0] == 700
    assert 600 <= ports[1] <= 1023
    assert ports[1] != 700


def test_a_flow_keeps_its_translation_when_the_rules_change() -> None:
    netns = natted(DNAT, MASQUERADE)
    syn = wire("10.244.0.2", VIP, TCP(sport=1000, dport=80, flags="S"))
    netns.receive(syn, "podA")
    netns.run("iptables -t nat -F PREROUTING")
    assert sent(netns.receive(syn, "podA"))[0][1].dst == "10.244.0.3"


def test_flows_behind_an_address_that_goes_are_forgotten() -> None:
    netns = natted(MASQUERADE)
    netns.receive(wire("10.244.0.2", "203.0.113.7", UDP(sport=999, dport=53)), "podA")
    assert len(netns.conntrack) == 1
    netns.run("ip address del 192.168.1.10/24 dev eth0")
    assert len(netns.conntrack) == 0


def test_an_error_about_a_translated_packet_is_translated_outside_and_inside() -> None:
    netns = natted(DNAT)
    [(_, packet)] = sent(netns.receive(wire("10.244.0.2", VIP, TCP(sport=1000, dport=80, flags="S")), "podA"))
    error = wire("10.244.0.3", "10.244.0.2", ICMP(type=3, code=3) / Raw(bytes(packet)))
    [(_, told)] = sent(netns.receive(error, "podB"))
    assert (told.src, told[IPerror].dst, told[TCPerror].dport) == (VIP, VIP, 80)


def test_a_redirect_leads_to_the_incoming_interface() -> None:
    netns = natted("-A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 9")
    [(_, refused)] = sent(netns.receive(wire("10.244.0.2", "203.0.113.7", TCP(sport=5, dport=80, flags="S")), "podA"))
    assert (refused.src, refused[TCP].sport, str(refused[TCP].flags)) == ("203.0.113.7", 80, "RA")


def test_netmap_keeps_the_host_part() -> None:
    netns = natted("-A PREROUTING -d 172.16.0.0/24 -j NETMAP --to 10.244.0.0/24")
    [(_, packet)] = sent(netns.receive(wire("192.168.1.1", "172.16.0.3", UDP()), "eth0"))
    assert packet.dst == "10.244.0.3"


def test_one_map_of_nftables_does_the_same() -> None:
    netns = router()
    elements = f"{{ {VIP} . 80 : 10.244.0.3 . 8080 }}"
    netns.run(
        "nft -f -",
        f"""table ip t {{
            map m {{ type ipv4_addr . inet_service : ipv4_addr . inet_service; elements = {elements} }}
            chain c {{
                type nat hook prerouting priority dstnat; policy accept
                dnat ip to ip daddr . tcp dport map @m
            }}
        }}
        """,
    )
    [(_, packet)] = sent(netns.receive(wire("10.244.0.2", VIP, TCP(dport=80, flags="S")), "podA"))
    assert (packet.dst, packet[TCP].dport) == ("10.244.0.3", 8080)
