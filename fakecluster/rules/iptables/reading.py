"""Reads the words of one command or one restore line, option by option, as iptables' getopt loop does.

Sources: xshared.c (do_parse, command_default), getopt_long(3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fakecluster.rules.iptables.command import (
    _LONG,
    CHAIN_NAME_LIMIT,
    COMMANDS,
    INTERFACE_LIMIT,
    RULES_PER_LINE_LIMIT,
    Command,
    OtherFamily,
    _counter,
    _long_name,
    _Open,
    check_chain_name,
    check_interfaces,
    check_options,
    network,
)
from fakecluster.rules.iptables.extensions import (
    MATCH_ALIASES,
    PROTOCOL_MATCHES,
    VERDICTS,
    match_extension,
    target_extension,
)
from fakecluster.rules.iptables.numbers import number, protocol
from fakecluster.rules.iptables.option import Given, Option
from fakecluster.rules.iptables.problem import INVALID, RuleProblem
from fakecluster.rules.iptables.rule import Interface, Match, Network, Protocol, RuleParts, Target

#: commands that take a chain always, and those that may do without
_WITH_CHAIN, _CHAIN_OPTIONAL = frozenset("ADCIREPN"), frozenset("LSFZX")
_VALUELESS = frozenset("fnvx460")
_TCP = 6


def read(words: Sequence[str], family: int, *, restoring: bool = False) -> Command:
    """The command that `words` (without the program's name) give. Raises `RuleProblem` and `Unsupported`."""
    return _Reader(words, family, restoring).run()


class _Reader:
    """The state of the loop: where it is, what was given so far."""

    def __init__(self, words: Sequence[str], family: int, restoring: bool) -> None:
        self.words, self.family, self.restoring = words, family, restoring
        self.at = 0
        self.inverted = False
        self.letter = self.chain = self.name = self.table = ""
        self.position = 0
        self.src: list[Network | None] = []
        self.dst: list[Network | None] = []
        self.source_text = self.destination_text = ""
        self.iif: Interface | None = None
        self.oif: Interface | None = None
        self.protocol: Protocol | None = None
        self.fragment = ""
        self.counters: tuple[int, int] | None = None
        self.matches: list[_Open] = []
        self.target: _Open | None = None
        self.jump: Target | None = None
        self.flags: set[str] = set()
        self.seen: dict[str, bool] = {}
        self.protocol_loaded = False

    # -- the loop ---------------------------------------------------------------------------------------------

    def run(self) -> Command:
        while self.at < len(self.words):
            word = self.words[self.at]
            self.at += 1
            if word == "!":
                if self.inverted:
                    raise RuleProblem("multiple consecutive ! not allowed", token=word)
                self.inverted = True
                continue
            if word.startswith("--") and len(word) > 2:
                self._long(word)
            elif word.startswith("-") and len(word) > 1 and word != "--":
                self._short(word)
            else:
                raise RuleProblem(f"Bad argument `{word}'", token=word, kind="argument")
            self.inverted = False
        return self._finish()

    def _short(self, word: str) -> None:
        letter, rest = word[1], word[2:]
        if letter in "ADCIRLSFZNXEPV":
            self._command(letter, rest)
        elif letter in _VALUELESS:
            self._core(letter, "")
            if rest:
                self._short("-" + rest)
        elif letter in "sdpijotgmcwWM":
            if letter in "wW":
                self._wait(letter, rest)
                return
            value = rest or self._argument(word)
            self._core(letter, word if letter == "p" and rest else value)
        else:
            raise RuleProblem(f'unknown option "{word}"', token=word)

    def _long(self, word: str) -> None:
        name, equals, value = word[2:].partition("=")
        for opened in self._opened():
            option = opened.extension.named.get(name)
            if option is not None:
                self._extension(opened, option, name, word, value if equals else None)
                return
        if name in COMMANDS:
            self._command(COMMANDS[name], value)
        elif name in _LONG:
            letter = _LONG[name]
            if letter in _VALUELESS:
                self._core(letter, "")
            elif letter in "wW":
                self._wait(letter, value)
            else:
                given = value if equals else self._argument(word)
                self._core(letter, word if equals and letter == "p" else given)
        elif not self._abbreviated(name, word, value if equals else None) and not self._load_protocol():
            raise RuleProblem(f'unknown option "{word}"', token=word)

    def _abbreviated(self, name: str, word: str, value: str | None) -> bool:
        """An unambiguous beginning of a long option."""
        found = {
            full: (opened, option)
            for opened in self._opened()
            for full, option in opened.extension.named.items()
            if full.startswith(name)
        }
        core = [full for full in (*COMMANDS, *_LONG) if full.startswith(name)]
        if len({(id(opened), option.name) for opened, option in found.values()}) + len(core) != 1 or not name:
            return False
        if core:
            self._long("--" + core[0] + ("" if value is None else f"={value}"))
        else:
            opened, option = next(iter(found.values()))
            self._extension(opened, option, option.name, word, value)
        return True

    def _opened(self) -> list[_Open]:
        """Those whose options count, the latest first."""
        opened = list(reversed(self.matches))
        return [self.target, *opened] if self.target else opened

    def _argument(self, word: str) -> str:
        if self.at >= len(self.words):
            raise RuleProblem(f'option "{word}" requires an argument', token=word)
        self.at += 1
        return self.words[self.at - 1]

    def _optional(self) -> str:
        """The next word when it is no option."""
        if self.at < len(self.words) and self.words[self.at][:1] not in ("-", "!", ""):
            self.at += 1
            return self.words[self.at - 1]
        return ""

    def _extension(self, opened: _Open, option: Option, name: str, word: str, value: str | None) -> None:
        argument = ""
        if option.read is not None:
            argument = self._argument(word) if value is None else value
            if option.words == 2:
                if self.at >= len(self.words) or self.words[self.at][:1] in ("-", "!"):
                    raise RuleProblem(f"--{name} requires two args.", token=word)
                argument += "\0" + self._argument(word)
        opened.given.protocol = self.protocol.number if self.protocol and not self.protocol.inverted else 0
        opened.given.not_protocol = self.protocol is not None and self.protocol.inverted
        opened.given.take(option, name, argument, self.inverted)

    def _load_protocol(self) -> bool:
        """Load the match of the rule's protocol once, because an unknown option may be its."""
        if self.protocol_loaded or self.protocol is None or self.protocol.inverted:
            return False
        name = PROTOCOL_MATCHES.get(self.protocol.number)
        if name is None or any(opened.extension.name == name for opened in self.matches):
            return False
        self.protocol_loaded = True
        self._open_match(name)
        self.at -= 1
        word = self.words[self.at]
        self.at += 1
        self._long(word)
        return True

    # -- commands ----------------------------------------------------------------------------------------------

    def _command(self, letter: str, rest: str) -> None:
        if self.inverted:
            raise RuleProblem(f"unexpected ! flag before --{_long_name(letter)}", token=rest)
        if self.letter and not (letter in "LZ" and self.letter in "LZ"):
            raise RuleProblem(f"Cannot use -{letter} with -{self.letter}", token=rest)
        both = self.letter not in ("", letter)  # -L and -Z
        self.letter, self.flags = "L" if both else letter, self.flags | ({"Z"} if both else set())
        if letter in _WITH_CHAIN:
            self.chain = rest or self._argument(f"-{letter}")
        else:
            self.chain = rest or self._optional() or self.chain
        if letter in "IDRLSZ":
            self._rule_number(letter)
        if letter in "EP":
            self.name = self._optional()
            if not self.name:
                what = "old-chain-name and new-chain-name" if letter == "E" else "a chain and a policy"
                raise RuleProblem(f"-{letter} requires {what}", token=self.chain)
            if letter == "E":
                check_chain_name(self.name)
        if letter == "N":
            check_chain_name(self.chain)

    def _rule_number(self, letter: str) -> None:
        word = self._optional()
        if word:
            position = number(word.lstrip("0") or "0", 1, 2**31) if word.isdigit() else None
            if position is None:
                raise RuleProblem(f"Invalid rule number `{word}'", token=word)
            self.position = position
        elif letter == "R":
            raise RuleProblem("-R requires a rule number", token=self.chain)
        elif letter == "I":
            self.position = 1

    # -- options of the rule itself -------------------------------------------------------------------------------

    def _core(self, letter: str, value: str) -> None:
        if letter in "sdpiojgftc":
            if letter in self.seen:
                raise RuleProblem(f"multiple -{letter} flags not allowed", token=value)
            self.seen[letter] = self.inverted
        if self.inverted and letter == "m":
            raise RuleProblem("unexpected ! flag before --match", token=value)
        if self.inverted and letter not in "sdpiof":
            raise RuleProblem(f"cannot have ! before -{letter}", token=value)
        if letter in "46" and int(letter) != self.family:
            if self.restoring:
                raise OtherFamily
            raise RuleProblem("", token=f"-{letter}", kind="hint")
        if letter in "nvx460":
            self.flags.add(letter)
        elif letter in _HANDLERS:  # -M (--modprobe) has no effect here
            _HANDLERS[letter](self, value)

    def _wait(self, letter: str, value: str) -> None:
        if self.restoring:
            raise RuleProblem(f"You cannot use `-{letter}' from iptables-restore")
        self.flags.add(letter)
        if not value and self.at < len(self.words) and self.words[self.at].isdigit():
            self.at += 1

    def _program(self) -> str:
        return "iptables" if self.family == 4 else "ip6tables"

    def _table(self, value: str) -> None:
        if self.restoring:
            raise RuleProblem(f"The -t option cannot be used in {self._program()}-restore.\n", token=value)
        self.table = value

    def _source(self, value: str) -> None:
        self.source_text = value

    def _destination(self, value: str) -> None:
        self.destination_text = value

    def _protocol(self, value: str) -> None:
        value_ = protocol(value.lower())
        if value_ == 0 and self.inverted:
            raise RuleProblem("rule would never match protocol", token=value)
        if value_ or self.inverted:
            self.protocol = Protocol(value_, self.inverted)
        else:
            self.protocol = None

    def _in(self, value: str) -> None:
        self.iif = self._interface(value)

    def _out(self, value: str) -> None:
        self.oif = self._interface(value)

    def _interface(self, value: str) -> Interface | None:
        if not value:
            raise RuleProblem("Empty interface is likely to be undesired", token=value)
        if len(value) > INTERFACE_LIMIT:
            raise RuleProblem(f"interface name `{value}' must be shorter than IFNAMSIZ (15)", token=value)
        return None if value == "+" and not self.inverted else Interface(value, self.inverted)

    def _fragment(self, _value: str) -> None:
        if self.family == 6:
            raise RuleProblem("`-f' is not supported in IPv6, use -m frag instead", token="-f")
        self.fragment = "! -f" if self.inverted else "-f"

    def _set_counters(self, value: str) -> None:
        packets, comma, octets = value.partition(",")
        octets = octets if comma else self._optional()
        if not octets:
            raise RuleProblem("-c requires packet and byte counter", token=value)
        self.counters = _counter(packets, "packet"), _counter(octets, "byte")

    # -- matches and targets -----------------------------------------------------------------------------------

    def _open_match(self, name: str) -> None:
        extension = match_extension(MATCH_ALIASES.get(name, name), self.family)
        self.matches.append(_Open(extension, Given(extension.name, self.family), name))

    def _jump(self, name: str) -> None:
        if self.jump is not None:
            raise RuleProblem("multiple -j flags not allowed", token=name)
        if not name:
            raise RuleProblem("Invalid target name (too short)", token=name)
        if len(name) > CHAIN_NAME_LIMIT:
            raise RuleProblem(f"Invalid target name `{name}' ({CHAIN_NAME_LIMIT} chars max)", token=name)
        extension = None if name in VERDICTS else target_extension(name, self.family)
        if extension is not None:
            self.target = _Open(extension, Given(extension.name, self.family), name)
        self.jump = Target(name, is_chain=extension is None and name not in VERDICTS)

    def _goto(self, name: str) -> None:
        if self.jump is not None:
            raise RuleProblem("multiple -g flags not allowed", token=name)
        if name in VERDICTS or target_extension(name, self.family) is not None:
            raise RuleProblem(f"goto '{name}' is not a chain\n", token=name)
        self.jump = Target(name, goto=True, is_chain=True)

    # -- the end ---------------------------------------------------------------------------------------------------

    def _finish(self) -> Command:
        if not self.letter:
            raise RuleProblem("no command specified")
        given = self.seen.keys() | self.flags | ({"c"} if self.counters else set())
        check_options(self.letter, given, by_number=bool(self.position))
        try:
            matches, target = self._built()
        except RuleProblem as problem:
            if problem.kind == "commit":  # what only the kernel finds out
                raise RuleProblem(f"{problem.reason}: rule in chain {self.chain}", kind="commit") from None
            raise
        sources, destinations = self._networks(self.source_text, "s"), self._networks(self.destination_text, "d")
        if len(sources) * len(destinations) > RULES_PER_LINE_LIMIT:
            raise RuleProblem("too many addresses in one rule", token=self.source_text[:40])
        rules: tuple[RuleParts, ...] = ()
        if self.letter in "ADCIR" and not (self.position and self.letter == "D"):
            rules = tuple(
                RuleParts(
                    self.family, src, dst, self.iif, self.oif, self.protocol, self.fragment, matches, target
                )
                for src in sources
                for dst in destinations
            )  # fmt: skip
        check_interfaces(self.letter, self.chain, self.iif, self.oif)
        return Command(
            self.letter, self.chain, rules, self.position, self.name, self.counters, self.table, "n" in self.flags,
            "v" in self.flags, "0" in self.flags, "x" in self.flags, "Z" in self.flags,
        )  # fmt: skip

    def _built(self) -> tuple[tuple[Match, ...], Target | None]:
        """All matches and the target, checked."""
        proto = self.protocol.number if self.protocol and not self.protocol.inverted else 0
        opened = [*self.matches, *([self.target] if self.target else [])]
        for each in opened:
            each.given.protocol = proto
        built = []
        for each in opened:
            built.append(each.extension.build(each.given))
            each.given.check(each.extension.options)
        matches = tuple(Match(each.extension.name, value) for each, value in zip(self.matches, built, strict=False))
        for each in self.matches:
            if each.extension.name == "tcpmss" and proto != _TCP:
                raise RuleProblem(f"RULE_APPEND failed ({INVALID})", token=each.name, kind="commit")
        if self.target is None:
            return matches, self.jump
        return matches, Target(self.target.name, built[-1])

    def _networks(self, text: str, letter: str) -> list[Network | None]:
        if not text:
            return [None]
        parts = text.split(",")
        if len(parts) > 1 and self.seen.get(letter):
            raise RuleProblem("! not allowed with multiple source or destination IP addresses", token=text)
        networks = [network(part, self.family, inverted=self.seen.get(letter, False)) for part in parts if part]
        if self.letter == "R" and len(networks) > 1:
            raise RuleProblem("Replacement rule does not specify a unique address", token=text)
        return networks or [None]


_HANDLERS: dict[str, Callable[[_Reader, str], None]] = {
    "s": _Reader._source, "d": _Reader._destination, "p": _Reader._protocol, "i": _Reader._in, "o": _Reader._out,
    "j": _Reader._jump, "g": _Reader._goto, "m": _Reader._open_match, "f": _Reader._fragment,
    "c": _Reader._set_counters, "t": _Reader._table,
}  # fmt: skip
