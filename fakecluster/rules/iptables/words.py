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
_SPECIAL = re.compile(r'["\\]')


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
    words: list[str] = []
    word: list[str] = []
    position, quoted, in_quotes = 0, False, False
    while position < len(line):
        letter = line[position]
        position += 1
        if in_quotes and letter == "\\" and position < len(line):
            word.append(line[position])
            position += 1
        elif letter == '"':
            if in_quotes:  # the closing quote ends the word, whatever follows
                words.append("".join(word))
                word = []
            quoted = in_quotes = not in_quotes
        elif not in_quotes and letter in " \t\r\n":
            if word:
                words.append("".join(word))
                word = []
        else:
            word.append(letter)
    if word or quoted:
        words.append("".join(word).rstrip("\n") + ("\n" if in_quotes else ""))
    return words


def quote(text: str) -> str:
    """A value as iptables-save writes it: bare when it is a plain word, else quoted with backslashes."""
    if _PLAIN.match(text):
        return text
    return '"' + _ESCAPED.sub(r"\\\1", text) + '"'
