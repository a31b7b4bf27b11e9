"""The command line with broken input: an exit code, a line that says what is wrong, never a traceback."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakecluster import Cluster
from fakecluster.cli import main
from fakecluster.fabric.pcap import write_pcap

SPANNERS = ["\0", "\r\n", "99999999999", "-1", "{", '"', "::", "/33"]
ROOT = Path(__file__).resolve().parents[2]
SHOP = str(ROOT / "examples" / "shop.yaml")
LIKE_A_PACKET = (
    r"(tcp|udp|icmp|sctp|TCP) [0-9a-f.:/\[\]]{0,20} ?(>|->) ?[a-z0-9.:/\[\]]{0,24}"
    r"( \[[SAFR.]{0,3}\])?( in [a-z0-9]{0,5})?"
)
KINDS = {"ip-addr": "ip address", "ip-route": "ip route", "ip-rule": "ip rule", "iptables-save": "iptables-save",
         "nft": "nft list ruleset", "ipset": "ipset save", "ipvsadm": "ipvsadm -Sn", "conntrack": "conntrack -L"}  # fmt: skip


def run(monkeypatch_argv: list[str]) -> tuple[int, str, str]:
    """The program in this process: exit code, standard output, standard error. Anything but an exit is a failure."""
    out, err = io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, ["fakecluster", *monkeypatch_argv]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else 1
    else:
        code = 0
    finally:
        sys.argv = before
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def dumps() -> dict[str, str]:
    """What the tools of nodes in every mode print, a connection open."""
    texts: dict[str, str] = {}
    for proxy, kinds in (("ipvs", ("ipset", "ipvsadm")), ("nftables", ("nft",)), ("iptables", tuple(KINDS))):
        cluster = Cluster(nodes=1, proxy=proxy)
        cluster.apply(SHOP)
        cluster.pod("client").connect("svc/web", 80)
        texts |= {kind: cluster.node("a").run(KINDS[kind]) for kind in kinds if kind not in texts}
    return texts


def mutated(draw: Callable[..., object], text: str) -> str:
    """A text with pieces cut out, doubled, or replaced."""
    for _ in range(draw(st.integers(1, 3))):  # type: ignore[call-overload]
        if not text:
            break
        at = draw(st.integers(0, len(text) - 1))
        end = min(len(text), at + int(draw(st.integers(0, 40))))  # type: ignore[call-overload]
        put = draw(st.one_of(st.just(""), st.just(text[at:end] * 2), st.text(max_size=6), st.sampled_from(SPANNERS)))
        text = f"{text[:at]}{put}{text[end:]}"  # type: ignore[misc]
    return text[: int(draw(st.one_of(st.just(len(text)), st.integers(0, len(text)))))]  # type: ignore[call-overload]


@pytest.mark.parametrize("kind", sorted(KINDS))
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_broken_dumps_are_named(
    kind: str, dumps: dict[str, str], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / f"{kind}.dump"
    path.write_text(mutated(data.draw, dumps[kind]), encoding="utf-8", errors="surrogatepass", newline="")
    code, _, err = run(["explain", f"--{kind}", str(path), "--packet", "tcp 10.244.0.7:5 > 10.96.0.10:53"])
    assert code in (0, 1, 2, 3)
    if code >= 2:
        assert str(path) in err
    assert "Traceback" not in err


@settings(max_examples=40, deadline=None)
@given(words=st.one_of(st.text(max_size=40), st.from_regex(LIKE_A_PACKET, fullmatch=True)))
def test_broken_packets_are_named(words: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "routes"
    path.write_text("default via 172.18.0.1 dev eth0\n10.244.0.0/24 dev cni0 scope link\n")
    code, _, err = run(["explain", "--ip-route", str(path), "--packet", words])
    assert code in (0, 1, 2, 3)
    assert "Traceback" not in err
    assert code < 2 or err.count("\n") <= 8


@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_broken_captures_are_named(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp()
    packet = bytes.fromhex("4500001c0001000040110000cb00710aac12000200050009000800000000")[:28]
    write_pcap(folder / "good.pcap", [(10**18 + n, packet) for n in range(20)])
    raw = bytearray((folder / "good.pcap").read_bytes())
    for _ in range(data.draw(st.integers(0, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    (folder / "bad.pcap").write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    code, _, err = run(["replay", SHOP, str(folder / "bad.pcap"), "--at", "a:eth0", "--nodes", "1"])
    assert code in (0, 1, 2)
    assert code < 2 or ("bad.pcap: offset" in err)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["explain", "--packet", "tcp 1.1.1.1:5 > 2.2.2.2:80"], "expected manifests, or a node's dumps"),
        (["explain", SHOP, "--packet", "tcp pod/nobody > web:80"], "no pod/nobody"),
        (["explain", SHOP, "--packet", "tcp pod/client > nothing:80"], "nothing"),
        (["explain", SHOP, "--packet", "tcp 1.1.1.1:5 > 2.2.2.2:80"], "where does it begin?"),
        (["explain", SHOP, "--packet", "tcp pod/client > web:80", "--ip-route", "x"], "x: No such file or directory"),
        (["rules", SHOP, "--output", "yaml"], "expected text, json or html"),
        (["rules", SHOP, "-o", "/nowhere/x"], "-o /nowhere/x: No such file or directory"),
        (["rules", SHOP, "-o", "x.svg"], "--output svg: this command gives text, json, html"),
        (["replay", SHOP, "x.pcap"], "--at"),
        (["replay", SHOP, "--at", "a:eth0"], "expected manifests, and the capture last"),
        (["replay", SHOP, "/nowhere", "--at", "a:eth9"], "No such file"),
        (["replay", SHOP, SHOP, "--at", "a:eth9"], "node/a has no eth9"),
        (["replay", SHOP, SHOP, "--at", "a:eth0"], "neither pcap nor pcapng"),
        (["replay", SHOP, SHOP, "--at", "a:eth0", "--map", "x"], "expected ADDRESS=TARGET"),
        (["replay", SHOP, SHOP, "--at", "a:eth0", "--map", "1.1.1.1=cow/x"], "expected an address, pod/NAME"),
        (["replay", SHOP, SHOP, "--at", "a:eth0", "--compare", "ebpf"], "neither a file nor a proxy mode"),
        (["replay", SHOP, SHOP, "--at", "a:eth0", "--workers", "2", "--compare", "ipvs"], "not with -, --compare"),
        (["replay", SHOP, SHOP, "--at", "a:eth0", "--compare-at", "pod/web-1"], "--compare is to name that capture"),
        (["replay", SHOP, SHOP, "--at", "a:eth0", "--write", "/nowhere/x"], ": /nowhere/x: No such file or directory"),
        (["replay", SHOP, SHOP, "--at", "a:eth0", "-o", "x.csv"], "--output csv: this command gives text, json, html"),
        (["reachability", SHOP, "-o", "/nowhere/x.csv"], "-o /nowhere/x.csv: No such file or directory"),
        (["diff-rules", SHOP], "a dump is needed: --iptables-save"),
        (["diff-rules", "--nft", SHOP], "expected manifests, or --objects of the node's own cluster"),
        (["diff-rules", SHOP, "--objects", SHOP, "--nft", SHOP], "expected manifests, or --objects of the node's own cluster"),
        (["diff-rules", SHOP, "--ip-addr", SHOP, "--nft", SHOP], "--proxy-config and --ip-addr belong to --objects"),
        (["diff-rules", "--objects", SHOP, "--nft", SHOP], "no EndpointSlice in the dump"),
        (["plot", "rules-walked", "--services", "1,x"], "expected numbers from 1"),
        (["diff", SHOP], "--against PROXY compares modes"),
        (["diff", SHOP, "--connections", "--from", "pod/nobody"], "no such host"),
        (["check", "/nowhere"], "/nowhere"),
        (["trace", SHOP, "--from", "pod/client", "--to", "svc/web:x"], "no port is named"),
    ],
)
def test_wrong_arguments_say_what_is_expected(arguments: list[str], words: str) -> None:
    code, _, err = run(arguments)
    assert code == 2
    assert words in " ".join(err.replace("│", " ").split())
