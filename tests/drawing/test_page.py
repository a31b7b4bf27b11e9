"""The page of an explanation: what stands in it, that it needs nothing from elsewhere, and that a browser's click works."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import attrs
import pytest

from fakecluster import Cluster
from fakecluster.drawing import mermaid, page, svg
from fakecluster.drawing.svg import _cut_row
from fakecluster.explaining import Explanation

SHOP = Path(__file__).resolve().parents[2] / "examples" / "shop.yaml"
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update")  # fmt: skip


@pytest.fixture(scope="module")
def explanation() -> Explanation:
    cluster = Cluster(nodes=1)
    cluster.apply(SHOP)
    found = cluster.explain("tcp pod/client > web:80")
    assert isinstance(found, Explanation)
    return found


class Outside(HTMLParser):
    """Everything that a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [f"{tag} {name}={value}" for name, value in attrs if name in ("src", "href", "data", "srcset")]
        if tag in ("link", "iframe", "object", "img"):
            self.found.append(tag)


def test_the_page_needs_nothing_from_elsewhere(explanation: Explanation) -> None:
    outside = Outside()
    text = page(explanation)
    outside.feed(text)
    assert outside.found == []
    assert not re.search(r"@import|url\((?!#tip)|fetch\(|XMLHttpRequest", text)


def test_every_step_in_the_picture_has_its_detail(explanation: Explanation) -> None:
    text = page(explanation)
    steps = set(re.findall(r'class="step"[^>]* data-step="([\d-]+)"', text))
    details = set(re.findall(r'class="detail" id="step-([\d-]+)"', text))
    assert len(steps) > 20
    assert steps <= details
    assert len(details) == sum(len(hop.steps) for hop in explanation.trace.hops)


def test_texts_are_escaped() -> None:
    cluster = Cluster(nodes=1)
    cluster.apply(SHOP)
    client = cluster.pod("client")
    client.node.run(
        ["iptables", "-A", "FORWARD", "-m", "comment", "--comment", "<script>alert(1)</script>", "-j", "DROP"]
    )
    text = page(cluster.explain("tcp pod/client > svc/web:80"))
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_the_svg_is_xml_and_shows_the_way(explanation: Explanation) -> None:
    root = ElementTree.fromstring(svg(explanation.trace.way, names=explanation.names))
    words = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert [word for word in words if word in ("PREROUTING", "routing", "FORWARD", "POSTROUTING")] == [
        "PREROUTING", "routing", "FORWARD", "POSTROUTING",
    ]  # fmt: skip
    assert {"pod/client", "node/a", "conntrack NEW", "dport 80 → 8080", "delivered"} <= set(words)


def test_long_names_of_hosts_stand_whole_beside_the_way(explanation: Explanation) -> None:
    name = "pod/kube-system/node-local-dns-with-a-long-name-7xk2p"
    hop = attrs.evolve(explanation.trace.way[-1], namespace=name)
    root = ElementTree.fromstring(svg((*explanation.trace.way[:-1], hop)))
    names = [one for one in root.iter("{http://www.w3.org/2000/svg}text") if one.get("class") == "name"]
    assert [one.text for one in names] == ["pod/client", "node/a", name]
    assert {one.get("x") for one in names} == {"44"}
    (way, _) = [one.get("d") for one in root.iter("{http://www.w3.org/2000/svg}path") if " H31 " in str(one.get("d"))]
    assert re.search(r" V\d+ Q25,\d+ 31,\d+ H42$", str(way))  # comes down at 25, left of the names


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("KUBE-SVC-CDGGSHYLG3RE2FKL #3 → KUBE-SEP-MQPSSF2DIKDEHI3U", "KUBE-SVC-C…KL #3 → KUBE-SEP-MQ…EHI3U"),
        ("POSTROUTING #1 → KUBE-POSTROUTING-OF-SOMEONE", "POSTROUTING #1 → KUBE-POSTROU…OMEONE"),
        ("PREROUTING #1 → KUBE-SERVICES", "PREROUTING #1 → KUBE-SERVICES"),
    ],
)
def test_rows_that_do_not_fit_keep_the_number_of_the_rule_and_both_chains(text: str, shown: str) -> None:
    assert _cut_row(text, 36) == shown


def test_mermaid_has_a_subgraph_for_every_host(explanation: Explanation) -> None:
    text = mermaid(explanation.trace.way, names=explanation.names)
    assert text.startswith("flowchart LR\n")
    assert text.count("subgraph") == text.count("\n  end\n") == 3
    assert "dst svc/web → pod/web-" in text
    assert re.search(r"class s2_1 good\n$", text)
    assert '"' not in re.sub(r'"[^"]*"', "", text)  # quotes are even, and none is inside


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed")
def test_a_click_on_a_step_shows_what_happened_there(explanation: Explanation, tmp_path: Path) -> None:
    text = page(explanation)
    step = next(
        name for name, chain in re.findall(r'id="step-([\d-]+)"[^>]*><p[^>]*>[^<]*</p><h2>([^<]*)</h2>', text)
        if chain.startswith("KUBE-SEP-")
    )  # fmt: skip
    click = (
        f"const step = document.querySelector('[data-step=\"{step}\"].step');"
        "step.dispatchEvent(new MouseEvent('click', {bubbles: true}));"
    )
    (tmp_path / "page.html").write_text(text.replace("</body>", f"<script>{click}</script></body>"))
    command = [
        CHROMIUM,
        *FLAGS,
        f"--user-data-dir={tmp_path / 'profile'}",
        "--dump-dom",
        f"file://{tmp_path}/page.html",
    ]
    dom = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120).stdout
    assert re.findall(r'<article class="detail picked" id="step-([\d-]+)"', dom) == [step]
    assert re.findall(r'<g class="step picked"[^>]* data-step="([\d-]+)"', dom) == [step]
    assert re.search(r'<body class="scripted"', dom)
    picked = dom.split('<article class="detail picked"')[1].split("</article>")[0]
    assert "DNAT --to-destination" in picked
    assert "the source is pod/client, not pod/web-" in picked
