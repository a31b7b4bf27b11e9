"""ipvsadm in a namespace: what changes, what is listed, what is refused without a change."""

import pytest

from fakecluster.errors import CommandError, Unsupported
from fakecluster.kernel.hooks import Hook


def refused(director, command, stdin=""):
    before = director.run("ipvsadm -Sn")
    with pytest.raises(CommandError) as caught:
        director.run(command, stdin)
    assert director.run("ipvsadm -Sn") == before
    return caught.value.stderr, caught.value.status


def test_the_newest_server_stands_first(director):
    director.serve("10.2.0.1:80", "10.2.0.2:80", "10.2.0.3:80")
    assert list(director.counts()) == ["10.2.0.3:80", "10.2.0.2:80", "10.2.0.1:80"]


def test_what_is_saved_makes_the_same_table_anew(director):
    director.serve("10.2.0.1:80", "10.2.0.2:8080", options="-s wrr -p 60")
    director.serve("[fd02::5]:53", service="-u [fd96::1]:53", options="-s mh -b mh-port")
    saved = director.run("ipvsadm -Sn")
    director.run("ipvsadm -C")
    assert director.run("ipvsadm -Sn") == ""
    director.run("ipvsadm -R", saved)
    assert director.run("ipvsadm -Sn") == saved


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("-A -t 10.96.0.1:80", "Service already exists\n"),
        ("-A -t 10.96.0.1:81 -s foo", "Scheduler or persistence engine not found\n"),
        ("-A -t 10.96.0.1:81 --pe foo", "Scheduler or persistence engine not found\n"),
        ("-E -t 10.96.0.1:81", "No such service\n"),
        ("-E -t 10.96.0.1:80 -s foo", "Scheduler or persistence engine not found\n"),
        ("-D -t 10.96.0.1:81", "No such service\n"),
        ("-Z -t 10.96.0.1:81", "No such service\n"),
        ("-a -t 10.96.0.1:81 -r 10.2.0.9 -m", "Service not defined\n"),
        ("-a -t 10.96.0.1:80 -r 10.2.0.1 -m", "Destination already exists\n"),
        ("-a -t 10.96.0.1:80 -r 10.2.0.9 -m -x 1 -y 2", "Numerical result out of range\n"),
        (
            "-a -t 10.96.0.1:80 -r 224.0.0.1 -m",
            "Invalid operation.  Possibly wrong module version, address not unicast, ...\n",
        ),
        ("-e -t 10.96.0.1:80 -r 10.2.0.9 -m", "No such destination\n"),
        ("-d -t 10.96.0.1:80 -r 10.2.0.9", "No such destination\n"),
        ("-d -t 10.96.0.1:81 -r 10.2.0.1", "Service not defined\n"),
    ],
)
def test_what_the_kernel_refuses_changes_nothing(director, command, words):
    director.serve("10.2.0.1:80")
    assert refused(director, f"ipvsadm {command}") == (words, 255)


def test_listing_a_service_that_does_not_exist_fails(director):
    assert refused(director, "ipvsadm -Ln -t 10.96.0.1:80") == ("No such service\n", 1)


def test_a_bad_line_ends_a_restore_after_what_stands_before_it(director):
    with pytest.raises(CommandError) as caught:
        director.run("ipvsadm -R", "-A -t 10.96.0.1:80 -s rr\n-A -t 10.96.0.1:81 bad\n-A -t 10.96.0.1:82\n")
    assert (caught.value.stderr, caught.value.status) == ("unexpected argument bad\n", 2)
    assert director.run("ipvsadm -Sn") == "-A -t 10.96.0.1:80 -s rr\n"


def test_tunnels_other_than_ip_in_ip_are_said_to_be_missing(director):
    director.serve()
    with pytest.raises(Unsupported, match="gre"):
        director.run("ipvsadm -a -t 10.96.0.1:80 -r 10.2.0.1 -i --tun-type gre")


def test_timeouts_are_kept_where_zero_is_given(director):
    assert director.run("ipvsadm -L --timeout") == "Timeout (tcp tcpfin udp): 900 120 300\n"
    director.run("ipvsadm --set 40 0 5")
    assert director.run("ipvsadm -L --timeout") == "Timeout (tcp tcpfin udp): 40 120 5\n"


def test_the_hooks_are_there_while_a_family_has_services(director):
    hooks = director.netns.hooks.entries
    director.serve("10.2.0.1:80")
    director.serve(service="-t 10.96.0.2:80")
    placed = {
        hook.name: [(entry.priority, entry.name) for entry in hooks[4][hook] if entry.name.startswith("ipvs")]
        for hook in Hook
    }
    assert placed == {
        "PREROUTING": [],
        "INPUT": [(98, "ipvs reply"), (99, "ipvs request")],
        "FORWARD": [(99, "ipvs icmp"), (100, "ipvs reply")],
        "OUTPUT": [(-99, "ipvs reply"), (-98, "ipvs request")],
        "POSTROUTING": [],
    }
    assert not any(hooks[6].values())
    director.run("ipvsadm -D -t 10.96.0.1:80")
    assert hooks[4][Hook.INPUT]
    director.run("ipvsadm -D -t 10.96.0.2:80")
    assert not any(hooks[4].values())


def test_an_edit_that_keeps_the_scheduler_keeps_its_place(director):
    director.serve("10.2.0.1:80", "10.2.0.2:80", "10.2.0.3:80")
    assert director.syn("10.1.0.5:1001") == "10.2.0.3:80"
    director.run("ipvsadm -E -t 10.96.0.1:80 -s rr")
    assert director.syn("10.1.0.5:1002") == "10.2.0.2:80"
    director.run("ipvsadm -E -t 10.96.0.1:80 -s wrr")
    director.run("ipvsadm -E -t 10.96.0.1:80 -s rr")
    assert director.syn("10.1.0.5:1003") == "10.2.0.3:80"


def test_zero_clears_what_was_counted_but_not_what_is_connected(director):
    director.serve("10.2.0.1:80")
    director.connect()
    stats = "ipvsadm -Ln --stats -t 10.96.0.1:80"
    assert director.run(stats).splitlines()[2].split()[2:] == ["1", "2", "1", "80", "40"]
    director.run("ipvsadm -Z")
    assert director.run(stats).splitlines()[2].split()[2:] == ["0", "0", "0", "0", "0"]
    assert director.counts() == {"10.2.0.1:80": (1, 0)}


def test_rates_approach_what_the_last_two_seconds_showed(director):
    director.serve("10.2.0.1:80")
    for port in range(1000, 1080):
        director.syn(f"10.1.0.5:{port}")
    assert director.run("ipvsadm -Ln --rate").splitlines()[3].split()[2:] == ["0", "0", "0", "0", "0"]
    director.clock.advance(2)
    assert director.run("ipvsadm -Ln --rate").splitlines()[3].split()[2:] == ["10", "10", "0", "400", "0"]
    director.clock.advance(2)
    assert director.run("ipvsadm -Ln --rate").splitlines()[3].split()[2:] == ["7", "7", "0", "300", "0"]
    director.clock.advance(300)
    assert director.run("ipvsadm -Ln --rate").splitlines()[3].split()[2:] == ["0", "0", "0", "0", "0"]


def test_a_listing_shows_every_change_since_the_one_before(director):
    def listed(of=director):
        lines = of.run("ipvsadm -Ln --nosort").splitlines()[3:]
        return [" ".join(line.split()) for line in lines]

    director.serve("10.2.0.1:80")
    assert listed() == ["TCP 10.96.0.1:80 rr", "-> 10.2.0.1:80 Masq 1 0 0"]
    director.syn("10.1.0.5:1000")
    assert listed() == ["TCP 10.96.0.1:80 rr", "-> 10.2.0.1:80 Masq 1 1 0"]
    director.connect("10.1.0.5:2000")
    assert listed() == ["TCP 10.96.0.1:80 rr", "-> 10.2.0.1:80 Masq 1 2 0"]
    director.run("ipvsadm -e -t 10.96.0.1:80 -r 10.2.0.1:80 -m -w 7")
    assert listed() == ["TCP 10.96.0.1:80 rr", "-> 10.2.0.1:80 Masq 7 2 0"]
    director.run("ipvsadm -e -t 10.96.0.1:80 -r 10.2.0.1:80 -g -w 7")
    assert listed() == ["TCP 10.96.0.1:80 rr", "-> 10.2.0.1:80 Route 7 2 0"]
    director.run("ipvsadm -a -t 10.96.0.1:80 -r 10.2.0.2:80 -m")
    director.run("ipvsadm -E -t 10.96.0.1:80 -s wlc -p 60")
    other = type(director)(director.netns.fork(director.clock.fork(), director.netns.choices.fork()))
    both = ["TCP 10.96.0.1:80 wlc persistent 60", "-> 10.2.0.2:80 Masq 1 0 0", "-> 10.2.0.1:80 Route 7 2 0"]
    assert listed() == listed(other) == both
    director.run("ipvsadm -d -t 10.96.0.1:80 -r 10.2.0.2:80")
    assert listed() == [both[0], both[2]]
    director.run("ipvsadm -d -t 10.96.0.1:80 -r 10.2.0.1:80")
    director.run("ipvsadm -a -t 10.96.0.1:80 -r 10.2.0.1:80 -m")
    assert listed() == [both[0], "-> 10.2.0.1:80 Masq 1 2 0"]
    assert listed(other) == both
    assert director.run("ipvsadm -L --nosort").splitlines()[-1].split()[1] == "10.2.0.1:http"
