"""The keys of meta, ct, socket, rt and fib: their types and widths. Source: nft(8) "PRIMARY EXPRESSIONS"."""

from __future__ import annotations

from collections.abc import Mapping

from fakecluster.rules.nft.datatypes import (
    BOOLEAN,
    CLASSID,
    CT_DIR,
    CT_STATE,
    CT_STATUS,
    DEVGROUP,
    ETHER_TYPE,
    FIB_ADDRTYPE,
    GID,
    IFACE_TYPE,
    IFINDEX,
    IFNAME,
    INET_PROTO,
    INET_SERVICE,
    IPV4_ADDR,
    IPV6_ADDR,
    MARK,
    NFPROTO,
    PKTTYPE,
    REALM,
    STRING,
    TIME,
    UID,
    Datatype,
    host_integer,
)  # fmt: skip
from fakecluster.rules.nft.expressions import Ct, Fib, Meta, Rt, Socket

META: Mapping[str, Meta] = {
    name: Meta(name, datatype, datatype.bits)
    for name, datatype in {
        "length": host_integer(32), "protocol": ETHER_TYPE, "priority": CLASSID, "mark": MARK, "iif": IFINDEX,
        "iifname": IFNAME, "iiftype": IFACE_TYPE, "oif": IFINDEX, "oifname": IFNAME, "skuid": UID, "skgid": GID,
        "nftrace": host_integer(1), "rtclassid": REALM, "pkttype": PKTTYPE, "cpu": host_integer(32),
        "iifgroup": DEVGROUP,
        "oifgroup": DEVGROUP, "cgroup": host_integer(32), "nfproto": NFPROTO, "l4proto": INET_PROTO,
        "random": host_integer(32),
    }.items()
}  # fmt: skip
#: Written without "meta" when listed.
UNQUALIFIED = frozenset(("iif", "oif", "iifname", "oifname", "iifgroup", "oifgroup"))
#: Meta keys that nft knows and this model does not.
META_REFUSED = frozenset(
    (
        "time", "hour", "day", "ipsec", "secpath", "sdif", "sdifname", "oiftype", "iifkind", "oifkind", "bri_iifname",
        "bri_oifname", "ibrname", "obrname", "ibriport", "obriport", "ibrpvid", "ibrvproto", "secmark", "broute",
    )
)  # fmt: skip
META_ALIASES = {"secpath": "ipsec", "ibriport": "ibrname"}
META_SETTABLE = frozenset(("mark", "priority", "pkttype", "nftrace"))

CT: Mapping[str, Ct] = {
    name: Ct(name, "", datatype, datatype.bits)
    for name, datatype in {
        "state": CT_STATE, "direction": CT_DIR, "status": CT_STATUS, "mark": MARK, "expiration": TIME,
        "helper": STRING, "l3proto": NFPROTO, "protocol": INET_PROTO, "proto-src": INET_SERVICE,
        "proto-dst": INET_SERVICE, "bytes": host_integer(64), "packets": host_integer(64), "avgpkt": host_integer(64),
        "zone": host_integer(16), "id": host_integer(32), "label": host_integer(128),
    }.items()
}  # fmt: skip
CT_REFUSED = frozenset(("secmark", "event", "timeout", "expectation", "avgpkt"))
CT_NEED_DIRECTION = frozenset(("saddr", "daddr", "proto-src", "proto-dst"))
CT_MAY_HAVE_DIRECTION = frozenset(("bytes", "packets", "avgpkt", "l3proto", "protocol", "zone")) | CT_NEED_DIRECTION
CT_SETTABLE = frozenset(("mark", "zone"))


def ct(key: str, direction: str, family: str) -> Ct | None:
    """``ct [DIRECTION] [ip|ip6] KEY``; None when there is no such key."""
    if key in ("saddr", "daddr"):
        datatype = IPV4_ADDR if family == "ip" else IPV6_ADDR
        return Ct(f"{family} {key}", direction, datatype, datatype.bits)
    known = CT.get(key)
    return known and Ct(key, direction, known.datatype, known.bits)


SOCKET: Mapping[str, Socket] = {
    "transparent": Socket("transparent", BOOLEAN_NUMBER := host_integer(1), 8),
    "mark": Socket("mark", MARK, 32),
    "wildcard": Socket("wildcard", BOOLEAN_NUMBER, 8),
}


def rt(key: str, family: str) -> Rt | None:
    """``rt [ip|ip6] KEY``; None when there is no such key."""
    if key == "nexthop":
        datatype = IPV4_ADDR if family == "ip" else IPV6_ADDR
        return Rt(key, family, datatype, datatype.bits)
    types: dict[str, Datatype] = {"classid": REALM, "mtu": host_integer(16)}
    return Rt(key, "", types[key], types[key].bits) if key in types else None


FIB_FLAGS = ("saddr", "daddr", "mark", "iif", "oif")


def fib(flags: tuple[str, ...], result: str) -> Fib:
    """``fib FLAGS RESULT``; flags are listed in nft's own order."""
    datatypes = {"oif": IFINDEX, "oifname": IFNAME, "type": FIB_ADDRTYPE, "exists": BOOLEAN}
    return Fib(tuple(flag for flag in FIB_FLAGS if flag in flags), result, datatypes[result], datatypes[result].bits)
