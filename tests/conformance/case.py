"""What a case of the suite is: a workflow, what it depends on, its value, and where it can't be run.

Owns: `case`, the decorator that puts a workflow class into `CASES`; what activities of cases may ask
of the world they run in; and `Outcome`, which is how a run ended in a form that can be compared.

May not know: how cases are run (`ways`, `fleet`).

Times are seconds: of the virtual clock on Amazon SWF, hundredths of a second of the machine's elsewhere.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import flowy

__all__ = [
    "CASES",
    "SCALE",
    "Activity",
    "Case",
    "Handle",
    "Outcome",
    "World",
    "activity",
    "case",
    "form",
    "part",
    "world",
]

SCALE = 0.01
"""Real seconds that a second of a case is where time is real."""
WAYS = frozenset({"bare", "plain", "local", "inline", "processes", "swf", "faults", "moto"})
"""Where a case may say that it can't be run: 'plain' is also meant for 'bare', 'local' for all
executors, 'swf' for all that follow it."""
_ALSO = {
    "bare": ("bare", "plain"),
    "inline": ("inline", "local"),
    "threads": ("local",),
    "processes": ("processes", "local"),
    "faults": ("faults", "swf"),
    "moto": ("moto", "swf"),
}


class Handle(Protocol):
    """A run as those outside of it know it."""

    def signal(self, name: str, value: Any = None) -> None: ...

    def cancel(self) -> None: ...


Step = Callable[[Any], object]
"""What somebody outside does to a run, given its `Handle`."""


class Activity(NamedTuple):
    """A function, and the options of `conf_activity`, with SWF's names."""

    function: Callable[..., Any]
    options: Mapping[str, Any] = {}


class Outcome(NamedTuple):
    """How a run ended."""

    kind: str
    """'value', 'failed' or 'cancelled'."""
    what: Any
    """The value in a form that tells types apart, or the message."""


@dataclasses.dataclass(frozen=True)
class Case:
    """One workflow of the suite."""

    name: str
    factory: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    outcome: Outcome
    activities: Mapping[str, Activity]
    children: Mapping[str, Case]
    """Dependencies that are workflows."""
    child_options: Mapping[str, Any]
    """Of `conf_workflow` on Amazon SWF."""
    options: Mapping[str, Any]
    """Of `SWFWorkflowConfig`."""
    steps: Mapping[str, Sequence[Step]]
    """What is done from outside each time an activity has run, by the name of the dependency."""
    but: Mapping[str, str]
    """Where it can't be run, and why."""
    needs: frozenset[str]
    """What it needs of the service that not each one has."""

    def why_not(self, way: str) -> str:
        """Why it can't be run this way; '' if it can."""
        return next((self.but[w] for w in _ALSO.get(way, (way,)) if w in self.but), "")

    def family(self) -> dict[str, Case]:
        """It and all below it, by name."""
        found = {self.name: self}
        for child in self.children.values():
            if child.name not in found:
                found.update(child.family())
        return found


CASES: dict[str, Case] = {}


def case(
    *args: Any,
    value: Any = None,
    fails: str = "",
    cancelled: bool = False,
    given: Mapping[str, Any] | None = None,
    children: Mapping[str, Any] | None = None,
    child_options: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    steps: Mapping[str, Sequence[Step]] | None = None,
    but: Mapping[str, str] | None = None,
    needs: str = "",
    **activities: Any,
) -> Callable[[Any], Any]:
    """Put a workflow into the suite, run with `args` and the keyword arguments `given`.

    Args:
        value, fails, cancelled: how it must end: with a value, failed with a message, or cancelled.
        activities: functions, or what `activity` makes of them.
        needs: words; see `Case.needs`.
    """

    def make(factory: Any) -> Any:
        made = _make(factory, args, value, fails, cancelled, given, activities)
        made = dataclasses.replace(
            made,
            children=dict(children or {}),
            child_options=dict(child_options or {}),
            options=dict(options or {}),
            steps=dict(steps or {}),
            but=dict(but or {}),
            needs=frozenset(needs.split()),
        )
        assert set(made.but) <= WAYS, made.but
        assert made.name not in CASES
        CASES[made.name] = made
        return made

    return make


def part(children: Mapping[str, Any] | None = None, **activities: Any) -> Callable[[Any], Any]:
    """A workflow that is only run by others of the suite."""

    def make(factory: Any) -> Any:
        made = _make(factory, (), None, "", False, None, activities)
        return dataclasses.replace(made, children=dict(children or {}))

    return make


def _make(
    factory: Any,
    args: tuple[Any, ...],
    value: Any,
    fails: str,
    cancelled: bool,
    given: Mapping[str, Any] | None,
    activities: Mapping[str, Any],
) -> Case:
    kind = "failed" if fails else "cancelled" if cancelled else "value"
    return Case(
        name=factory.__name__,
        factory=factory,
        args=args,
        kwargs=dict(given or {}),
        outcome=Outcome(kind, fails if fails else "" if cancelled else form(value)),
        activities={n: f if isinstance(f, Activity) else Activity(f) for n, f in activities.items()},
        children={},
        child_options={},
        options={},
        steps={},
        but={},
        needs=frozenset(),
    )


def activity(function: Callable[..., Any], **options: Any) -> Activity:
    """A function with options of `conf_activity`."""
    return Activity(function, options)


def form(value: Any) -> Any:
    """A value with the types of all in it: 1, 1.0 and True are not the same."""
    kind = type(value)
    if kind is dict:
        return "dict", tuple((form(key), form(each)) for key, each in sorted(value.items(), key=repr))
    if kind in (list, tuple):
        return kind.__name__, tuple(form(each) for each in value)
    if kind in (set, frozenset):
        return kind.__name__, tuple(sorted((form(each) for each in value), key=repr))
    return kind.__name__, value


def outcome_of(error: BaseException) -> Outcome:
    """How a run ended that raised this."""
    if isinstance(error, (flowy.CancelRequested, flowy.TaskCancelled)):
        return Outcome("cancelled", "")
    if isinstance(error, flowy.TaskError):
        return Outcome("failed", str(error.args[0]))
    return Outcome("failed", str(error))


class World:
    """What activities share in one run of a case, and how they let time pass."""

    def __init__(self, lapse: Callable[[float], None] | None = None) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._lapse = lapse

    def count(self, name: str) -> int:
        """How often it was asked for this name, this time included."""
        with self._lock:
            self._counts[name] += 1
            return self._counts[name]

    def counted(self, name: str) -> int:
        """How often `count` was asked for this name."""
        return self._counts[name]

    def lapse(self, seconds: float) -> None:
        """Let time pass."""
        if self._lapse is None:
            time.sleep(seconds * SCALE)
        else:
            self._lapse(seconds)


class _Here:
    world = World()


def world() -> World:
    """The world as it is now."""
    return _Here.world


def enter(made: World) -> World:
    """Make another world."""
    _Here.world = made
    return made
