"""ping: ICMP echo requests, one a second, and their replies."""

from __future__ import annotations

from ipaddress import ip_address

from fakecluster.cluster.commands.options import BadOption, Options, is_address, parse
from fakecluster.cluster.commands.place import Finished, Place, failed
from fakecluster.kernel import icmp
from fakecluster.kernel.checksums import checksum
from fakecluster.kernel.effects import SendError
from fakecluster.kernel.ip_output import route_output, source_for
from fakecluster.kernel.netns import Netns
from fakecluster.kernel.packet import ICMP, ICMPV6, Skb
from fakecluster.sim.clock import NS_PER_S

SIZE = 56
#: Echo requests that one ping may send: it waits a second after each.
MOST = 1000


def ping(place: Place, words: list[str]) -> Finished:
    """ping(8), as busybox has it; without -c it would never end, which is refused."""
    try:
        options = parse(words, flags="-q -4 -6 -n", valued="-c -W -w -s -i -t")
        count, size = _number(options, "-c", 0), _number(options, "-s", SIZE)
        wait_s = options.seconds("-W", default=1.0)
        interval_s = options.seconds("-i", default=1.0)
    except BadOption as wrong:
        return failed(f"ping: {wrong}", 2)
    if len(options.words) != 1 or not 0 < count <= MOST or size > 65000:
        return failed(f"ping: say how many (-c COUNT, at most {MOST}) and one host", 2)
    address = options.words[0]
    if not is_address(address):
        address = next(iter(place.host.lookup(address, timeout_s=place.patience_s).addresses), "")
    if not address:
        return failed(f"ping: bad address '{options.words[0]}'")
    return _ping(place, options, address, count, size, wait_s, interval_s)


def _ping(
    place: Place, options: Options, address: str, count: int, size: int, wait_s: float, interval_s: float
) -> Finished:
    out = f"PING {options.words[0]} ({address}): {size} data bytes\n"
    errors, back = "", 0
    identifier = place.host.world.choices.draw(65536, "ICMP identifier")
    for sequence in range(count):
        try:
            line, answered = _echo(place, address, identifier, sequence, size, min(wait_s, place.patience_s))
        except SendError as refused:
            errors += f"ping: sendto: {refused.args[0]}\n"
            break
        back += answered
        out += "" if options.has("-q") else line
        if place.patience_s and sequence + 1 < count:
            place.host.world.advance(max(interval_s if answered else interval_s - wait_s, 0.0))
    lost = 100 * (count - back) // count
    out += f"\n--- {options.words[0]} ping statistics ---\n"
    out += f"{count} packets transmitted, {back} packets received, {lost}% packet loss\n"
    return Finished(out.encode(), errors.encode(), 0 if back else 1)


def _echo(place: Place, address: str, identifier: int, sequence: int, size: int, wait_s: float) -> tuple[str, bool]:
    """(the line about one echo request, whether its reply came). Raises SendError."""
    host, clock = place.host, place.host.world.clock
    begin_ns = clock.now_ns
    trace = host.send(echo_request(host.netns, address, identifier, sequence, size))
    end_ns = begin_ns + round(wait_s * NS_PER_S)
    while True:
        for hop in trace.hops:
            if hop.namespace == host.netns.name and hop.verdict.what == "delivered":
                line = _reply_line(hop.packet_out, identifier, sequence, hop.time_ns - begin_ns)
                if line:
                    return line
        due = clock.next_ns
        if clock.now_ns >= end_ns:
            return "", False
        until_ns = end_ns if due is None else min(max(due, clock.now_ns), end_ns)
        host.world.advance((until_ns - clock.now_ns) / NS_PER_S)


def _reply_line(packet: bytes, identifier: int, sequence: int, took_ns: int) -> tuple[str, bool] | None:
    skb = Skb(packet)
    body = bytes(skb.data[skb.l4 :])
    if skb.proto not in (ICMP, ICMPV6) or len(body) < 8:
        return None
    source = ip_address(skb.src)
    if body[0] in (0, 129) and body[4:8] == identifier.to_bytes(2) + sequence.to_bytes(2):
        ttl = bytes(skb.data)[8 if skb.family == 4 else 7]
        return f"{len(body)} bytes from {source}: seq={sequence} ttl={ttl} time={took_ns / 1e6:.3f} ms\n", True
    if body[0] in (icmp.DEST_UNREACH, icmp.TIME_EXCEEDED) if skb.family == 4 else body[0] < 128:
        what = "Time to live exceeded" if body[0] == icmp.TIME_EXCEEDED else "Destination Unreachable"
        return f"From {source}: seq={sequence} {what}\n", False
    return None


def _number(options: Options, name: str, default: int) -> int:
    text = options.value(name)
    if text and not text.isdecimal():
        raise BadOption(f"invalid number '{text}'")
    return int(text) if text else default


def echo_request(netns: Netns, address: str, identifier: int, sequence: int, size: int) -> bytes:
    """The bytes of an echo request from a namespace. Raises SendError when there is no way."""
    target = ip_address(address)
    family, destination = target.version, int(target)
    source = source_for(netns, route_output(netns, family, destination), destination)
    body = bytearray((8 if family == 4 else 128, 0, 0, 0)) + identifier.to_bytes(2) + sequence.to_bytes(2) + bytes(size)
    if family == 4:
        body[2:4] = checksum(body).to_bytes(2)
        return bytes(icmp.ipv4_header(source, destination, ICMP, len(body), ttl=icmp.ttl_of(netns, 4)) + body)
    skb = Skb(icmp.ipv6_header(source, destination, ICMPV6, len(body), hop_limit=icmp.ttl_of(netns, 6)) + body)
    skb.refresh_l4_checksum()
    return bytes(skb.data)
