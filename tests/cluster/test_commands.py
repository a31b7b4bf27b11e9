"""Commands in containers: what they print and how they end, each over the simulated network."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakecluster import Cluster
from fakecluster.cluster import commands
from fakecluster.cluster.commands import Finished, Place
from fakecluster.cluster.commands.options import BadOption, parse
from fakecluster.cluster.commands.run import COMMANDS

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: %s}\nspec:\n  restartPolicy: Never\n  containers: [{name: c, image: i%s}]\n"


@pytest.fixture(scope="module")
def prepared() -> Cluster:
    cluster = Cluster(nodes=2)
    cluster.apply("examples/shop.yaml")
    cluster.apply(POD.replace("  restart", "  hostPID: true\n  restart") % ("seeing", ""))
    return cluster


@pytest.fixture
def shop(prepared: Cluster) -> Cluster:
    return prepared.fork()


def run(cluster: Cluster, line: str, *, pod: str = "client", stdin: bytes = b"", patience_s: float = 5.0) -> Finished:
    handle = cluster.pod(pod)
    container = handle.object["spec"]["containers"][0]["name"]
    finished = commands.run(Place(handle, container, handle, patience_s, stdin), line.split())
    assert finished is not None
    return finished


#: line -> (exit code, what its output begins with, what its error output begins with)
CASES = {
    "curl -s -o /dev/null -w %{http_code}\\n web/cake": (0, "200\n", ""),
    "curl -sI web": (0, "HTTP/1.1 200 OK\r\nServer-Name: web-", ""),
    "curl -s -d bread http://web": (0, "POST / HTTP/1.1\r\nHost: web\r\n", ""),
    "curl nowhere": (6, "", "curl: (6) Could not resolve host: nowhere\n"),
    "curl -s nowhere": (6, "", ""),
    "curl -sS https://web": (1, "", 'curl: (1) Protocol "https" is not modelled\n'),
    "curl http://web:x": (3, "", "curl: (3) URL rejected: Malformed input to a URL function\n"),
    "curl --brew web": (2, "", "curl: option --brew: is unknown\n"),
    "curl": (2, "", "curl: (2) no URL specified\n"),
    "wget -qO- web": (0, "GET / HTTP/1.1\r\nHost: web\r\nUser-Agent: Wget\r\n", ""),
    "wget -O- http://nowhere/": (1, "", "wget: bad address 'nowhere'\n"),
    "nc -zv web 80": (0, "", "web (10.96."),
    "nc web http": (1, "", "nc: bad address or port\n"),
    "nslookup nowhere": (
        1,
        "Server:\t\t10.96.0.10\nAddress:\t10.96.0.10:53\n\n** server can't find nowhere: NXDOMAIN\n",
        "",
    ),
    "nslookup 10.96.0.10": (
        0,
        "Server:\t\t10.96.0.10\nAddress:\t10.96.0.10:53\n\n10.0.96.10.in-addr.arpa\tname = kube-dns.",
        "",
    ),
    "dig +short kube-dns.kube-system.svc.cluster.local": (0, "10.96.0.10\n", ""),
    "dig +short +search kubernetes": (0, "10.96.0.1\n", ""),
    "dig +short -x 10.96.0.10": (0, "kube-dns.kube-system.svc.cluster.local.\n", ""),
    "dig +short SRV _dns._udp.kube-dns.kube-system.svc.cluster.local": (
        0,
        "0 100 53 kube-dns.kube-system.svc.cluster.local.\n",
        "",
    ),
    "dig @10.96.0.99 web": (
        9,
        "\n; <<>> DiG 9.18 <<>> @10.96.0.99 web\n;; communications error to 10.96.0.99#53: timed out",
        "",
    ),
    "ping -c 1 10.244.0.1": (
        0,
        "PING 10.244.0.1 (10.244.0.1): 56 data bytes\n64 bytes from 10.244.0.1: seq=0 ttl=",
        "",
    ),
    "ping 10.244.0.1": (2, "", "ping: say how many (-c COUNT, at most 1000) and one host\n"),
    "ping -c 1 nowhere": (1, "", "ping: bad address 'nowhere'\n"),
    "ip route get": (255, "", ""),
    "printenv WEB_SERVICE_PORT": (0, "80\n", ""),
    "printenv NONE": (1, "", ""),
    "cat /etc/passwd": (1, "", "cat: can't open '/etc/passwd': No such file or directory\n"),
    "echo -n a b": (0, "a b", ""),
    "/bin/true": (0, "", ""),
}


@pytest.mark.parametrize("line", CASES)
def test_what_a_command_prints(shop: Cluster, line: str) -> None:
    code, out, error = CASES[line]
    finished = run(shop, line)
    assert finished.stdout.decode()[: len(out)] == out
    assert finished.stderr.decode()[: len(error)] == error
    assert finished.code == code or line.startswith("ip ")


def test_dig_shows_the_whole_answer(shop: Cluster) -> None:
    text = run(shop, "dig kube-dns.kube-system.svc.cluster.local").stdout.decode()
    assert ";; flags: qr aa rd; QUERY: 1, ANSWER: 1, AUTHORITY: 0, ADDITIONAL: 1\n" in text
    assert "\n;; ANSWER SECTION:\nkube-dns.kube-system.svc.cluster.local.\t30\tIN\tA\t10.96.0.10\n" in text
    assert ";; SERVER: 10.96.0.10#53(10.96.0.10) (UDP)\n" in text


def test_nc_sends_its_input(shop: Cluster) -> None:
    assert run(shop, "nc web 80", stdin=b"bread").stdout.endswith(b"bytes=5\nbread")


def test_ping_counts_what_is_lost_and_takes_its_time(shop: Cluster) -> None:
    shop.faults.link("pod/client", delay_s=0.01)
    before = shop.clock.now_s
    text = run(shop, "ping -c 3 10.244.0.1").stdout.decode()
    assert "64 bytes from 10.244.0.1: seq=2 ttl=63 time=20.000 ms\n" in text
    assert "3 packets transmitted, 3 packets received, 0% packet loss\n" in text
    assert shop.clock.now_s - before == pytest.approx(2.06)
    shop.faults.link("pod/client", loss=1)
    lost = run(shop, "ping -c 2 10.244.0.1")
    assert (
        lost.code,
        lost.stdout.decode().endswith("2 packets transmitted, 0 packets received, 100% packet loss\n"),
    ) == (1, True)


def test_the_rules_of_a_node_are_seen_by_those_who_may_enter_it(shop: Cluster) -> None:
    empty = b"*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\nCOMMIT\n"
    assert run(shop, "iptables-save -t nat").stdout == empty
    assert run(shop, "nsenter -t 1 -n iptables-save -t nat").stdout == empty
    inside = run(shop, "chroot /host nsenter --target 1 --net -- iptables-save -t nat", pod="seeing")
    assert b"-A KUBE-SERVICES -d 10.96.0.10/32" in inside.stdout


def test_a_tool_complains_in_its_own_words(shop: Cluster) -> None:
    finished = run(shop, "iptables -t none -S")
    assert finished.code == 3 and b"none" in finished.stderr


def test_programs_that_are_not_there_are_not_found(shop: Cluster) -> None:
    pod = shop.pod("client")
    for line in ("sh -c env", "bash", "chroot /host", "chroot /host sh"):
        assert commands.run(Place(pod, "shell", pod), line.split()) is None
        assert not commands.known(line.split())


def test_options_are_read_in_clusters_and_with_their_values() -> None:
    options = parse(["-zvw", "5", "-p80", "--data=x", "host", "--", "-y"], flags="-z -v", valued="-w -p --data")
    assert (options.flags, options.words) == ({"-z", "-v"}, ("host", "-y"))
    assert (options.value("-w"), options.value("-p"), options.value("--data")) == ("5", "80", "x")
    with pytest.raises(BadOption, match="option -w: requires parameter"):
        parse(["-w"], flags="", valued="-w")
    with pytest.raises(BadOption, match="invalid number 'x'"):
        parse(["-w", "x"], flags="", valued="-w").seconds("-w", default=1)


VOCABULARY = """
web 10.96.0.10 10.244.1.2 ::1 [::1 localhost -c -W -s 1 0 -1 99999999999999999999 80 8080 0x50 -zv -u -w -i -o - -X -d @-
-H a:b +short +tcp @10.96.0.10 -x -t SRV . .. -p http://web http://[web]:x http://web:99999 // /etc/hosts -n -L --spider
-T -O- -e é
"""
WORDS = st.sampled_from(VOCABULARY.split())


@given(name=st.sampled_from(sorted(COMMANDS)), words=st.lists(WORDS | st.text(max_size=6), max_size=5))
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_words_end_with_an_exit_code(shop: Cluster, name: str, words: list[str]) -> None:
    pod = shop.pod("client")
    finished = commands.run(Place(pod, "shell", pod, 0.0, b"x"), [name, *words])
    assert finished is not None and 0 <= finished.code < 256


# --- containers that are started with a command


def log(cluster: Cluster, name: str) -> list[str]:
    uid = cluster.pod(name).object["metadata"]["uid"]
    start = cluster.runtime.logs.start((uid, "c"))
    assert start is not None
    return [line.text for line in start.lines]


@pytest.mark.parametrize(
    ("command", "phase", "printed"),
    [
        ("[echo, hello]", "Succeeded", ["hello"]),
        ("[wget, -qO-, nowhere]", "Failed", ["wget: bad address 'nowhere'"]),
        ("[sleep, '60']", "Running", []),
    ],
)
def test_a_container_runs_the_command_that_it_names_and_ends(
    shop: Cluster, command: str, phase: str, printed: list[str]
) -> None:
    before = shop.clock.now_s
    shop.apply(POD % ("once", f", command: {command}"))
    assert (shop.pod("once").object["status"]["phase"], log(shop, "once")) == (phase, printed)
    assert shop.clock.now_s == before


def test_a_command_finds_the_service_that_was_applied_with_it(cluster: Cluster) -> None:
    with open("examples/shop.yaml") as file:
        cluster.apply(POD % ("once", ", args: [curl, -s, web/cake]") + "---\n" + file.read())
    assert log(cluster, "once")[0] == "GET /cake HTTP/1.1\r"


def test_an_ephemeral_container_runs_beside_the_others_and_is_reported(shop: Cluster) -> None:
    debugger = {"name": "debugger", "image": "busybox", "command": ["curl", "-s", "localhost:8080"]}
    body = {"spec": {"ephemeralContainers": [debugger]}}
    with shop.clients.httpx() as http:
        answer = http.patch(
            "/api/v1/namespaces/default/pods/web-1/ephemeralcontainers",
            json=body,
            headers={"Content-Type": "application/strategic-merge-patch+json"},
        )
    assert answer.status_code == 200
    (status,) = shop.pod("web-1").object["status"]["ephemeralContainerStatuses"]
    assert (status["name"], status["ready"], status["state"]["terminated"]["exitCode"]) == ("debugger", False, 0)
    assert shop.pod("web-1").ready and shop.pod("web-1").object["status"]["phase"] == "Running"
