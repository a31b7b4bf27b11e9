"""The real ipset and iptables-restore, of both backends, take what nft rule sets are translated to."""

from __future__ import annotations

import json
import subprocess

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from real_node import why_not

from fakecluster.rules.nft import NftError, parse, tables
from fakecluster.rules.translate import as_iptables
from fakecluster.strategies import nft_rules

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

_INSIDE = """
import json, subprocess, sys
def run(tool, text):
    return subprocess.run([tool, "restore"] if tool == "ipset" else [tool], input=text, capture_output=True, text=True).stderr
said = []
for tool, ipset, rules in json.load(sys.stdin):
    said.append(run("ipset", ipset) + run(tool, rules))
    run(tool, "".join(f"*{table}\\nCOMMIT\\n" for table in ("raw", "mangle", "nat", "filter", "security")))
    subprocess.run(["ipset", "destroy"])
print(json.dumps(said))
"""


def translations(examples: int) -> list[tuple[str, str, str]]:
    """Generated rule sets in iptables' words, and the tool to load each."""
    found = []

    @seed(7)
    @settings(max_examples=examples, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(st.sampled_from((4, 6)).flatmap(lambda family: st.tuples(st.just(family), nft_rules.files(family))))
    def collect(drawn: tuple[int, str]) -> None:
        family, text = drawn
        try:
            shown = as_iptables(tables(parse(text)), family=family)
        except NftError:
            return
        tool = f"ip{'6' if family == 6 else ''}tables{'-legacy' if len(found) % 2 else ''}-restore"
        found.append((tool, shown.ipset, shown.rules))

    collect()
    return found


def test_the_real_tools_take_what_rules_are_translated_to() -> None:
    given_texts = translations(100)
    assert sum(text.count("\n-A ") for _, _, text in given_texts) > 100
    argv = ["unshare", "-n", "python3", "-c", _INSIDE]
    done = subprocess.run(argv, input=json.dumps(given_texts), capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    assert [(words, given) for words, given in zip(said, given_texts, strict=True) if words] == []
