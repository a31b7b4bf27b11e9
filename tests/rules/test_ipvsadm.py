"""ipvsadm's language: what it accepts, what it says, how it prints. Expected words are those of ipvsadm 1.31."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakecluster.errors import Unsupported
from fakecluster.rules import ipvsadm_listing as listing
from fakecluster.rules.ipvsadm import Command, Server, ServiceId, ServiceOptions, parse, parse_restore
from fakecluster.rules.ipvsadm_endpoint import endpoint
from fakecluster.rules.ipvsadm_listing import ConnectionEntry, ServerEntry, ServiceEntry
from fakecluster.rules.ipvsadm_options import IpvsadmError
from fakecluster.rules.ipvsadm_text import command_text

WEB = ServiceId(4, 6, 0x0A000001, 80)
POD = 0x0AF40007
WORDS = [
    "-A", "-E", "-D", "-C", "-a", "-e", "-d", "-Z", "-L", "-S", "-R", "--set", "-t", "-u", "-f", "-s", "-p", "-M",
    "-r", "-m", "-i", "-g", "-w", "-x", "-y", "-n", "-c", "-6", "-o", "-b", "--pe", "--stats", "--rate", "--nosort",
    "--exact", "--timeout", "--tun-type", "--tun-port", "--tun-csum", "-Lnc", "-p30", "--", "-", "--zzz", "-q", "rr",
    "sh", "gue", "10.0.0.1:80", "[fd00::1]:80", "10.0.0.1", "5", "0", "-1", "x", "sh-port", "flag-2", "255.255.255.0",
    ":80", "4294967295",
]  # fmt: skip


def read(text: str) -> Command:
    return parse(text.split())


def refusal(text: str) -> tuple[str, int]:
    with pytest.raises(IpvsadmError) as caught:
        read(text)
    return caught.value.reason, caught.value.status


# --- reading


def test_a_service_without_options_is_scheduled_by_weighted_least_connection():
    assert read("-A -t 10.0.0.1:80") == Command(
        "add-service", WEB, ServiceOptions("wlc", 0, 0xFFFFFFFF), given=frozenset({"service-address"})
    )


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("-s rr -p", ServiceOptions("rr", 360)),
        ("-s rr -p 30 -M 255.255.0.0", ServiceOptions("rr", 30, 0xFFFF0000)),
        ("--scheduler=rr --persistent=40", ServiceOptions("rr", 40)),
        ("-srr -p=7", ServiceOptions("rr", 7)),
        ("-b sh-port -s sh", ServiceOptions("sh", flags=2)),
        ("-s mh -b mh-port,mh-fallback", ServiceOptions("mh", flags=3)),
        ("-s rr -b flag-1,flag-3", ServiceOptions("rr", flags=5)),
        ("-s averyveryverylongscheduler", ServiceOptions("averyveryverylo")),
    ],
)
def test_service_options_are_read(text, options):
    assert read(f"-A -t 10.0.0.1:80 {text}").options == options


def test_one_packet_scheduling_is_for_datagrams():
    assert read("-A -u 10.0.0.1:53 -o").options == ServiceOptions("wlc", one_packet=True)
    assert refusal("-A -t 10.0.0.1:53 -o") == ("One-Packet Scheduling is only for UDP virtual services", 2)


def test_a_mark_names_a_service_of_either_family():
    assert read("-D -f 5").service == ServiceId(4, mark=5)
    assert read("-D -f 5 -6").service == ServiceId(6, mark=5)
    assert refusal("-D -6 -f 5") == ("-6 used before -f\n", 2)


def test_a_server_that_is_not_masqueraded_listens_on_the_port_of_the_service():
    assert read("-a -t 10.0.0.1:80 -r 10.244.0.7:8080").server == Server(4, POD, 80, "route")
    assert read("-a -t 10.0.0.1:80 -r 10.244.0.7:8080 -i").server == Server(4, POD, 80, "tunnel")
    assert read("-a -t 10.0.0.1:80 -r 10.244.0.7:8080 -m").server == Server(4, POD, 8080, "masquerade")


def test_a_server_without_a_port_takes_that_of_the_service():
    assert read("-a -t 10.0.0.1:80 -r 10.244.0.7 -m -w 0 -x 10 -y 5").server == Server(
        4, POD, 80, "masquerade", weight=0, upper=10, lower=5
    )


def test_short_options_may_stand_together():
    command = read("-Lnc")
    assert (command.verb, command.given) == ("list", {"numeric", "connection"})


@pytest.mark.parametrize(
    ("text", "words", "status"),
    [
        ("-A -t 10.0.0.1", "Zero port specified for non-persistent service", 2),
        ("-A -t 10.0.0.1:http:80", "illegal virtual server address[:port] specified", 2),
        ("-A -t 10.0.0.1:70000", "illegal virtual server address[:port] specified", 2),
        ("-A -t 10.0.0.1:80 -p 0", "invalid timeout value `0' specified", 2),
        ("-A -t 10.0.0.1:80 -p 2678401", "invalid timeout value `2678401' specified", 2),
        ("-A -t 10.0.0.1:80 -M foo", "illegal virtual server persistent mask specified", 2),
        ("-A -t 10.0.0.1:80 -b sh-port", "incompatible scheduler flag `sh-port'", 2),
        ("-A -t 10.0.0.1:80 -b nonsense", "invalid scheduler flag `nonsense'", 2),
        ("-A -f 0", "invalid fwmark value `0' specified", 2),
        ("-A -t 10.0.0.1:80 -w 3", "Illegal 'weight' option with the 'add-service' command", 2),
        ("-A -t 10.0.0.1:80 -s rr -s rr", "multiple 'scheduler' options specified", 2),
        ("-A -t 10.0.0.1:80 -E", "invalid option `-E'", 2),
        ("-A -t 10.0.0.1:80 junk", "unexpected argument junk", 2),
        ("-A", "You need to supply the 'service-address' option for the 'add-service' command", 2),
        ("-A -t", "-t: missing argument", 255),
        ("-A --nosuch=5", "--nosuch=5: unknown option", 255),
        ("-A -t 1.1.1.1:1 --ops=1", "--ops=1: option does not take an argument", 255),
        ("-a -t 10.0.0.1:80", "You need to supply the 'real-server' option for the 'add-server' command", 2),
        ("-a -t 10.0.0.1:80 -r foo:bar", "illegal real server address[:port] specified", 2),
        ("-a -t 10.0.0.1:80 -r 10.1.0.1 -g -m", "multiple 'forwarding-method' options specified", 2),
        ("-a -t 10.0.0.1:80 -r 10.1.0.1 -w 2147483648", "illegal weight specified", 2),
        ("-a -t 10.0.0.1:80 -r 10.1.0.1 -x z", "illegal u_threshold specified", 2),
        ("-a -t 10.0.0.1:80 -r 10.1.0.1 -y z", "illegal l_threshold specified", 2),
        (
            "-a -t 10.0.0.1:80 -r [fd00::1]:80 -m",
            "Different address family is allowed only for tunneling servers",
            2,
        ),
        ("-a -t 10.0.0.1:80 -r 10.1.0.1 -m --tun-type gre", "Tunnel options conflict with forward method", 2),
        (
            "-a -t 10.0.0.1:80 -r 10.1.0.1 -i --tun-type gue",
            "You need to supply the 'tun-port' option for the 'gue' tunnel type",
            2,
        ),
        ("--set 1 2", "--set option requires 3 timeout values", 2),
        ("--set 1 2 x", "invalid timeout value `x' specified", 2),
        ("--set 1 2 3 4", "unexpected argument 4", 2),
        ("-Lc --stats", "options conflicts in the list command", 2),
        (
            "-L -t 10.0.0.1:443 -c",
            "The option 'service-address' conflicts with the 'connection' option in the 'list' command",
            2,
        ),
        ("-Q", "Try `ipvsadm -h' or 'ipvsadm --help' for more information.", 255),
    ],
)
def test_bad_command_lines_are_refused_in_the_tools_own_words(text, words, status):
    assert refusal(text) == (words, status)


def test_the_synchronization_daemon_is_said_to_be_missing():
    with pytest.raises(Unsupported, match="connection synchronization"):
        read("--start-daemon master")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10.0.0.1:80", (4, 0x0A000001, 80)),
        ("10.1:+80", (4, 0x0A000001, 80)),
        ("010.0.0.0x1", (4, 0x08000001, 0)),
        ("10.0.0.1:domain", (4, 0x0A000001, 53)),
        ("[fd00::1]:80", (6, 0xFD00 << 112 | 1, 80)),
        ("fd00::1", (6, 0xFD00 << 112 | 1, 0)),
        ("[fd00::1", None),
        ("10.0.0.300", None),
        ("10.0.0.1:65536", None),
        ("web.example:80", None),
    ],
)
def test_endpoints_are_read_as_by_inet_aton(text, found):
    assert endpoint(text) == found


def test_a_restore_file_is_read_line_by_line_up_to_the_first_bad_one():
    commands = parse_restore("-A -t 10.0.0.1:80\n\nipvsadm -A -t 10.0.0.1:81\n# no comments\n-C\n")
    assert next(commands).service == WEB
    assert next(commands).service == ServiceId(4, 6, 0x0A000001, 81)
    with pytest.raises(IpvsadmError) as caught:
        next(commands)
    assert (caught.value.line, caught.value.status) == (4, 255)


# --- printing

_NAMES = st.sampled_from(["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sed", "nq", "fo", "ovf", "twos"])
_PORTS = st.integers(1, 65535)


@st.composite
def services(draw):
    family = draw(st.sampled_from([4, 6]))
    if draw(st.booleans()):
        return ServiceId(family, mark=draw(st.integers(1, 2**31 - 1)))
    address = draw(st.integers(0, 2**32 - 1 if family == 4 else 2**128 - 1))
    return ServiceId(family, draw(st.sampled_from([6, 17, 132])), address, draw(_PORTS))


@st.composite
def option_sets(draw, service):
    scheduler = draw(st.one_of(_NAMES, st.sampled_from(["sh", "mh"])))
    persistence = draw(st.one_of(st.just(0), st.integers(1, 86400)))
    full = 0xFFFFFFFF if service.family == 4 else 128
    mask = draw(st.integers(1, full)) if persistence else full
    one_packet = draw(st.booleans()) if service.mark or service.protocol == 17 else False
    flags = draw(st.integers(0, 7))
    return ServiceOptions(scheduler, persistence, mask, one_packet, flags)


@st.composite
def servers(draw, service):
    method = draw(st.sampled_from(["masquerade", "route", "tunnel"]))
    address = draw(st.integers(0, 2**32 - 1 if service.family == 4 else 2**128 - 1))
    port = draw(_PORTS) if method == "masquerade" or service.mark else service.port
    limits = draw(st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1)))
    return Server(service.family, address, port, method, *limits)


@st.composite
def commands(draw):
    service = draw(services())
    verb = draw(st.sampled_from(["add-service", "edit-service", "delete-service", "add-server", "edit-server", "zero"]))
    if verb in ("add-service", "edit-service"):
        return Command(verb, service, draw(option_sets(service)))
    return Command(verb, service, server=draw(servers(service)) if verb.endswith("-server") else None)


@given(commands())
def test_what_is_printed_reads_back_as_the_same_command(command):
    again = read(command_text(command))
    assert (again.verb, again.service, again.options, again.server) == (
        command.verb,
        command.service,
        command.options,
        command.server,
    )


@given(st.lists(st.sampled_from(WORDS), max_size=8))
def test_any_words_are_understood_or_refused_in_words(words):
    try:
        command = parse(words)
    except (IpvsadmError, Unsupported) as refused:
        assert str(refused)
    else:
        assert command.verb


TABLE = (
    ServiceEntry(
        WEB,
        ServiceOptions("rr"),
        (
            ServerEntry(Server(4, POD, 8080, "masquerade"), 3, 4, 0, (9, 18, 9, 1008, 540), (1, 2, 3, 4, 5)),
            ServerEntry(
                Server(4, 0x0AF40001, 8080, "masquerade", 2, 10, 5), 0, 0, 1, (123456789, 1, 10**8, 10**13 + 1, 5)
            ),
        ),
        (36, 72, 36, 4032, 2160),
    ),
    ServiceEntry(ServiceId(4, 17, 0x0A000001, 53), ServiceOptions("sh", 300, 0xFFFFFF00, True, 3)),
    ServiceEntry(ServiceId(6, mark=7), ServiceOptions("mh", flags=2, netmask=128)),
)


def test_the_table_of_services_is_laid_out_as_by_the_tool():
    assert listing.services(TABLE, {"numeric"}) == (
        "IP Virtual Server version 1.2.1 (size=4096)\n"
        "Prot LocalAddress:Port Scheduler Flags\n"
        "  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n"
        "TCP  10.0.0.1:80 rr\n"
        "  -> 10.244.0.1:8080              Masq    2      0          0         \n"
        "  -> 10.244.0.7:8080              Masq    1      3          4         \n"
        "UDP  10.0.0.1:53 sh (sh-fallback,sh-port) persistent 300 mask 255.255.255.0 ops\n"
        "FWM  7 IPv6 mh (mh-port)\n"
    )


def test_without_sorting_servers_stand_in_the_kernels_order():
    text = listing.services(TABLE[:1], {"numeric", "nosort"}, heading=False)
    assert [line.split()[1] for line in text.splitlines()[3:]] == ["10.244.0.7:8080", "10.244.0.1:8080"]


def test_large_numbers_are_cut_to_thousands_unless_exact():
    assert listing.services(TABLE[:1], {"numeric", "stats"}).splitlines()[1:] == [
        "Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes",
        "  -> RemoteAddress:Port",
        "TCP  10.0.0.1:80                        36       72       36     4032     2160",
        "  -> 10.244.0.1:8080               123456K        1  100000K   10000G        5",
        "  -> 10.244.0.7:8080                     9       18        9     1008      540",
    ]
    exact = listing.services(TABLE[:1], {"numeric", "stats", "exact"}).splitlines()[4]
    assert exact == "  -> 10.244.0.1:8080              123456789        1 100000000 10000000000001        5"


def test_rates_thresholds_and_persistent_connections_have_tables_of_their_own():
    rate = listing.services(TABLE[:1], {"numeric", "rate"}).splitlines()
    assert rate[1] == "Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS"
    assert rate[5] == "  -> 10.244.0.7:8080                     1        2        3        4        5"
    limits = listing.services(TABLE[:1], {"numeric", "thresholds"}).splitlines()
    assert limits[1] == "Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn "
    assert limits[4] == "  -> 10.244.0.1:8080              10         5          0          0         "
    persistent = listing.services(TABLE[:1], {"numeric", "persistent-conn"}).splitlines()
    assert persistent[1] == "Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn "
    assert persistent[4] == "  -> 10.244.0.1:8080              2         1           0          0         "


def test_saved_rules_leave_thresholds_out():
    assert listing.rules(TABLE, {"numeric"}) == (
        "-A -t 10.0.0.1:80 -s rr\n"
        "-a -t 10.0.0.1:80 -r 10.244.0.1:8080 -m -w 2\n"
        "-a -t 10.0.0.1:80 -r 10.244.0.7:8080 -m -w 1\n"
        "-A -u 10.0.0.1:53 -s sh -p 300 -M 255.255.255.0 -o -b sh-fallback,sh-port\n"
        "-A -f 7 -6 -s mh -b mh-port\n"
    )


def test_ports_have_names_unless_numbers_are_asked_for():
    assert listing.rules(TABLE[:1], set()).splitlines()[1] == ("-a -t 10.0.0.1:http -r 10.244.0.1:http-alt -m -w 2")


def test_addresses_are_ordered_by_a_difference_that_wraps():
    """192.168.1.10 - 10.96.0.1 does not fit into an int and comes out negative."""
    table = [ServiceEntry(ServiceId(4, 6, address, 80), ServiceOptions("rr")) for address in (0x0A600001, 0xC0A8010A)]
    assert [line.split()[2] for line in listing.rules(table, {"numeric"}).splitlines()] == [
        "192.168.1.10:80",
        "10.96.0.1:80",
    ]


def test_connections_are_listed_with_the_time_they_have_left():
    entry = ConnectionEntry(4, 6, (0xCB007159, 21146), (0x0A600001, 443), (4, POD, 8080), "SYN_RECV", 59)
    assert listing.connections([entry], {"numeric"}) == (
        "IPVS connection entries\n"
        "pro expire state       source             virtual            destination\n"
        "TCP 00:59  SYN_RECV    203.0.113.89:21146 10.96.0.1:443      10.244.0.7:8080\n"
    )
