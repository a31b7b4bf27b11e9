"""From a line of rules to its words and back: quoting as iptables-restore reads it and iptables-save writes it.

Source: add_param_to_argv() in xshared.c, xtables_save_string() in xtables.c.
"""

from __future__ import annotations

import re

from fakecluster.rules.iptables.problem import RuleProblem

#: A word longer than this overflows iptables' buffer and is refused.
WORD_LIMIT = 1023

_PLAIN = re.compile(r"[A-Za-z0-9_-]+\Z")
_ESCAPED = re.compile(r"([\"\\'])")
_UNESCAPED = re.compile(r"\\(.)", re.DOTALL)
# letters outside quotes; an opening quote, what is inside it, and the closing quote, which ends the word whatever follows
_WORDS = re.compile(r'([^" \t\r\n]*)(?:(")([^"\\]*(?:\\(?:.|\Z)[^"\\]*)*)("?))?', re.DOTALL)


def split(line: str) -> list[str]:
    """The words of a line. Double quotes group; a backslash escapes within quotes only.

    An unclosed quote runs to the end of the line and takes that in, as in the real tool.
    """
    if '"' not in line:
        words = line.split()
    else:
        words = _split_quoted(line)
    for word in words:
        if len(word) > WORD_LIMIT:
            raise RuleProblem("Parameter too long!", token=word[:40])
    return words


def _split_quoted(line: str) -> list[str]:
    words = []
    for before, opened, inside, closed in _WORDS.findall(line):
        if not opened:
            if before:
                words.append(before)
            continue
        word = before + (_UNESCAPED.sub(r"\1", inside) if "\\" in inside else inside)
        words.append(word if closed else word.rstrip("\n") + "\n")
    return words


def quote(text: str) -> str:
    """A value as iptables-save writes it: bare when it is a plain word, else quoted with backslashes."""
    if _PLAIN.match(text):
        return text
    return '"' + _ESCAPED.sub(r"\\\1", text) + '"'
