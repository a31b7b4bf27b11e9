"""What iptables says when it refuses a rule, and with which exit status (xshared.c, nft.c of 1.8.9)."""

from __future__ import annotations

from fakecluster.errors import RuleSyntaxError

VERSION = "1.8.9"

#: errno words of nft_strerror() for what a command finds wrong with the tables
NO_CHAIN = "No chain/target/match by that name"
CHAIN_EXISTS = "Chain already exists"
BAD_POLICY = "Bad policy name"
NOT_BUILT_IN = "Bad built-in chain name"
BAD_RULE = "Bad rule (does a matching rule exist in that chain?)"
INDEX_TOO_BIG = "Index of insertion too big"
NOT_EMPTY = "Directory not empty"
IN_USE = "Device or resource busy"
TOO_MANY_LINKS = "Too many links"
INVALID = "Invalid argument"
NOT_SUPPORTED = "Operation not supported"
RANGE = "Numerical result out of range"
#: what iptables adds where the kernel says EINVAL
_DMESG = " Run `dmesg' for more information."
#: errno words of iptables-nft -> those of iptables-legacy
_LEGACY_WORDS = {
    "No such file or directory": NO_CHAIN, TOO_MANY_LINKS: "Too many levels of symbolic links", IN_USE: TOO_MANY_LINKS,
}  # fmt: skip


class RuleProblem(RuleSyntaxError):
    """One refusal. `kind` says which of iptables' ways of complaining it takes:

    "parameter": a bad option or value (exit status 2); "argument": a word that belongs to no option (2);
    "state": the tables do not allow it (1); "commit": the kernel refused it (4); "bare": words as they are (1), "plain": behind
    the program's name (1), "version": behind its version (1). `notice` is printed before all that.
    """

    def __init__(
        self, reason: str, *, token: str = "", kind: str = "parameter", line: int = 0, notice: str = ""
    ) -> None:
        super().__init__(reason, line=line, token=token)
        self.kind, self.notice = kind, notice

    def at(self, line: int) -> RuleProblem:
        """The same refusal, with the line it is about (unless it already names one)."""
        at = self.line or line
        return RuleProblem(self.reason, token=self.token, kind=self.kind, line=at, notice=self.notice)

    def status(self, backend: str) -> int:
        """The exit status: what the kernel refuses is 4 of iptables-nft, 1 of iptables-legacy."""
        if self.kind == "commit" and backend == "legacy":
            return 1
        return {"parameter": 2, "argument": 2, "hint": 2, "commit": 4, "table": 3}.get(self.kind, 1)

    def _errno(self) -> str:
        """iptables-legacy's words for what the kernel said (iptc_strerror)."""
        said = self.reason.partition("(")[2].partition(")")[0]
        return _LEGACY_WORDS.get(said, said)

    def words(self, program: str, backend: str) -> str:
        """What `program` ("iptables-restore", "iptables", ...) prints on its standard error."""
        restoring = program.endswith("-restore")
        version = f"{program} v{VERSION} ({'nf_tables' if backend == 'nft' else 'legacy'})"
        where = f"Error occurred at line: {self.line}\n" if restoring and self.line else ""
        hint = f"Try `{program} -h' or '{program} --help' for more information.\n"
        match self.kind:
            case "parameter":
                return f"{self.notice}{version}: {self.reason}\n{where}{hint}"
            case "bare":
                return f"{self.reason}\n"
            case "table" | "version":
                return f"{version}: {self.reason}\n"
            case "hint":
                return f"{where}{hint}"
            case "argument":
                return f"{self.reason}\n{where}{hint}"
            case "commit" | "state" if restoring and backend == "legacy":
                return f"{program}: line {self.line} failed\n"
            case "commit" if backend == "legacy":
                return f"{program}: {self._errno()}.{_DMESG if INVALID in self.reason else ''}\n"
            case "commit":
                place = f"\nline {self.line}: " if restoring else " "
                return f"{version}: {place}{self.reason}\n"
            case "state" if restoring:
                return f"{program}: line {self.line} failed: {self.reason}.\n"
            case "state":
                return f"{program}: {self.reason}.{_DMESG if self.reason == BAD_POLICY else ''}\n"
        return f"{program}: {self.reason}\n"
