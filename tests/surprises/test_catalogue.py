"""The page of surprises and the scenarios agree."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = (HERE.parents[1] / "docs" / "surprises" / "README.md").read_text()


def test_every_scenario_is_explained_and_every_explanation_has_a_scenario() -> None:
    files = [file for file in HERE.glob("test_*.py") if file.name != "test_catalogue.py"]
    scenarios = {
        f"{file.name}::{name}" for file in files for name in re.findall(r"^def (test_\w+)", file.read_text(), re.M)
    }
    assert set(re.findall(r"`(test_\w+\.py::test_\w+)`", PAGE)) == scenarios
    assert PAGE.count("\n### ") >= 25
