"""Long texts cut coarsely: a line or a block of elements that stands for itself stays one word.

    add rule ip t c tcp dport 80 drop       one word, read by its shape (see `shapes`)
    elements = { 10.0.0.1, 10.0.0.2 }       the block is one word, read by the set's types (see `element_blocks`)
    add table ip t { chain c {              words as ever

A parser that meets such a word where it does not expect one complains, and the text is then read word by word.
"""

from __future__ import annotations

import re

from fakecluster.rules.nft.tokens import words

#: Texts shorter than this are read word by word at once: the short way begins to pay with some dozens of lines.
WORTHWHILE = 1500
_VERBS = frozenset(("add rule ", "add chain", "add eleme", "flush cha"))
_CHAIN = re.compile(r"\s*(?:add )?(?:chain [\w/.-]+|chain ip6? \S+ \S+|chain inet \S+ \S+) \{\s*")
_PROPERTIES = ("type", "policy", "comment", "flags", "device")
_DEFINING = re.compile(r"(?:^|[;{])\s*(?:define|redefine|undefine|include)\b", re.M)
_ELEMENTS = "elements = {"


def fold(text: str) -> list[str] | None:
    """The words of a text with its plain lines left whole; None when it is short, or has definitions or long lines."""
    if len(text) < WORTHWHILE or "$" in text or "\\\n" in text:
        return None
    if ("define" in text or "include" in text) and _DEFINING.search(text):
        return None
    return _Folder().fold(text)


class _Folder:
    """What has been found so far, and the lines that still wait to be cut into words."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.waiting: list[str] = []

    def fold(self, text: str) -> list[str]:
        in_chain, lines = False, iter(text.removesuffix("\n").split("\n"))
        found, waiting = self.found, self.waiting
        for line in lines:
            if line[:9] in _VERBS:
                if _is_plain(line):
                    if waiting:
                        self._cut()
                    found.append(line)
                    continue
            elif in_chain:
                said = line.strip()
                if said == "}":
                    in_chain = False
                elif said and line[0] in " \t" and _is_plain(line) and not said.startswith(_PROPERTIES):
                    if waiting:
                        self._cut()
                    found.append(line)
                    continue
            elif line[-1:] == "{" and _CHAIN.fullmatch(line):
                in_chain = True
            elif _ELEMENTS in line:
                self._elements(line, lines)
                continue
            waiting.append(line)
        self._cut()
        if not found or found[-1]:
            found.append("")
        return found

    def _cut(self) -> None:
        """Cut what waits into words."""
        found = words("\n".join((*self.waiting, "")))
        self.found += found[:-1]
        self.waiting.clear()

    def _elements(self, line: str, lines: object) -> None:
        """From ``elements = {`` to its closing brace."""
        taken = [line]
        while "}" not in taken[-1]:
            following = next(lines, None)  # type: ignore[call-overload]
            if following is None:
                break
            taken.append(following)
        text = "\n".join(taken)
        before, block = text.split(_ELEMENTS, 1)
        if _unusual(text) or block.count("}") != 1 or block.rstrip()[-1:] != "}" or before.strip():
            self.waiting += taken
            return
        if self.waiting:
            self._cut()
        self.found += ("elements", "=", "{ " + block.rstrip(), "\n")


def _unusual(text: str) -> bool:
    return '"' in text or "#" in text or ";" in text


def _is_plain(line: str) -> bool:
    """Nothing goes on behind its end."""
    return "#" not in line and ";" not in line and ("{" not in line or line.count("{") == line.count("}"))
