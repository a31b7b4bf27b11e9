"""nslookup and dig: names asked for with DNS packets."""

from __future__ import annotations

from collections.abc import Iterator

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.reversename
import dns.rrset

from fakecluster.cluster.commands.options import BadOption, is_address
from fakecluster.cluster.commands.place import Finished, Place, failed
from fakecluster.discovery.resolver import candidates
from fakecluster.handles.talk import ConnectFailed

DNS_PORT = 53
#: What dig offers to take in one datagram.
PAYLOAD = 1232
SECTIONS = ("QUESTION", "ANSWER", "AUTHORITY", "ADDITIONAL")


def ask(place: Place, message: dns.message.Message, server: str, port: int, *, tcp: bool) -> dns.message.Message | None:
    """Send one message; None when nobody answers."""
    end = f"[{server}]" if ":" in server else server
    try:
        connection = place.host.connect(f"{'tcp' if tcp else 'udp'}://{end}:{port}", timeout_s=place.patience_s)
        wire = message.to_wire()
        sent = len(wire).to_bytes(2) + wire if tcp else wire
        raw = connection.request(sent, timeout_s=place.patience_s).raw
        connection.close()
        return dns.message.from_wire(raw[2:] if tcp else raw)
    except (ConnectFailed, dns.exception.DNSException):
        return None


def query(place: Place, name: str, rtype: str, *, recurse: bool = True) -> dns.message.Message:
    """A question with an id drawn by chance. Raises BadOption for a name or type that is none."""
    try:
        message = dns.message.make_query(name, rtype)
    except (dns.exception.DNSException, ValueError) as wrong:
        raise BadOption(f"'{name}' {rtype} is not a legal name or type: {wrong}") from None
    message.id = place.host.world.choices.draw(65536, "DNS message id")
    if not recurse:
        message.flags &= ~dns.flags.RD
    return message


# --- dig


def dig(place: Place, words: list[str]) -> Finished:
    """dig(1): `dig [@server] [-p port] [-t type] [-x address] name [type] [+short|+tcp|+search|+norecurse...]`."""
    try:
        name, rtype, server, port, flags = _dig_words(words)
        conf = place.pod.resolv_conf if place.host is place.pod else place.host.resolv_conf
        server = server or next(iter(conf.nameservers), "")
        if server and not is_address(server):
            found = place.host.lookup(server, timeout_s=place.patience_s).addresses
            if not found:
                return failed(f"dig: couldn't get address for '{server}': not found", 9)
            server = found[0]
        names = list(candidates(name, conf)) if "search" in flags else [name]
        reply: dns.message.Message | None = None
        for candidate in names:
            message = query(place, candidate, rtype, recurse="norecurse" not in flags)
            message.use_edns(0, payload=PAYLOAD)
            reply = ask(place, message, server, port, tcp="tcp" in flags or "vc" in flags)
            if reply is not None and reply.flags & dns.flags.TC and "tcp" not in flags and "ignore" not in flags:
                reply = ask(place, message, server, port, tcp=True)
            if reply is not None and reply.rcode() == dns.rcode.NOERROR and reply.answer:
                break
    except BadOption as wrong:
        return failed(f"dig: {wrong}", 1)
    head = f"\n; <<>> DiG 9.18 <<>> {' '.join(words)}\n"
    if reply is None:
        lost = f";; communications error to {server}#{port}: timed out\n;; no servers could be reached\n"
        return Finished((("" if "short" in flags else head) + lost).encode(), code=9)
    return Finished("".join(_short(reply) if "short" in flags else _whole(reply, head, server, port, flags)).encode())


def _dig_words(words: list[str]) -> tuple[str, str, str, int, set[str]]:
    """(name, type, server, port, flags)."""
    name, rtype, server, port = "", "", "", DNS_PORT
    flags: set[str] = set()
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if word.startswith("@"):
            server = word[1:]
        elif word.startswith("+"):
            flags.add(word[1:].partition("=")[0])
        elif word in ("-t", "-x", "-p", "-q") and queue:
            value = queue.pop(0)
            if word == "-x":
                if not is_address(value):
                    raise BadOption(f"'{value}' is not a legal address")
                name, rtype = str(dns.reversename.from_address(value)), "PTR"
            elif word == "-t":
                rtype = value
            elif word == "-q":
                name = value
            elif value.isdecimal():
                port = int(value)
            else:
                raise BadOption(f"'{value}' is not a port")
        elif word in ("-4", "-6"):
            continue
        elif word.startswith("-"):
            raise BadOption(f"invalid option: {word}")
        elif not rtype and word.upper() in dns.rdatatype.RdataType.__members__:
            rtype = word
        elif word.upper() not in ("IN",):
            name = word
    return name or ".", (rtype or ("A" if name else "NS")).upper(), server, port, flags


def _short(reply: dns.message.Message) -> Iterator[str]:
    for rrset in reply.answer:
        for rdata in rrset:
            yield f"{rdata.to_text()}\n"


def _whole(reply: dns.message.Message, head: str, server: str, port: int, flags: set[str]) -> Iterator[str]:
    all_shown = "noall" not in flags
    if all_shown:
        yield head
        yield ";; global options: +cmd\n;; Got answer:\n"
        opcode, rcode = dns.opcode.to_text(reply.opcode()), dns.rcode.to_text(reply.rcode())
        yield f";; ->>HEADER<<- opcode: {opcode}, status: {rcode}, id: {reply.id}\n"
        extra = int(reply.edns >= 0)
        counts = [len(reply.question), *(sum(map(len, section)) for section in reply.sections[1:])]
        counts[3] += extra
        said = " ".join(dns.flags.to_text(reply.flags).lower().split())
        words = zip(("QUERY", "ANSWER", "AUTHORITY", "ADDITIONAL"), counts, strict=True)
        yield f";; flags: {said}; {', '.join(f'{name}: {count}' for name, count in words)}\n\n"
        if extra:
            yield f";; OPT PSEUDOSECTION:\n; EDNS: version: {reply.edns}, flags:; udp: {reply.payload}\n"
        yield ";; QUESTION SECTION:\n"
        for rrset in reply.question:
            yield f";{rrset.name}\t\tIN\t{dns.rdatatype.to_text(rrset.rdtype)}\n"
    for title, section in zip(SECTIONS[1:], reply.sections[1:], strict=True):
        if section and (all_shown or title.lower() in flags):
            yield f"\n;; {title} SECTION:\n" if all_shown else ""
            for rrset in section:
                kind = dns.rdatatype.to_text(rrset.rdtype)
                for rdata in rrset:
                    yield f"{rrset.name}\t{rrset.ttl}\tIN\t{kind}\t{rdata.to_text()}\n"
    if all_shown:
        way = "TCP" if flags & {"tcp", "vc"} else "UDP"
        yield f"\n;; Query time: 0 msec\n;; SERVER: {server}#{port}({server}) ({way})\n"
        yield f";; MSG SIZE  rcvd: {len(reply.to_wire(want_shuffle=False))}\n\n"


# --- nslookup


def nslookup(place: Place, words: list[str]) -> Finished:
    """nslookup(1): `nslookup [-type=TYPE] name [server]`."""
    types = [word.partition("=")[2] for word in words if word.startswith(("-type=", "-q=", "-querytype="))]
    names = [word for word in words if not word.startswith("-")]
    if not names:
        return failed("nslookup: no name")
    conf = place.pod.resolv_conf if place.host is place.pod else place.host.resolv_conf
    server = names[1] if len(names) > 1 else next(iter(conf.nameservers), "")
    if not is_address(server):
        found = place.host.lookup(server, timeout_s=place.patience_s).addresses
        if not found:
            return failed(f"nslookup: couldn't get address for '{server}': not found")
        server = found[0]
    head = f"Server:\t\t{server}\nAddress:\t{server}{'#' if ':' in server else ':'}{DNS_PORT}\n\n"
    name = str(dns.reversename.from_address(names[0])) if is_address(names[0]) else names[0]
    wanted = types or (["PTR"] if name != names[0] else ["A", "AAAA"])
    try:
        out, status = _nslookup(place, list(candidates(name, conf)), wanted, server)
    except BadOption as wrong:
        return failed(f"nslookup: {wrong}")
    if out:
        return Finished((head + out).encode())
    if status == "TIMEOUT":
        return failed(";; connection timed out; no servers could be reached")
    return Finished((head + f"** server can't find {names[0]}: {status}\n").encode(), code=1)


def _nslookup(place: Place, names: list[str], types: list[str], server: str) -> tuple[str, str]:
    """(what the first name that has records has, "") or ("", why none has)."""
    status = "NXDOMAIN"
    for name in names:
        lines = ""
        for rtype in types:
            reply = ask(place, query(place, name, rtype.upper()), server, DNS_PORT, tcp=False)
            if reply is None:
                return "", "TIMEOUT"
            status = dns.rcode.to_text(reply.rcode())
            for rrset in reply.answer:
                lines += "".join(_nslookup_line(rrset.name.to_text(omit_final_dot=True), rrset))
        if lines:
            return lines, ""
    return "", status if status != "NOERROR" else "No answer"


def _nslookup_line(name: str, rrset: dns.rrset.RRset) -> Iterator[str]:
    kind = dns.rdatatype.to_text(rrset.rdtype)
    for rdata in rrset:
        text = rdata.to_text()
        if kind in ("A", "AAAA"):
            yield f"Name:\t{name}\nAddress: {text}\n"
        else:
            yield f"{name}\t{NSLOOKUP.get(kind, kind)} = {text}\n"


NSLOOKUP = {"CNAME": "canonical name", "PTR": "name", "SRV": "service", "TXT": "text", "NS": "nameserver"}
