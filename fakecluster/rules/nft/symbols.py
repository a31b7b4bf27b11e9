"""The words that nft uses for numbers: protocol names, flags, ICMP types, DSCP classes and so on.

Source: nft(8), the kernel's uapi headers, /etc/protocols and /etc/services of a Debian system.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType


def _table(text: str) -> Mapping[str, int]:
    return MappingProxyType({name: int(number, 0) for name, number in (word.split("=") for word in text.split())})


PROTOCOLS = _table(
    "ip=0 icmp=1 igmp=2 ggp=3 ipencap=4 st=5 tcp=6 egp=8 igp=9 pup=12 udp=17 hmp=20 xns-idp=22 rdp=27 iso-tp4=29 "
    "dccp=33 xtp=36 ddp=37 idpr-cmtp=38 ipv6=41 ipv6-route=43 ipv6-frag=44 idrp=45 rsvp=46 gre=47 esp=50 ah=51 skip=57 "
    "ipv6-icmp=58 ipv6-nonxt=59 ipv6-opts=60 rspf=73 vmtp=81 eigrp=88 ospf=89 ax.25=93 ipip=94 etherip=97 encap=98 "
    "pim=103 ipcomp=108 vrrp=112 l2tp=115 isis=124 sctp=132 fc=133 mobility-header=135 udplite=136 mpls-in-ip=137 "
    "manet=138 hip=139 shim6=140 wesp=141 rohc=142 ethernet=143"
)
PROTOCOL_ALIASES = _table("icmpv6=58 comp=108 TCP=6 UDP=17 ICMP=1 SCTP=132 IPv6-ICMP=58 ESP=50 AH=51 GRE=47")
SERVICES = _table(
    "tcpmux=1 echo=7 discard=9 systat=11 daytime=13 netstat=15 chargen=19 ftp-data=20 ftp=21 ssh=22 telnet=23 smtp=25 "
    "time=37 whois=43 tacacs=49 domain=53 bootps=67 bootpc=68 tftp=69 gopher=70 finger=79 http=80 kerberos=88 pop3=110 "
    "sunrpc=111 auth=113 nntp=119 ntp=123 netbios-ns=137 netbios-dgm=138 netbios-ssn=139 imap2=143 snmp=161 "
    "snmp-trap=162 bgp=179 irc=194 imap3=220 ldap=389 https=443 microsoft-ds=445 kpasswd=464 submissions=465 "
    "isakmp=500 exec=512 login=513 shell=514 printer=515 route=520 dhcpv6-client=546 dhcpv6-server=547 rtsp=554 "
    "nntps=563 submission=587 ldaps=636 rsync=873 ftps=990 imaps=993 pop3s=995 socks=1080 openvpn=1194 "
    "ms-sql-s=1433 datametrics=1645 sieve=4190 radius=1812 nfs=2049 gsiftp=2811 mysql=3306 svn=3690 iax=4569 "
    "ipsec-nat-t=4500 sip=5060 sip-tls=5061 xmpp-client=5222 xmpp-server=5269 mdns=5353 postgresql=5432 amqp=5672 "
    "x11=6000 redis=6379 bacula-dir=9101 http-alt=8080 zabbix-agent=10050 zabbix-trapper=10051 git=9418"
)
NFPROTO = _table("unspec=0 inet=1 ipv4=2 arp=3 netdev=5 bridge=7 decnet=12 ipv6=10")
TCP_FLAGS = _table("fin=0x1 syn=0x2 rst=0x4 psh=0x8 ack=0x10 urg=0x20 ecn=0x40 cwr=0x80")
CT_STATE = _table("invalid=0x1 established=0x2 related=0x4 new=0x8 untracked=0x40")
CT_STATUS = _table("expected=0x1 seen-reply=0x2 assured=0x4 confirmed=0x8 snat=0x10 dnat=0x20 dying=0x200")
CT_DIRECTION = _table("original=0 reply=1")
PKTTYPE = _table("host=0 unicast=0 broadcast=1 multicast=2 other=3")
FIB_TYPE = _table("unspec=0 unicast=1 local=2 broadcast=3 anycast=4 multicast=5 blackhole=6 unreachable=7 prohibit=8")
DSCP = _table(
    "cs0=0x00 cs1=0x08 cs2=0x10 cs3=0x18 cs4=0x20 cs5=0x28 cs6=0x30 cs7=0x38 df=0 be=0 lephb=0x01 af11=0x0a af12=0x0c "
    "af13=0x0e af21=0x12 af22=0x14 af23=0x16 af31=0x1a af32=0x1c af33=0x1e af41=0x22 af42=0x24 af43=0x26 "
    "va=0x2c ef=0x2e"
)
ECN = _table("not-ect=0 ect1=1 ect0=2 ce=3")
ICMP_TYPE = _table(
    "echo-reply=0 destination-unreachable=3 source-quench=4 redirect=5 echo-request=8 router-advertisement=9 "
    "router-solicitation=10 time-exceeded=11 parameter-problem=12 timestamp-request=13 timestamp-reply=14 "
    "info-request=15 info-reply=16 address-mask-request=17 address-mask-reply=18"
)
ICMPV6_TYPE = _table(
    "destination-unreachable=1 packet-too-big=2 time-exceeded=3 parameter-problem=4 echo-request=128 echo-reply=129 "
    "mld-listener-query=130 mld-listener-report=131 mld-listener-done=132 mld-listener-reduction=132 "
    "nd-router-solicit=133 nd-router-advert=134 nd-neighbor-solicit=135 nd-neighbor-advert=136 nd-redirect=137 "
    "router-renumbering=138 ind-neighbor-solicit=141 ind-neighbor-advert=142 mld2-listener-report=143"
)
ICMP_CODE = _table(
    "net-unreachable=0 host-unreachable=1 prot-unreachable=2 port-unreachable=3 frag-needed=4 net-prohibited=9 "
    "host-prohibited=10 admin-prohibited=13"
)
ICMPV6_CODE = _table("no-route=0 admin-prohibited=1 addr-unreachable=3 port-unreachable=4 policy-fail=5 reject-route=6")
ICMPX_CODE = _table("port-unreachable=1 admin-prohibited=3 no-route=0 host-unreachable=2")
LOG_LEVELS = _table("emerg=0 alert=1 crit=2 err=3 warn=4 notice=5 info=6 debug=7 audit=8")
BOOLEAN = _table("missing=0 exists=1")
INTERFACE_TYPES = _table("ether=1 ppp=512 ipip=768 ipip6=769 loopback=772 sit=776 ipgre=778")
ETHER_TYPE = _table("ip=0x0800 arp=0x0806 ip6=0x86dd vlan=0x8100 8021q=0x8100 8021ad=0x88a8")
