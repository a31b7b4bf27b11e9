"""Rule sets of a node's kernel, as text for iptables-restore or nft."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import attrs
from hypothesis import strategies as st

from fakecluster.strategies import arguments, iptables_rules, nft_rules

if TYPE_CHECKING:
    from fakecluster.handles import Host
    from fakecluster.kernel.netns import Netns

#: language -> the text of a rule set for one family
LANGUAGES: dict[str, Callable[[int], st.SearchStrategy[str]]] = {"iptables": iptables_rules.restores, "nft": nft_rules.files}
BACKENDS = ("nft", "legacy")


@attrs.frozen
class RuleSet:
    """A rule set: the command that takes it and the text that it is given; `family` is 4 or 6."""

    command: tuple[str, ...]
    text: str
    family: int

    def load(self, host: Host | Netns) -> None:
        """Load it on a node, a Pod or a bare namespace. Raises `CommandError` or `Unsupported`, nothing is changed then."""
        host.run(self.command, self.text)

    def __str__(self) -> str:
        return f"$ {' '.join(self.command)}\n{self.text}"


@st.composite
def rule_sets(
    draw: st.DrawFn,
    *,
    languages: Sequence[str] = tuple(LANGUAGES),
    families: Sequence[int] = (4, 6),
    backends: Sequence[str] = BACKENDS,
) -> RuleSet:
    """Rule sets of every table, hook, match and target that is modelled, over the addresses of `rule_addresses`.

    They parse; a kernel may still refuse some (a NAT target where it cannot be), as it refuses those of people.
    `backends` are those of iptables.
    """
    for name, given, known in (("languages", languages, tuple(LANGUAGES)), ("families", families, (4, 6)),
                               ("backends", backends, BACKENDS)):  # fmt: skip
        arguments.some_of(name, given, known)
    language, family = draw(st.sampled_from(tuple(languages))), draw(st.sampled_from(tuple(families)))
    command: tuple[str, ...] = ("nft", "-f", "-")
    if language == "iptables":
        backend = draw(st.sampled_from(tuple(backends)))
        tool = "iptables" if family == 4 else "ip6tables"
        command = (f"{tool}{'-legacy' if backend == 'legacy' else ''}-restore",)
    return RuleSet(command, draw(LANGUAGES[language](family)), family)
