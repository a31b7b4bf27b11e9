"""The order in which a Go set is read."""

from fractions import Fraction

from fakecluster.proxy.ipvs.order import set_order
from fakecluster.sim import Seeded, enumerate_outcomes


def test_a_small_set_is_read_from_one_of_eight_slots_on():
    found = {
        tuple(order): chance
        for chance, order, _ in enumerate_outcomes(lambda choices: set_order(("a", "b", "c"), choices, "x"))
    }
    assert found == {
        ("a", "b", "c"): Fraction(6, 8),
        ("b", "c", "a"): Fraction(1, 8),
        ("c", "a", "b"): Fraction(1, 8),
    }


def test_a_full_group_of_slots_starts_anywhere_alike():
    names = tuple("abcdefgh")
    starts = [chance for chance, _, _ in enumerate_outcomes(lambda choices: set_order(names, choices, "x"))]
    assert starts == [Fraction(1, 8)] * 8


def test_nine_items_come_in_any_order_but_all_of_them():
    order = set_order(tuple("abcdefghi"), Seeded(1), "x")
    assert sorted(order) == list("abcdefghi")
    assert order != set_order(tuple("abcdefghi"), Seeded(2), "x")


def test_one_item_asks_nothing():
    choices = Seeded(0)
    assert set_order(("a",), choices, "x") == ["a"]
    assert choices.taken == []
