"""Random rules and packets through the real kernel and the model: `python tests/real_kernel/fuzz.py --examples 500`.

Prints how many scenarios were compared, refused by both, beyond the model, or ended by a random choice or a time-out; and
the first scenario that differs, made small. Exit status 1 when one differs.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from both import compare
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from packets import scripts
from real_node import why_not
from scenario import Load, Scenario
from setups import setups

from fakecluster.strategies import iptables_rules
from fakecluster.strategies.rule_sets import LANGUAGES, RuleSet, rule_sets


def scenarios(language: str) -> st.SearchStrategy[Scenario]:
    """Rules of one family and backend, and packets for them."""

    def with_packets(rules: RuleSet) -> st.SearchStrategy[Scenario]:
        load = Load(rules.command, rules.text)
        before = setups(rules.family) if language == "iptables" else st.just(())
        return st.builds(lambda first, steps: Scenario((*first, load), steps), before, scripts(rules.family))

    if language != "iptables":
        return rule_sets(languages=(language,)).flatmap(with_packets)
    return _with_sets().flatmap(with_packets)


@st.composite
def _with_sets(draw: st.DrawFn) -> RuleSet:
    family, backend = draw(st.sampled_from((4, 4, 6))), draw(st.sampled_from(("", "-legacy")))
    tool = f"{'iptables' if family == 4 else 'ip6tables'}{backend}-restore"
    return RuleSet((tool,), draw(iptables_rules.restores(family, sets=True)), family)


class Different(AssertionError):
    """The model and the kernel disagree."""


def fuzz(language: str, *, examples: int, start: int, shrink: bool = True) -> tuple[Counter[str], str]:
    """Run scenarios; the outcomes counted, and the smallest difference found ("" when there is none)."""
    counts: Counter[str] = Counter()
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]

    @seed(start)
    @settings(
        max_examples=examples, deadline=None, database=None, phases=phases, suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )  # fmt: skip
    @given(scenarios(language))
    def run(scenario: Scenario) -> None:
        try:
            result = compare(scenario)
        except TimeoutError:  # a machine so busy that its kernel does not even answer ARP tells nothing
            counts["timed out"] += 1
            return
        counts[result.outcome.partition(":")[0]] += 1
        counts["packets"] += result.packets
        if result.outcome.startswith("unsupported"):
            counts[result.outcome] += 1
        if result.differences:
            raise Different("\n".join((str(scenario), *result.differences)))

    try:
        run()
    except Different as found:
        return counts, str(found)
    return counts, ""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=200, help="scenarios per language")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--language", choices=sorted(LANGUAGES), action="append")
    options = parser.parse_args(argv)
    reason = why_not()
    if reason:
        print(f"skipped: {reason}")
        return 0
    status = 0
    for language in options.language or sorted(LANGUAGES):
        counts, difference = fuzz(language, examples=options.examples, start=options.seed)
        told = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
        print(f"{language}: {told}; {'a difference:' if difference else 'no difference'}")
        if difference:
            print(difference)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
