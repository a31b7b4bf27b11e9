"""/proc/sys of one namespace: the switches that the model reads, with the kernel's defaults.

Per-interface IPv4 and IPv6 values fall back to `default`, and combine with `all` as ip-sysctl.rst says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

DEFAULTS: Mapping[str, str] = {
    "net.ipv4.ip_forward": "0",
    "net.ipv4.conf.all.forwarding": "0",
    "net.ipv4.conf.default.forwarding": "0",
    "net.ipv4.conf.all.src_valid_mark": "0",
    "net.ipv4.conf.default.src_valid_mark": "0",
    "net.ipv6.conf.all.forwarding": "0",
    "net.ipv4.ip_default_ttl": "64",
    "net.ipv6.conf.all.hop_limit": "64",
    "net.ipv4.icmp_echo_ignore_all": "0",
    "net.ipv4.icmp_echo_ignore_broadcasts": "1",
    "net.ipv4.ip_local_port_range": "32768\t60999",
    "net.ipv4.tcp_syn_retries": "6",
    "net.ipv4.tcp_synack_retries": "5",
    "net.ipv4.tcp_retries2": "15",
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.default.rp_filter": "0",
    "net.ipv4.conf.all.route_localnet": "0",
    "net.ipv4.conf.default.route_localnet": "0",
    "net.ipv4.conf.all.accept_local": "0",
    "net.ipv4.conf.default.accept_local": "0",
    "net.ipv4.conf.all.arp_ignore": "0",
    "net.ipv4.conf.default.arp_ignore": "0",
    "net.ipv4.conf.all.arp_announce": "0",
    "net.ipv4.conf.default.arp_announce": "0",
    "net.ipv6.bindv6only": "0",
    "net.ipv4.vs.am_droprate": "10",
    "net.ipv4.vs.backup_only": "0",
    "net.ipv4.vs.cache_bypass": "0",
    "net.ipv4.vs.conn_reuse_mode": "1",
    "net.ipv4.vs.conntrack": "0",
    "net.ipv4.vs.drop_entry": "0",
    "net.ipv4.vs.drop_packet": "0",
    "net.ipv4.vs.expire_nodest_conn": "0",
    "net.ipv4.vs.expire_quiescent_template": "0",
    "net.ipv4.vs.ignore_tunneled": "0",
    "net.ipv4.vs.lblc_expiration": "86400",
    "net.ipv4.vs.lblcr_expiration": "86400",
    "net.ipv4.vs.nat_icmp_send": "0",
    "net.ipv4.vs.pmtu_disc": "1",
    "net.ipv4.vs.schedule_icmp": "0",
    "net.ipv4.vs.secure_tcp": "0",
    "net.ipv4.vs.sloppy_sctp": "0",
    "net.ipv4.vs.sloppy_tcp": "0",
    "net.ipv4.vs.snat_reroute": "1",
    "net.ipv4.vs.sync_threshold": "3\t50",
    "net.ipv4.vs.run_estimation": "1",
    "net.bridge.bridge-nf-call-iptables": "1",
    "net.bridge.bridge-nf-call-ip6tables": "1",
    "net.netfilter.nf_conntrack_max": "262144",
    "net.netfilter.nf_conntrack_acct": "0",
    "net.netfilter.nf_conntrack_checksum": "1",
    "net.netfilter.nf_conntrack_tcp_loose": "1",
    "net.netfilter.nf_conntrack_tcp_be_liberal": "0",
    "net.netfilter.nf_conntrack_tcp_ignore_invalid_rst": "0",
    "net.netfilter.nf_conntrack_tcp_max_retrans": "3",
    "net.netfilter.nf_conntrack_tcp_timeout_syn_sent": "120",
    "net.netfilter.nf_conntrack_tcp_timeout_syn_recv": "60",
    "net.netfilter.nf_conntrack_tcp_timeout_established": "432000",
    "net.netfilter.nf_conntrack_tcp_timeout_fin_wait": "120",
    "net.netfilter.nf_conntrack_tcp_timeout_close_wait": "60",
    "net.netfilter.nf_conntrack_tcp_timeout_last_ack": "30",
    "net.netfilter.nf_conntrack_tcp_timeout_time_wait": "120",
    "net.netfilter.nf_conntrack_tcp_timeout_close": "10",
    "net.netfilter.nf_conntrack_tcp_timeout_max_retrans": "300",
    "net.netfilter.nf_conntrack_tcp_timeout_unacknowledged": "300",
    "net.netfilter.nf_conntrack_udp_timeout": "30",
    "net.netfilter.nf_conntrack_udp_timeout_stream": "120",
    "net.netfilter.nf_conntrack_icmp_timeout": "30",
    "net.netfilter.nf_conntrack_icmpv6_timeout": "30",
    "net.netfilter.nf_conntrack_generic_timeout": "600",
    "net.netfilter.nf_conntrack_gre_timeout": "30",
    "net.netfilter.nf_conntrack_gre_timeout_stream": "180",
    "net.netfilter.nf_conntrack_sctp_timeout_closed": "10",
    "net.netfilter.nf_conntrack_sctp_timeout_cookie_wait": "3",
    "net.netfilter.nf_conntrack_sctp_timeout_cookie_echoed": "3",
    "net.netfilter.nf_conntrack_sctp_timeout_established": "210",
    "net.netfilter.nf_conntrack_sctp_timeout_shutdown_sent": "3",
    "net.netfilter.nf_conntrack_sctp_timeout_shutdown_recd": "3",
    "net.netfilter.nf_conntrack_sctp_timeout_shutdown_ack_sent": "3",
    "net.netfilter.nf_conntrack_sctp_timeout_heartbeat_sent": "30",
}


#: Two names of one switch, which turns on and off that of every device.
FORWARDING = ("net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding")


class Sysctls:
    """A mapping of dotted names to text; `number` reads one as an integer.

    Reading is on every packet's path, so that integers are kept parsed. `on_change` is told of every change.
    """

    __slots__ = ("_interfaces", "_numbers", "_values", "generation", "on_change")

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = dict(values or {})
        self._numbers: dict[str, int] = {}
        self._interfaces: dict[tuple[str, str], int] = {}
        self.generation = 0
        self.on_change: Callable[[], None] | None = None

    def __getitem__(self, name: str) -> str:
        value = self._values.get(name)
        if value is None:
            value = DEFAULTS.get(name)
        if value is None and (fallback := _default_name(name)):
            value = self._values.get(fallback, DEFAULTS.get(fallback))
        if value is None:
            raise KeyError(name)
        return value

    def __setitem__(self, name: str, value: str | int) -> None:
        if name in FORWARDING:  # inet_forward_change(): for every device, now and later
            for known in [known for known in self._values if _is_forwarding(known)]:
                del self._values[known]
            self._values.update(dict.fromkeys((*FORWARDING, "net.ipv4.conf.default.forwarding"), str(value)))
        self._values[name] = str(value)
        self._numbers.clear()
        self._interfaces.clear()
        self.generation += 1
        if self.on_change is not None:
            self.on_change()

    def __contains__(self, name: str) -> bool:
        try:
            self[name]
        except KeyError:
            return False
        return True

    def number(self, name: str) -> int:
        """The first number of a value; 0 for names that are not known."""
        found = self._numbers.get(name)
        if found is None:
            try:
                found = int(self[name].split()[0])
            except (KeyError, ValueError, IndexError):
                found = 0
            self._numbers[name] = found
        return found

    def interface(self, name: str, iface: str) -> int:
        """net.ipv4.conf.{iface}.{name}, by the larger of it and `all` (rp_filter, route_localnet, accept_local)."""
        found = self._interfaces.get((name, iface))
        if found is None:
            found = max(self.number(f"net.ipv4.conf.all.{name}"), self.number(f"net.ipv4.conf.{iface}.{name}"))
            self._interfaces[name, iface] = found
        return found

    def fork(self) -> Sysctls:
        return Sysctls(self._values)


def _is_forwarding(name: str) -> bool:
    return name.startswith("net.ipv4.conf.") and name.endswith(".forwarding")


def _default_name(name: str) -> str:
    """net.ipv4.conf.eth0.rp_filter -> net.ipv4.conf.default.rp_filter"""
    parts = name.split(".")
    if len(parts) >= 5 and parts[2] in ("conf", "neigh") and parts[3] not in ("all", "default"):
        return ".".join((*parts[:3], "default", parts[-1]))
    return ""
