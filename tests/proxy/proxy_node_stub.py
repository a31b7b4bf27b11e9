"""A node that remembers commands and answers a few of them, for tests of kube-proxy without a kernel."""

from __future__ import annotations

from collections.abc import Sequence

from fakecluster.errors import CommandError


class StubNode:
    """`answers`: command (joined by blanks) -> output; `refuse`: first words of commands that fail."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, ...]] = []
        self.stdins: list[str] = []
        self.answers: dict[str, str] = {}
        self.refuse: set[str] = set()
        self.listening: dict[tuple[str, int], str] = {}

    def run(self, command: Sequence[str], stdin: str = "") -> str:
        argv = tuple(command)
        self.commands.append(argv)
        if argv[0] in self.refuse:
            raise CommandError(argv, 4, f"{argv[0]}: refused")
        if "-C" in argv and argv[0] != "ipvsadm":
            raise CommandError(argv, 1, f"{argv[0]}: Bad rule (does a matching rule exist in that chain?).")
        if stdin:
            self.stdins.append(stdin)
        return self.answers.get(" ".join(argv), "")

    def listen(self, address: str, port: int, target: str) -> None:
        if (address, port) in self.listening:
            raise CommandError(("listen", address, str(port)), 98, "bind: address already in use")
        self.listening[address, port] = target

    def close(self, address: str, port: int) -> None:
        del self.listening[address, port]
