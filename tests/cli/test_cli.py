"""The command line: what it prints and how it exits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def fakecluster(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fakecluster", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def test_demo_shows_objects_rules_walk_and_answer() -> None:
    run = fakecluster("demo")
    assert run.returncode == 0, run.stderr
    for words in (
        "pod/nginx created",
        "service/nginx-service created",
        ":KUBE-SVC-IQGXNJVVP26VHMIN - [0:0]",
        "NGINX_SERVICE_SERVICE_PORT=8081",
        "PREROUTING",
        "dnat: dport 8081 -> 80",
        "snat: sport 80 -> 8081",
        "answered b'server=nginx",
    ):
        assert words in run.stdout, words


def test_trace_walks_one_connection() -> None:
    run = fakecluster("trace", "examples/nginx.yaml", "--from", "pod/client", "--to", "svc/nginx-service:8081")
    assert run.returncode == 0, run.stderr
    assert "ip nat KUBE-SERVICES" in run.stdout
    assert "KUBE-SEP-" in run.stdout


def test_trace_gives_probabilities() -> None:
    run = fakecluster(
        "trace", "examples/nginx.yaml", "--from", "pod/client", "--to", "svc/nginx-service:8081", "--outcomes"
    )
    assert (run.returncode, run.stdout.split()) == (0, ["1", "nginx"])


def test_trace_exits_1_when_nobody_answers() -> None:
    run = fakecluster("trace", "examples/nginx.yaml", "--from", "pod/client", "--to", "svc/nginx-service:9999")
    assert run.returncode == 1
    assert run.stdout.rstrip().endswith("network unreachable")  # no rule for that port: it leaves towards the outside


@pytest.mark.parametrize("arguments", [("version",), ("demo",)], ids=["at the end", "in the middle"])
def test_a_reader_that_has_seen_enough_ends_it_quietly(arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "fakecluster", *arguments]
    try:
        run = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT)
    finally:
        os.close(writing)
    assert (run.returncode, run.stderr) == (141, "")


@pytest.mark.parametrize("arguments", ["version", "--help", "version --output json", "rules examples/nginx.yaml"])
def test_a_closed_standard_output_is_said(arguments: str) -> None:
    command = f"{sys.executable} -m fakecluster {arguments} >&-"
    run = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT)
    assert (run.returncode, run.stderr) == (2, "fakecluster: standard output is closed\n")


def test_who_writes_to_a_file_needs_no_standard_streams(tmp_path: Path) -> None:
    command = f"{sys.executable} -m fakecluster rules examples/nginx.yaml -o {tmp_path}/a.rules >&- 2>&-"
    assert subprocess.run(["sh", "-c", command], check=False, cwd=ROOT).returncode == 0
    assert "-A KUBE-SERVICES" in (tmp_path / "a.rules").read_text()


@pytest.mark.parametrize(
    ("mode", "words"),
    [("iptables", "-A KUBE-SERVICES"), ("nftables", "table ip kube-proxy {"), ("ipvs", "-A -t 10.96.")],
)
def test_rules_prints_what_the_mode_writes(mode: str, words: str) -> None:
    run = fakecluster("rules", "examples/nginx.yaml", "--proxy", mode)
    assert run.returncode == 0, run.stderr
    assert words in run.stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: [", "bad.yaml: line 2, column 1: YAML:"),
        ("apiVersion: v1\nkind: Gadget\n", 'bad.yaml: document 1 (line 1): no matches for kind "Gadget"'),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {ports: [{port: 70000}]}\n",
            'bad.yaml: document 1 (line 1): Service "x" is invalid: [spec.ports[0].port: '
            "Invalid value: 70000: must be between 1 and 65535, inclusive, spec.ports[0].targetPort: ",
        ),
    ],
)
def test_wrong_manifests_exit_2_with_one_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    run = fakecluster("rules", str(tmp_path / "bad.yaml"))
    assert run.returncode == 2
    assert words in run.stderr
    assert run.stdout == ""
    assert run.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--from", "pod/nobody", "--to", "svc/nginx-service"), 'pods "nobody" not found'),
        (("--from", "pod/client", "--to", "svc/nothing:1"), 'services "nothing" not found'),
        (("--from", "pod/client", "--to", "icmp://x:1"), "unknown protocol 'icmp'"),
        (("--from", "somewhere", "--to", "svc/x"), "expected pod/[NAMESPACE/]NAME, node/NAME or outside"),
        (("--from", "pod/client", "--to", "svc/x", "--proxy", "ebpf"), "proxy='ebpf'"),
    ],
)
def test_wrong_arguments_exit_2_and_say_what_is_expected(arguments: tuple[str, ...], words: str) -> None:
    run = fakecluster("trace", "examples/nginx.yaml", *arguments)
    assert run.returncode == 2
    assert words in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("text", ["", "---\n# nothing\n"])
def test_manifests_without_any_object_are_no_success(tmp_path: Path, text: str) -> None:
    path = tmp_path / "empty.yaml"
    path.write_text(text)
    run = fakecluster("check", str(path))
    assert (run.returncode, run.stderr) == (2, f"fakecluster: {path}: there is no object in it\n")


def test_check_prints_a_table_and_exits_1_for_errors(tmp_path: Path) -> None:
    good = fakecluster("check", "examples/nginx.yaml")
    assert (good.returncode, good.stdout.splitlines()[-1].split(": ")[1]) == (0, "0 errors, 0 warnings")
    (tmp_path / "bad.yaml").write_text(
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n"
    )
    bad = fakecluster("check", str(tmp_path), "--only", "selectors", "--output", "json")
    assert bad.returncode == 1
    assert '"problem": "the selector app=web matches no Pod"' in bad.stdout


def test_translate_goes_either_way_and_says_where_a_text_is_wrong(tmp_path: Path) -> None:
    saved = tmp_path / "node.rules"
    saved.write_text("*filter\n-A FORWARD -p tcp --dport 80 -j DROP\nCOMMIT\n")
    there = fakecluster("translate", str(saved))
    assert there.stdout.splitlines()[-1] == "add rule ip filter FORWARD tcp dport 80 counter drop"
    (tmp_path / "node.nft").write_text(there.stdout)
    back = fakecluster("translate", str(tmp_path / "node.nft"))
    assert "-A FORWARD -p tcp -m tcp --dport 80 -j DROP\n" in back.stdout
    saved.write_text("*filter\n-A FORWARD -p tcp --dport 99999\nCOMMIT\n")
    wrong = fakecluster("translate", str(saved))
    assert (wrong.returncode, wrong.stderr) == (2, f"fakecluster: {saved}:2: invalid port/service `99999' specified\n")


def test_a_dump_of_objects_that_is_cut_off_is_told_so(tmp_path: Path) -> None:
    pod = "- apiVersion: v1\n  kind: Pod\n  metadata:\n    name: web\n  status:\n    podIP: 10.244.0.5\n"
    (tmp_path / "pods").write_text(f"apiVersion: v1\nitems:\n{pod}")
    (tmp_path / "routes").write_text("default dev eth0\n")
    packet = ("--ip-route", str(tmp_path / "routes"), "--packet", "tcp pod/web > 1.1.1.1:80")
    run = fakecluster("explain", "--objects", str(tmp_path / "pods"), *packet)
    words = "document 1 (line 1): Object 'Kind' is missing; kubectl writes `kind: List` last: is the file cut off?"
    assert (run.returncode, run.stderr) == (2, f"fakecluster: {tmp_path}/pods: {words}\n")
    (tmp_path / "pods").write_text(f"apiVersion: v1\nitems:\n{pod}kind: List\n")
    run = fakecluster("explain", "--objects", str(tmp_path / "pods"), *packet)
    assert (run.returncode, run.stdout.splitlines()[0]) == (0, "packet 1  TCP pod/web:40000 > 1.1.1.1:80 [S]")
