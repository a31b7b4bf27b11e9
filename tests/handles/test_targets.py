"""Targets as people write them."""

from __future__ import annotations

import pytest

from fakecluster.handles.targets import Target, TargetError, parse_target


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("web:80", Target("web", 80)),
        ("udp://web:53", Target("web", 53, "udp")),
        ("svc/web:http", Target("web", "http", kind="services")),
        ("service/shop/web:80", Target("web", 80, kind="services", namespace="shop")),
        ("pod/web-1", Target("web-1", 0, kind="pods")),
        ("node/a:30080", Target("a", 30080, kind="nodes")),
        ("10.96.0.1:443", Target("10.96.0.1", 443)),
        ("[fd00::1]:80", Target("fd00::1", 80)),
        ("fd00::1", Target("fd00::1", 0)),
        ("web.shop.svc.cluster.local:80", Target("web.shop.svc.cluster.local", 80)),
    ],
)
def test_a_target_is_read(text: str, target: Target) -> None:
    assert parse_target(text) == target


def test_a_port_given_beside_wins() -> None:
    assert parse_target("web:80", port=81).port == 81


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("icmp://web", "unknown protocol 'icmp'"),
        ("deploy/web:80", "unknown kind 'deploy'"),
        ("svc/a/b/c:80", r"expected KIND/\[NAMESPACE/\]NAME:PORT"),
        ("web:http", "is not a number"),
        ("web:70000", "not between 1 and 65535"),
        ("[fd00::1:80", r"expected \[IPv6 address\]:PORT"),
        (":80", "the host is missing"),
    ],
)
def test_wrong_targets_say_what_is_expected(text: str, words: str) -> None:
    with pytest.raises(TargetError, match=words):
        parse_target(text)
