"""A restore that says again what an earlier one said takes it in by the chunk, and does what one does that reads it all."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fakecluster.rules.iptables.problem import RuleProblem
from fakecluster.rules.iptables.restore import restore
from fakecluster.rules.iptables.tables import Tables

SERVICES = 150


def sync(numbers: list[int], *, missing: bool = False) -> str:
    """What kube-proxy writes when these are its Services."""
    names = [f"KUBE-SVC-{number:016d}" for number in numbers]
    rule = '-A KUBE-SERVICES -m comment --comment "ns/s{0} cluster IP" -m tcp -p tcp -d 10.96.0.1 --dport {0} -j {1}'
    lines = [
        "*nat",
        ":KUBE-SERVICES - [0:0]",
        *[f":{name} - [0:0]" for name in names if not missing],
        *[rule.format(1000 + number, name) for number, name in zip(numbers, names, strict=True)],
        "-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j RETURN",
        "COMMIT",
    ]
    return "\n".join([*lines, ""])


def load(tables: Tables, text: str) -> None:
    restore(tables, text, flush=False, counters=True)


def saved(tables: Tables) -> list[str]:
    """Its lines, but for chains that nothing leads to any more."""
    return [line for line in tables.save().splitlines() if not line.startswith(":KUBE-SVC-")]


@settings(max_examples=25, deadline=None)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, SERVICES - 1), st.sampled_from(["drop", "change", "insert"])), min_size=1, max_size=4
    )
)
def test_a_changed_text_loads_as_if_it_were_the_first(changes: list[tuple[int, str]]) -> None:
    warm, numbers = Tables(4), list(range(SERVICES))
    load(warm, sync(numbers))
    load(warm, sync(numbers))
    for place, what in changes:
        at = min(place, len(numbers) - 1)
        numbers[at : at + (what != "insert")] = [] if what == "drop" else [200 + len(numbers) + at]
        cold = Tables(4)
        load(warm, sync(numbers))
        load(cold, sync(numbers))
        assert saved(warm) == saved(cold)


def test_a_text_that_says_nothing_new_leaves_the_chain_as_it_is() -> None:
    tables = Tables(4)
    load(tables, sync(list(range(SERVICES))))
    before = tables.tables["nat"].chains["KUBE-SERVICES"]
    load(tables, sync(list(range(SERVICES))))
    assert tables.tables["nat"].chains["KUBE-SERVICES"] is before


def refusal(tables: Tables, text: str) -> tuple[int, str]:
    try:
        load(tables, text)
    except RuleProblem as problem:
        return problem.line, str(problem)
    return 0, ""


def test_a_chain_that_is_missing_is_noticed_in_lines_that_were_read_before() -> None:
    numbers = list(range(SERVICES))
    warm = Tables(4)
    load(warm, sync(numbers))
    gone = "".join(f"-X KUBE-SVC-{number:016d}\n" for number in numbers)
    load(warm, f"*nat\n:KUBE-SERVICES - [0:0]\n{gone}COMMIT\n")
    refused = refusal(warm, sync(numbers, missing=True))
    assert refused == refusal(Tables(4), sync(numbers, missing=True))
    assert "KUBE-SVC-0000000000000000" in refused[1]


def test_a_loop_through_lines_that_were_read_before_is_refused_at_the_line_that_closes_it() -> None:
    numbers = list(range(SERVICES))
    warm, cold = Tables(4), Tables(4)
    load(warm, sync(numbers))
    closing = "-A KUBE-SVC-0000000000000003 -j KUBE-SERVICES\nCOMMIT\n"
    hooked = sync(numbers).replace("COMMIT\n", "-A OUTPUT -j KUBE-SERVICES\n" + closing)
    refused = refusal(warm, hooked)
    assert refused == refusal(cold, hooked)
    assert "RULE_APPEND failed" in refused[1]
