"""Names, labels and selectors."""

from __future__ import annotations

from collections.abc import Mapping
from string import ascii_letters, ascii_lowercase, digits

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

_LOWER = st.text(ascii_lowercase + digits, min_size=1, max_size=8)
_INNER = ascii_letters + digits + "-_."


def names() -> st.SearchStrategy[str]:
    """DNS-1035 labels, which every kind takes as a name (a letter first, at most 63 characters; short ones here)."""
    return st.builds(lambda first, rest: first + rest, st.sampled_from(ascii_lowercase), _LOWER | st.just(""))


def label_values() -> st.SearchStrategy[str]:
    """Label values: empty, or 1 to 63 of letters, digits, `-_.`, beginning and ending alphanumeric."""
    word = st.builds(
        lambda first, inner, last: first + inner + last,
        st.sampled_from(ascii_letters + digits),
        st.text(_INNER, max_size=6),
        st.sampled_from(ascii_letters + digits),
    )
    return st.sampled_from(["a", "b", "c"]) | word | st.just("")


def label_keys() -> st.SearchStrategy[str]:
    """Label keys, with and without a DNS prefix."""
    plain = st.sampled_from(["app", "tier", "version"]) | names()
    return plain | st.builds(lambda prefix, key: f"{prefix}.example/{key}", names(), plain)


def labels(*, min_size: int = 0, max_size: int = 3) -> st.SearchStrategy[dict[str, str]]:
    """Label sets."""
    if min_size > max_size:
        raise InvalidArgument(f"min_size={min_size} is larger than max_size={max_size}")
    return st.dictionaries(label_keys(), label_values(), min_size=min_size, max_size=max_size)


def selectors(*, matching: Mapping[str, str] | None = None, matches: bool = True) -> st.SearchStrategy[dict[str, str]]:
    """Selectors as Services have them: equality of at least one label.

    With `matching`, only those that match this label set (or, with `matches=False`, that do not).
    """
    if matching is None:
        return labels(min_size=1)
    if matches:
        if not matching:
            raise InvalidArgument("no non-empty selector matches an object without labels")
        return st.lists(st.sampled_from(sorted(matching)), min_size=1, unique=True).map(
            lambda keys: {key: matching[key] for key in keys}
        )
    return labels(min_size=1).filter(lambda chosen: any(matching.get(key) != value for key, value in chosen.items()))
