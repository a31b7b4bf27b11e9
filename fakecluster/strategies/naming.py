"""Names, labels and selectors."""

from __future__ import annotations

from collections.abc import Mapping
from string import ascii_letters, ascii_lowercase, digits
from typing import Any

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from fakecluster.strategies import arguments

JsonObject = dict[str, Any]
_LOWER = st.text(ascii_lowercase + digits, max_size=7)
_INNER = ascii_letters + digits + "-_."


def names() -> st.SearchStrategy[str]:
    """DNS-1035 labels, which every kind takes as a name (a letter first, at most 63 characters; short ones here)."""
    return st.builds(lambda first, rest: first + rest, st.sampled_from(ascii_lowercase), _LOWER)


def label_values() -> st.SearchStrategy[str]:
    """Label values: empty, or 1 to 63 of letters, digits, `-_.`, beginning and ending alphanumeric."""
    word = st.builds(
        lambda first, inner, last: first + inner + last,
        st.sampled_from(ascii_letters + digits),
        st.text(_INNER, max_size=6),
        st.sampled_from(ascii_letters + digits),
    )
    return st.sampled_from(["a", "b", "c", ""]) | word


def label_keys() -> st.SearchStrategy[str]:
    """Label keys, with and without a DNS prefix."""
    plain = st.sampled_from(["app", "tier", "version"]) | names()
    return plain | st.builds(lambda prefix, key: f"{prefix}.example/{key}", names(), plain)


@st.composite
def labels(draw: st.DrawFn, *, min_size: int = 0, max_size: int = 3) -> dict[str, str]:
    """Label sets."""
    if not 0 <= min_size <= max_size:
        raise InvalidArgument(f"min_size={min_size}, max_size={max_size}: expected 0 <= min_size <= max_size")
    return draw(st.dictionaries(label_keys(), label_values(), min_size=min_size, max_size=max_size))


@st.composite
def selectors(
    draw: st.DrawFn, *, matching: Mapping[str, str] | None = None, matches: bool | None = None
) -> dict[str, str]:
    """Selectors as Services have them: equality of at least one label.

    With `matching`, only those that match this label set (or, with `matches=False`, that do not).
    """
    _check_matching(matching, matches)
    if matching is None:
        return draw(labels(min_size=1))
    if matches is False:
        others = labels(min_size=1).filter(lambda chosen: not chosen.items() <= matching.items())
        return draw(others)
    if not matching:
        raise InvalidArgument("matching={}: no non-empty selector matches an object without labels; use matches=False")
    keys = draw(st.lists(st.sampled_from(sorted(matching)), min_size=1, unique=True))
    return {key: matching[key] for key in keys}


def _check_matching(matching: Mapping[str, str] | None, matches: bool | None) -> None:
    arguments.label_set("matching", matching)
    if matching is None and matches is not None:
        raise InvalidArgument(f"matches={matches} needs the labels that it is about: say matching={{...}}")


@st.composite
def label_selectors(
    draw: st.DrawFn, *, matching: Mapping[str, str] | None = None, matches: bool | None = None
) -> JsonObject:
    """LabelSelectors as Deployments and NetworkPolicies have them: matchLabels, matchExpressions, both or neither.

    With `matching`, only those that match this label set (or, with `matches=False`, that do not).
    """
    _check_matching(matching, matches)
    own = dict(matching) if matching is not None else draw(labels())
    wanted = draw(st.booleans()) if matches is None and matching is None else matches is not False
    right = draw(st.lists(_requirements(own, True), max_size=2))
    wrong = [] if wanted else [draw(_requirements(own, False))]
    found: JsonObject = {}
    for requirement in (*wrong, *right):
        if requirement["operator"] == "In" and len(requirement["values"]) == 1 and draw(st.booleans()):
            found.setdefault("matchLabels", {}).setdefault(requirement["key"], requirement["values"][0])
        else:
            found.setdefault("matchExpressions", []).append(requirement)
    return found


#: Requirements that a label set meets (True) or does not (False): operator, whether the key is one of the set's own,
#: whether the set's value is among the values (None: there are no values).
_CASES: dict[bool, tuple[tuple[str, bool, bool | None], ...]] = {
    True: (("In", True, True), ("Exists", True, None), ("NotIn", True, False), ("DoesNotExist", False, None),
           ("NotIn", False, False)),
    False: (("In", True, False), ("NotIn", True, True), ("DoesNotExist", True, None), ("Exists", False, None),
            ("In", False, False)),
}  # fmt: skip


@st.composite
def _requirements(draw: st.DrawFn, own: Mapping[str, str], holds: bool) -> JsonObject:
    operator, mine, with_own = draw(st.sampled_from([case for case in _CASES[holds] if own or not case[1]]))
    key = draw(st.sampled_from(sorted(own)) if mine else label_keys().filter(lambda key: key not in own))
    if with_own is None:
        return {"key": key, "operator": operator}
    others = label_values().filter(lambda value: value != own.get(key))
    values = draw(st.lists(others, min_size=0 if with_own else 1, max_size=2, unique=True))
    return {"key": key, "operator": operator, "values": [own[key], *values] if with_own else values}
