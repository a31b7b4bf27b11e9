"""Corefiles: how they are read, and with which line and word a wrong one is refused."""

from __future__ import annotations

import pytest
from zone_objects import server

from fakecluster.discovery.corefile import Directive, parse, zones_of
from fakecluster.discovery.server import DEFAULT_COREFILE
from fakecluster.errors import RuleSyntaxError, Unsupported


def test_blocks_have_zones_a_port_and_directives_with_blocks_of_their_own() -> None:
    text = '# a comment\ncluster.local, Example.COM dns://. {\n errors # more\n hosts "a file" {\n  ttl 5\n }\n}\n'
    (block,) = parse(text)
    assert block.zones == ("cluster.local.", "example.com.", ".")
    assert block.port == 53
    assert block.directives == (
        Directive("errors", (), 3),
        Directive("hosts", ("a file",), 4, (Directive("ttl", ("5",), 5),)),
    )


def test_a_port_may_be_given() -> None:
    assert parse("example.org:1053 {\n}\n")[0].port == 1053


@pytest.mark.parametrize(
    ("text", "zones"),
    [
        ("Example.COM", ("example.com.",)),
        (".", (".",)),
        ("10.0.0.0/8", ("10.in-addr.arpa.",)),
        ("10.96.0.0/15", ("96.10.in-addr.arpa.", "97.10.in-addr.arpa.")),
        ("192.0.2.0/24", ("2.0.192.in-addr.arpa.",)),
        ("fd00::/8", ("d.f.ip6.arpa.",)),
        ("2001:db8::/31", ("8.b.d.0.1.0.0.2.ip6.arpa.", "9.b.d.0.1.0.0.2.ip6.arpa.")),
    ],
)
def test_a_zone_may_be_an_address_range(text: str, zones: tuple[str, ...]) -> None:
    assert zones_of(text) == zones


@pytest.mark.parametrize(
    ("text", "line", "token"),
    [
        (".:53 {\n errors\n", 1, "{"),
        ("}\n", 1, "}"),
        ("errors\n", 1, "errors"),
        (".:53 {\n}\n}\n", 3, "}"),
        (".:53 {\n} x\n", 2, "x"),
        (".:abc {\n}\n", 1, ".:abc"),
        ('.:53 {\n hosts "unclosed\n}\n', 2, '"unclosed\n}\n'),
        (".:53 {\n errors\n}\n.:53 {\n}\n", 4, ".:53"),
        (".:53 {\n\n bogus\n}\n", 3, "bogus"),
        (".:53 {\n kubernetes cluster.local {\n  pods sometimes\n }\n}\n", 3, "pods"),
        (".:53 {\n kubernetes cluster.local {\n  ttl 3601\n }\n}\n", 3, "ttl"),
        (".:53 {\n kubernetes cluster.local {\n  ttl\n }\n}\n", 3, "ttl"),
        (".:53 {\n kubernetes 10.0.0.0/33\n}\n", 2, "10.0.0.0/33"),
        (".:53 {\n forward .\n}\n", 2, "forward"),
        (".:53 {\n forward . nonsense\n}\n", 2, "forward"),
        (".:53 {\n forward . 1.1.1.1 {\n  polcy random\n }\n}\n", 3, "polcy"),
        (".:53 {\n forward . 1.1.1.1 {\n  policy best\n }\n}\n", 3, "policy"),
        (".:53 {\n forward . 1.1.1.1 {\n  except\n }\n}\n", 3, "except"),
        (".:53 {\n forward . 1.1.1.1 {\n  max_fails many\n }\n}\n", 3, "max_fails"),
        (".:53 {\n cache 0\n}\n", 2, "cache"),
        (".:53 {\n hosts {\n  nonsense name\n }\n}\n", 3, "nonsense"),
        (".:53 {\n rewrite\n}\n", 2, "rewrite"),
        (".:53 {\n rewrite name regex ( x\n}\n", 2, "rewrite"),
        (".:53 {\n rewrite name a\n}\n", 2, "rewrite"),
        (".:53 {\n template IN\n}\n", 2, "template"),
        (".:53 {\n template IN A {\n  match (\n }\n}\n", 2, "template"),
        ("", 0, ""),
    ],
)
def test_a_wrong_corefile_is_refused_with_line_and_word(text: str, line: int, token: str) -> None:
    with pytest.raises(RuleSyntaxError) as wrong:
        server(corefile=text or "\n")
    assert (wrong.value.line, wrong.value.token) == (line, token)
    assert str(wrong.value).startswith("Corefile:")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (".:53 {\n dnssec\n}\n", "CoreDNS plugin dnssec"),
        ("(snippet) {\n errors\n}\n", "a snippet"),
        (".:53 {\n import snippet\n}\n", "CoreDNS plugin import"),
        ("tls://. {\n}\n", "a server for tls://"),
        (".:53 {\n forward . {$UPSTREAM}\n}\n", "an environment variable"),
        (".:53 {\n forward . tls://1.1.1.1\n}\n", "forward to tls://1.1.1.1"),
        (".:53 {\n forward . 1.1.1.1 {\n  tls_servername x\n }\n}\n", "forward option tls_servername"),
        (".:53 {\n kubernetes {\n  endpoint https://x\n }\n}\n", "kubernetes option endpoint"),
        (".:53 {\n cache {\n  prefetch 10\n }\n}\n", "cache option prefetch"),
        (".:53 {\n loadbalance weighted f\n}\n", "loadbalance weighted"),
        (".:53 {\n rewrite ttl a 5\n}\n", "rewrite ttl"),
        (".:53 {\n hosts /other/file\n}\n", "a hosts file"),
        (".:53 {\n autopath /etc/resolv.conf\n}\n", "autopath"),
        ("a:53 b:54 {\n}\n", "several ports"),
    ],
)
def test_what_is_not_modelled_is_named(text: str, what: str) -> None:
    with pytest.raises(Unsupported) as gap:
        server(corefile=text)
    assert what in str(gap.value)
    assert gap.value.line > 0


def test_the_old_corefile_stays_in_force_when_a_new_one_is_wrong() -> None:
    made = server()
    before = made.corefile_text
    for text in (".:53 {\n bogus\n}\n", ".:53 {\n dnssec\n}\n", "\n"):
        with pytest.raises((RuleSyntaxError, Unsupported)):
            made.configure(text)
        assert made.corefile_text == before
        assert len(made.chains) == 1


def test_kubeadm_s_corefile_is_read() -> None:
    (block,) = parse(DEFAULT_COREFILE)
    assert [directive.name for directive in block.directives] == [
        "errors", "health", "ready", "kubernetes", "prometheus", "forward", "cache", "loop", "reload", "loadbalance",
    ]  # fmt: skip
    assert block.directives[3].block[0] == Directive("pods", ("insecure",), 8)
