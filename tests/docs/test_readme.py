"""The tests that the README shows pass as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
ROOT = Path(__file__).resolve().parents[2]


def test_the_readmes_tests_pass(pytester: pytest.Pytester) -> None:
    text = (ROOT / "README.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    assert sum("def test_" in block for block in blocks) >= 2
    pytester.makepyfile(test_readme="\n".join(blocks))
    (pytester.path / "examples").symlink_to(ROOT / "examples")
    result = pytester.runpytest_subprocess("-q", "-p", "no:randomly")
    result.assert_outcomes(passed=sum(block.count("def test_") for block in blocks))


def test_every_file_that_the_readme_links_to_exists() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text())
    assert "docs/tutorial.md" in links
    assert [link for link in links if not (ROOT / link).exists()] == []
