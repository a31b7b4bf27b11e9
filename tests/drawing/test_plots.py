"""Plots: what they show, the same bytes each time, and what is said without the library."""

from __future__ import annotations

import sys
from fractions import Fraction
from xml.etree import ElementTree

import pytest

from fakecluster.cli.plot import walked
from fakecluster.drawing import plots


def words(svg: str) -> list[str]:
    return [text.text or "" for text in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_shares_are_bars_with_exact_fractions() -> None:
    pytest.importorskip("matplotlib")
    found = {"web-1": Fraction(1, 3), "web-2": Fraction(2, 3), "dropped": Fraction(0)}
    text = plots.shares(found, title="pod/client to svc/web:80")
    assert {"web-1", "web-2", "dropped", "33.3 %  (1/3)", "66.7 %  (2/3)", "pod/client to svc/web:80"} <= set(
        words(text)
    )
    assert text == plots.shares(found, title="pod/client to svc/web:80")


def test_rules_walked_have_a_line_for_each_mode() -> None:
    pytest.importorskip("matplotlib")
    text = plots.rules_walked({"iptables": [(1, 21), (100, 120)], "nftables": [(1, 16), (100, 16)]})
    assert {"iptables: 120", "nftables: 16", "Services"} <= set(words(text))


def test_every_number_of_services_and_some_numbers_of_rules_stand_at_the_axes() -> None:
    pytest.importorskip("matplotlib")
    text = plots.rules_walked({"iptables": [(1, 21), (10, 30), (50, 70)], "nftables": [(1, 16), (50, 16)]})
    assert words(text)[:6] == ["1", "10", "50", "Services", "20", "50"]


def test_iptables_walks_a_rule_for_every_service_and_nftables_none() -> None:
    assert walked("iptables", 30) - walked("iptables", 10) == 20
    assert walked("nftables", 30) == walked("nftables", 10)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(plots.NoPlots, match=r"pip install 'fakecluster\[plots\]'"):
        plots.shares({"web-1": Fraction(1)})
