from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakecluster.errors import OutcomesError
from fakecluster.sim import Keyed, Scripted, Seeded, enumerate_outcomes


def test_the_same_seed_gives_the_same_choices():
    first, second = Seeded(7), Seeded(7)
    assert [first.pick([1, 2, 3], "x") for _ in range(20)] == [second.pick([1, 2, 3], "x") for _ in range(20)]


def test_a_zero_weight_is_never_picked():
    choices = Seeded(1)
    assert {choices.pick([0, 1, 0, 2], "x") for _ in range(100)} == {1, 3}


def test_a_fork_continues_alike():
    choices = Seeded(3)
    choices.pick([1, 1], "x")
    fork = choices.fork()
    assert [choices.draw(1000, "p") for _ in range(5)] == [fork.draw(1000, "p") for _ in range(5)]


@pytest.mark.parametrize("source", [Seeded(3), Scripted([1]), Keyed(3)], ids=repr)
def test_what_is_skipped_is_not_drawn_again(source):
    other = source.fork()
    for below in (65536, 3, 1 << 32):
        source.draw(below, "why")
        other.skip(below, "why")
    assert [source.draw(1 << 32, "why") for _ in range(3)] == [other.draw(1 << 32, "why") for _ in range(3)]
    assert source.pick([1, 1, 1, 1], "why") == other.pick([1, 1, 1, 1], "why")


def test_a_script_is_followed_and_then_the_first_possible_index_taken():
    choices = Scripted([1, 0])
    assert [choices.pick([1, 1], "x"), choices.pick([1, 1], "x"), choices.pick([0, 0, 5], "x")] == [1, 0, 2]


def test_an_impossible_script_is_refused():
    with pytest.raises(ValueError, match=r"scripted choice 1 is impossible among weights \(1, 0\) \(why\)"):
        Scripted([1]).pick([1, 0], "why")


def test_outcomes_are_exact():
    def run(choices):
        if choices.pick([1, 2], "first") == 0:
            return "web-1"
        return ["web-2", "web-3"][choices.pick([1, 1], "second")]

    assert [(p, result) for p, result, _ in enumerate_outcomes(run)] == [
        (Fraction(1, 3), "web-1"),
        (Fraction(1, 3), "web-2"),
        (Fraction(1, 3), "web-3"),
    ]


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=4).filter(any), max_size=4))
def test_probabilities_add_up_to_one(levels):
    def run(choices):
        return tuple(choices.pick(weights, "level") for weights in levels)

    leaves = list(enumerate_outcomes(run))
    assert sum(probability for probability, _, _ in leaves) == 1
    assert len({result for _, result, _ in leaves}) == len(leaves)


def test_the_bound_is_said():
    with pytest.raises(OutcomesError, match="more than 10 outcomes; the last choice was 'coin'"):
        list(enumerate_outcomes(lambda choices: [choices.pick([1, 1], "coin") for _ in range(10)], limit=10))


def test_nobodys_answers_go_on_after_somebodys() -> None:
    alone, between = Keyed(3), Keyed(3)
    expected = [alone.draw(1000, "x") for _ in range(3)]
    found = [between.draw(1000, "x")]
    for key in (7, 8):
        between.turn_to(key)
        between.draw(1000, "x")
        between.turn_to(key + 1, 5)
        between.turn_back()
        found.append(between.draw(1000, "x"))
    assert found == expected
