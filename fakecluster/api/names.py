"""What may be a name: labels, subdomains, qualified names, label values, port names (apimachinery util/validation).

Every check returns the server's complaints, none when the text is fine. Lengths are bytes of UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

LABEL_LENGTH = 63
SUBDOMAIN_LENGTH = 253
PORT_NAME_LENGTH = 15

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_WILDCARD = rf"\*\.{_SUBDOMAIN}"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = f"({_QUALIFIED})?"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"

_LABEL_RE, _LABEL_1035_RE = re.compile(_LABEL), re.compile(_LABEL_1035)
_SUBDOMAIN_RE, _WILDCARD_RE = re.compile(_SUBDOMAIN), re.compile(_WILDCARD)
_QUALIFIED_RE, _VALUE_RE = re.compile(_QUALIFIED), re.compile(_VALUE)
_CONFIG_KEY_RE = re.compile(_CONFIG_KEY)
_PORT_CHARACTERS_RE = re.compile("[-a-z0-9]+")
_LETTER_RE = re.compile("[a-z]")

_ALPHANUMERIC = "and must start and end with an alphanumeric character"
_LABEL_RULE = f"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', {_ALPHANUMERIC}"
_SUBDOMAIN_RULE = (
    f"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', {_ALPHANUMERIC}"
)
_LABEL_1035_RULE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
    "start with an alphabetic character, and end with an alphanumeric character"
)
_WILDCARD_RULE = (
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, "
    "which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character"
)
_QUALIFIED_RULE = f"must consist of alphanumeric characters, '-', '_' or '.', {_ALPHANUMERIC}"
_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', " + _ALPHANUMERIC
)
_CONFIG_KEY_RULE = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"


def _rule(text: str, pattern: str, *examples: str) -> str:
    shown = "".join(f"'{example}', {'' if last else ' or '}" for example, last in _with_last(examples))
    return f"{text} (e.g. {shown}regex used for validation is '{pattern}')"


def _with_last(examples: tuple[str, ...]) -> list[tuple[str, bool]]:
    return [(example, number == len(examples)) for number, example in enumerate(examples, 1)]


_LABEL_TEXT = _rule(_LABEL_RULE, _LABEL, "my-name", "123-abc")
_LABEL_1035_TEXT = _rule(_LABEL_1035_RULE, _LABEL_1035, "my-name", "abc-123")
_SUBDOMAIN_TEXT = _rule(_SUBDOMAIN_RULE, _SUBDOMAIN, "example.com")
_WILDCARD_TEXT = _rule(_WILDCARD_RULE, _WILDCARD, "*.example.com")
_QUALIFIED_TEXT = _rule(_QUALIFIED_RULE, _QUALIFIED, "MyName", "my.name", "123-abc")
_VALUE_TEXT = _rule(_VALUE_RULE, _VALUE, "MyValue", "my_value", "12345")
_CONFIG_KEY_TEXT = _rule(_CONFIG_KEY_RULE, _CONFIG_KEY, "key.name", "KEY_NAME", "key-name")


def length_of(text: str) -> int:
    """Bytes of `text` in UTF-8 (a lone surrogate, which JSON can carry, counts as the three bytes of U+FFFD)."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _too_long(text: str, limit: int, unit: str) -> list[str]:
    return [f"must be no more than {limit} {unit}"] if length_of(text) > limit else []


def dns_label(text: str) -> list[str]:
    """Complaints about `text` as an RFC 1123 label, such as a Namespace's name."""
    found = _too_long(text, LABEL_LENGTH, "characters")
    if not _LABEL_RE.fullmatch(text):
        found.append("must not contain dots" if _SUBDOMAIN_RE.fullmatch(text) else _LABEL_TEXT)
    return found


def dns_1035_label(text: str) -> list[str]:
    """Complaints about `text` as an RFC 1035 label."""
    found = _too_long(text, LABEL_LENGTH, "characters")
    return found if _LABEL_1035_RE.fullmatch(text) else [*found, _LABEL_1035_TEXT]


def dns_subdomain(text: str) -> list[str]:
    """Complaints about `text` as an RFC 1123 subdomain, which most objects' names are."""
    found = _too_long(text, SUBDOMAIN_LENGTH, "characters")
    return found if _SUBDOMAIN_RE.fullmatch(text) else [*found, _SUBDOMAIN_TEXT]


def wildcard_subdomain(text: str) -> list[str]:
    """Complaints about `text` as `*.` and a subdomain, such as an Ingress rule's host."""
    found = _too_long(text, SUBDOMAIN_LENGTH, "characters")
    return found if _WILDCARD_RE.fullmatch(text) else [*found, _WILDCARD_TEXT]


def qualified_name(text: str) -> list[str]:
    """Complaints about `text` as a label key: a name of at most 63 bytes, after an optional subdomain and '/'."""
    prefix, slash, name = text.rpartition("/")
    if "/" in prefix:
        return [
            f"a valid label key {_QUALIFIED_TEXT} with an optional DNS subdomain prefix and '/' "
            "(e.g. 'example.com/MyName')"
        ]
    found: list[str] = []
    if slash:
        found += [f"prefix part {m}" for m in (dns_subdomain(prefix) if prefix else ["must be non-empty"])]
    if not name:
        found.append("name part must be non-empty")
    found += [f"name part {m}" for m in _too_long(name, LABEL_LENGTH, "bytes")]
    if not _QUALIFIED_RE.fullmatch(name):
        found.append(f"name part {_QUALIFIED_TEXT}")
    return found


def label_value(text: str) -> list[str]:
    """Complaints about `text` as a label's value; the empty text is fine."""
    found = _too_long(text, LABEL_LENGTH, "bytes")
    return found if _VALUE_RE.fullmatch(text) else [*found, _VALUE_TEXT]


def port_name(text: str) -> list[str]:
    """Complaints about `text` as a container port's name (RFC 6335)."""
    found = _too_long(text, PORT_NAME_LENGTH, "characters")
    if not _PORT_CHARACTERS_RE.fullmatch(text):
        found.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not _LETTER_RE.search(text):
        found.append("must contain at least one letter (a-z)")
    if "--" in text:
        found.append("must not contain consecutive hyphens")
    if text.startswith("-") or text.endswith("-"):
        found.append("must not begin or end with a hyphen")
    return found


def config_key(text: str) -> list[str]:
    """Complaints about `text` as a key of a ConfigMap's or Secret's data."""
    found = _too_long(text, SUBDOMAIN_LENGTH, "characters")
    if not _CONFIG_KEY_RE.fullmatch(text):
        found.append(_CONFIG_KEY_TEXT)
    if text in (".", ".."):
        found.append(f"must not be '{text}'")
    elif text.startswith(".."):
        found.append("must not start with '..'")
    return found


def path_segment(text: str) -> list[str]:
    """Complaints about `text` as one part of a URL path."""
    if text in (".", ".."):
        return [f"may not be '{text}'"]
    return [f"may not contain '{bad}'" for bad in ("/", "%") if bad in text]


def domain_path(text: str) -> list[str]:
    """Complaints about `text` as a domain, a '/' and a path, such as `example.com/controller`."""
    domain, slash, path = text.partition("/")
    if not slash:
        return ['must be a domain-prefixed path (such as "acme.io/foo")'] if text else ["must be non-empty"]
    found = [f'must be a domain-prefixed path (such as "acme.io/foo"): {c}' for c in dns_subdomain(domain)]
    return found if path else [*found, "must be non-empty"]


def port_number(port: int) -> list[str]:
    """Complaints about `port` as a port number."""
    return [] if 1 <= port <= 65535 else ["must be between 1 and 65535, inclusive"]


def with_prefix(check: Callable[[str], list[str]]) -> Callable[[str, bool], list[str]]:
    """The same check for whole names and, when its second argument is true, for a generateName.

    A generateName may end with a hyphen since letters will follow; the server looks at it with its last *two*
    characters replaced (api/validation/generic.go, maskTrailingDash).
    """

    def checked(text: str, is_prefix: bool) -> list[str]:
        return check(text[:-2] + "a" if is_prefix and text.endswith("-") and len(text) > 1 else text)

    return checked


#: The names under which Kubernetes' own code knows these checks.
CHECKS: Mapping[str, Callable[[str], list[str]]] = {
    "IsDNS1035Label": dns_1035_label,
    "IsDNS1123Label": dns_label,
    "IsDNS1123Subdomain": dns_subdomain,
    "IsQualifiedName": qualified_name,
    "IsValidLabelValue": label_value,
    "IsValidPortName": port_name,
    "IsWildcardDNS1123Subdomain": wildcard_subdomain,
}
