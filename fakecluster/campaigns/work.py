"""What a campaign does with one seed, in whatever process it comes to run."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

import attrs

from fakecluster.campaigns.outcome import Outcome, Seed

if TYPE_CHECKING:
    from hypothesis import settings as Settings

MACHINE, PROPERTY, FUNCTION = "stateful machine", "property", "function"


@attrs.frozen
class Work:
    """A stateful machine, a Hypothesis property, or a function of the seed; `examples` a seed, for the first two."""

    what: Callable[..., Any]
    kind: str
    examples: int | None = None

    @classmethod
    def of(cls, what: Any, examples: int | None) -> Work:
        """From the thing itself, or from `module:name`. Raises TypeError for what cannot be run by a seed.

        Raises LookupError for a name that cannot be imported.
        """
        if isinstance(what, str):
            what = _named(what)
        kind = _kind(what)
        if kind == FUNCTION and examples is not None:
            raise TypeError(f"{name_of(what)} is neither a property nor a stateful machine: it has no examples")
        if examples is not None and examples < 1:
            raise ValueError(f"examples={examples}: expected 1 or more")
        return cls(what, kind, examples)

    @property
    def name(self) -> str:
        return name_of(self.what)

    def __call__(self, seed: Seed) -> Outcome:
        return RUNNERS[self.kind](self, seed)

    def __reduce__(self) -> tuple[Any, ...]:
        """By name where it has one: what `given` makes cannot be pickled itself."""
        try:
            is_named = _named(self.name) is self.what
        except (LookupError, ImportError, TypeError):
            is_named = False
        return Work.of, (self.name if is_named else self.what, self.examples)


def name_of(what: Any) -> str:
    """`module:name` of a function or class, also of a `functools.partial` of one."""
    inner = getattr(what, "func", what)
    if hasattr(inner, "hypothesis"):
        inner = inner.hypothesis.inner_test
    return f"{getattr(inner, '__module__', '?')}:{getattr(inner, '__qualname__', repr(inner))}"


def _named(text: str) -> Any:
    """What `module:attribute` names. Raises TypeError for another form, LookupError for what cannot be imported."""
    module, _, path = text.partition(":")
    if not module or not path or module.startswith("."):
        raise TypeError(f"{text!r}: expected module:attribute, such as my_tests.properties:test_my_shop_recovers")
    try:
        found: Any = import_module(module)
    except ModuleNotFoundError as missing:
        if not f"{module}.".startswith(f"{missing.name}."):
            raise  # the module is there, and something that it imports is not
        raise LookupError(f"{text!r}: no module {missing.name!r} can be imported; expected module:attribute") from None
    for name in path.split("."):
        if not hasattr(found, name):
            raise LookupError(f"{text!r}: {_called(found)} has no {name!r}; expected module:attribute")
        found = getattr(found, name)
    return found


def _called(found: Any) -> str:
    return f"module {found.__name__!r}" if isinstance(found, ModuleType) else repr(found)


def _kind(what: Any) -> str:
    from hypothesis import is_hypothesis_test
    from hypothesis.stateful import RuleBasedStateMachine

    if isinstance(what, type) and issubclass(what, RuleBasedStateMachine):
        return MACHINE
    if not callable(what) or isinstance(what, type):
        raise TypeError(f"{what!r}: expected a stateful machine, a property (@given) or a function of the seed")
    return PROPERTY if is_hypothesis_test(what) else FUNCTION


def _function(work: Work, seed: Seed) -> Outcome:
    try:
        value = work.what(seed)
    except Exception as error:
        return failed(seed, error, "")
    try:
        json.dumps(value)
    except (TypeError, ValueError) as problem:
        return failed(seed, TypeError(f"what {work.name} returns is no JSON data: {problem}"), "")
    return Outcome(seed, ok=True, value=value)


def _property(work: Work, seed: Seed) -> Outcome:
    """One run of Hypothesis with this seed: generate and shrink, nothing kept in between, no wall clock."""
    from hypothesis import HealthCheck, Phase, settings
    from hypothesis import seed as seeded
    from hypothesis.reporting import with_reporter
    from hypothesis.stateful import run_state_machine_as_test

    what: Any = work.what
    own = _settings_of(work)
    chosen = settings(
        own,
        database=None,
        deadline=None,
        derandomize=False,
        report_multiple_bugs=False,
        print_blob=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        max_examples=work.examples or own.max_examples,
    )
    said: list[object] = []
    seeded(seed)(what)
    try:
        with with_reporter(said.append):
            if work.kind == MACHINE:
                run_state_machine_as_test(what, settings=chosen)
            else:
                what._hypothesis_internal_use_settings = chosen
                what()
    except Exception as error:
        return failed(seed, error, "\n".join(map(str, (*said, *getattr(error, "__notes__", ())))))
    finally:
        if work.kind == PROPERTY:
            what._hypothesis_internal_use_settings = own
        what._hypothesis_internal_use_seed = None
    return Outcome(seed, ok=True)


def _settings_of(work: Work) -> Settings:
    """The settings that a property or machine was given, or the default ones."""
    from hypothesis import settings

    what: Any = work.what.TestCase if work.kind == MACHINE else work.what  # type: ignore[attr-defined]
    name = "settings" if work.kind == MACHINE else "_hypothesis_internal_use_settings"
    found: Settings = getattr(what, name, None) or settings.default  # type: ignore[assignment]
    return found


RUNNERS: dict[str, Callable[[Work, Seed], Outcome]] = {
    MACHINE: _property,
    PROPERTY: _property,
    FUNCTION: _function,
}


def failed(seed: Seed, error: BaseException, example: str) -> Outcome:
    return Outcome(seed, ok=False, error=type(error).__name__, message=str(error), example=example)
