"""Shells complete commands and values; every command's help shows how it is used."""

from __future__ import annotations

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from fakecluster.cli.main import app

#: Commands that only lead to others.
GROUPS = {"plot": ("shares", "rules-walked")}
COMMANDS = sorted(
    [(name,) for name in get_command(app).commands if name not in GROUPS]  # type: ignore[attr-defined]
    + [(group, name) for group, names in GROUPS.items() for name in names]
)


def answer(*arguments: str, **environment: str) -> str:
    """What the program prints, called as a shell does."""
    return CliRunner().invoke(app, list(arguments), prog_name="fakecluster", env=environment).output


@pytest.mark.parametrize(
    ("shell", "words"),
    [
        ("bash", "complete -o default -F _fakecluster_completion fakecluster"),
        ("zsh", "#compdef fakecluster"),
        ("fish", "complete --command fakecluster --no-files"),
    ],
)
def test_each_shell_gets_its_script(shell: str, words: str) -> None:
    assert words in answer(_FAKECLUSTER_COMPLETE=f"source_{shell}")


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("re", ["reachability", "replay"]),
        ("plot r", ["rules-walked"]),
        ("rules --proxy ", ["iptables", "ipvs", "nftables", "userspace"]),
        ("check shop.yaml --proxy n", ["nftables"]),
        ("trace --output ", ["text", "json", "html", "svg", "mermaid"]),
        ("dns web --ip-family du", ["dual", "dual-ipv6"]),
        ("check --only re", ["reachable"]),
        ("rules --no", ["--node", "--nodes"]),
    ],
)
def test_commands_options_and_values_are_completed(line: str, completed: list[str]) -> None:
    words = f"fakecluster {line}"
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    assert answer(_FAKECLUSTER_COMPLETE="complete_bash", **asked).split() == completed
    fish = {"_TYPER_COMPLETE_FISH_ACTION": "get-args", "_TYPER_COMPLETE_ARGS": words}
    lines = answer(_FAKECLUSTER_COMPLETE="complete_fish", **fish).splitlines()
    assert [text.split("\t")[0] for text in lines] == completed


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_commands_help_has_an_example_that_begins_with_it(command: tuple[str, ...]) -> None:
    text = " ".join(answer(*command, "--help", COLUMNS="300", NO_COLOR="1", TERM="dumb").split())
    assert f"fakecluster {' '.join(command)} " in text.partition("Example")[2], text
