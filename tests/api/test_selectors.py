from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakecluster.api import selectors
from fakecluster.api.label_rules import validate_label_selector
from fakecluster.api.selectors import SelectorError

KEYS = st.sampled_from(["a", "app", "x.io/k", "in", "notin", "n"])
VALUES = st.sampled_from(["", "1", "x", "in", "a.b-c_d"])
LISTS = st.lists(VALUES, min_size=1, max_size=3, unique=True)
REQUIREMENTS = st.one_of(
    st.builds(lambda k: k, KEYS),
    st.builds("!{}".format, KEYS),
    st.builds(
        lambda k, sign, v: f"{k}{sign}{v}",
        KEYS.filter(lambda k: k not in ("in", "notin")),
        st.sampled_from(["=", "==", "!="]),
        VALUES,
    ),
    st.builds(lambda k, v: f"{k} in ({','.join(v)})", KEYS, LISTS),
    st.builds(lambda k, v: f"{k} notin ({','.join(v)})", KEYS, LISTS),
    st.builds(lambda k, v: f"{k}>{v}", KEYS, st.integers(0, 99)),
)


@given(st.lists(REQUIREMENTS, max_size=4))
def test_the_canonical_text_means_the_same(parts: list[str]) -> None:
    selector = selectors.parse(",".join(parts))
    assert selectors.parse(str(selector)) == selector


@given(st.text(alphabet="ab=!(),<> in\x00-é", max_size=20))
def test_any_text_is_a_selector_or_a_selector_error(text: str) -> None:
    try:
        selectors.parse(text)
    except SelectorError as error:
        assert str(error)


def test_a_missing_label_satisfies_the_negative_operators_only() -> None:
    assert selectors.parse("a!=x,a notin (y),!a").matches({})
    assert not selectors.parse("a=").matches({})
    assert not selectors.parse("a<5").matches({})


def test_numbers_compare_as_numbers() -> None:
    assert selectors.parse("n>3,n<11").matches({"n": "10"})
    assert not selectors.parse("n>3").matches({"n": "x"})
    assert not selectors.parse("n>3").matches({"n": "99999999999999999999"})


def test_an_empty_list_holds_the_empty_value() -> None:
    assert selectors.parse("a in ()").matches({"a": ""})
    assert not selectors.parse("a in ()").matches({"a": "x"})


def test_no_label_selector_selects_nothing_and_an_empty_one_everything() -> None:
    assert not selectors.from_label_selector(None).matches({"a": "b"})
    assert selectors.from_label_selector({}).matches({"a": "b"})
    assert selectors.format_label_selector(None) == "<none>"


def test_label_selectors_join_labels_and_expressions() -> None:
    selector = {"matchLabels": {"b": "y"}, "matchExpressions": [{"key": "a", "operator": "In", "values": ["x"]}]}
    assert str(selectors.from_label_selector(selector)) == "a in (x),b=y"


def test_validation_names_the_place_of_every_mistake() -> None:
    selector = {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["x"]}, {"operator": "Gt"}]}
    found = [(error.type, error.field) for error in validate_label_selector(selector, "spec.selector")]
    assert found == [
        ("FieldValueForbidden", "spec.selector.matchExpressions[0].values"),
        ("FieldValueInvalid", "spec.selector.matchExpressions[1].operator"),
        ("FieldValueInvalid", "spec.selector.matchExpressions[1].key"),
        ("FieldValueInvalid", "spec.selector.matchExpressions[1].key"),
    ]


@pytest.mark.parametrize("text", ["a\\,b", "a=b\\", "a=b=c", "nonsense"])
def test_field_selectors_that_are_refused(text: str) -> None:
    with pytest.raises(SelectorError):
        selectors.parse_fields(text)


def test_field_selectors_escape_commas() -> None:
    selector = selectors.parse_fields(r"metadata.name=a\,b,status.phase!=Running")
    assert str(selector) == r"metadata.name=a\,b,status.phase!=Running"
    assert selector.matches({"metadata.name": "a,b"})
    assert not selector.matches({"metadata.name": "a,b", "status.phase": "Running"})
