"""What the user configured: dependencies by name, and whether they fit the factory.

Owns: the checks of names, activities, workflows and factories, all made before anything runs, and
`Plan`, the checked form that engines run from.

May not know: engines, processes, clocks.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

from flowy.errors import UsageError
from flowy.options import Options

Factory = Callable[..., Callable[..., Any]]

_CO_VARIADIC = 0x04 | 0x08
"""Code flags of `*args` and `**kwargs`."""


class Plan:
    """A workflow factory and what stands behind each of its dependencies."""

    def __init__(
        self,
        factory: Factory,
        activities: dict[str, Callable[..., Any]],
        options: dict[str, Options],
    ) -> None:
        self.factory = factory
        self.activities = activities
        self.options = options
        """Of those activities that were given any."""
        self.workflows: dict[str, Plan] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The dependencies' names, activities first."""
        return (*self.activities, *self.workflows)


def check_factory(factory: Any) -> None:
    """Raises `UsageError` if `factory` can't make workflows."""
    if not callable(factory):
        raise UsageError(
            f"{factory!r} is no workflow: give a class (or any factory) that takes its dependencies "
            "and returns a callable"
        )


def check_name(name: Any, taken: Mapping[str, Any], factory: Factory) -> None:
    """Raises `UsageError` if `name` can't be the name of one more dependency of `factory`."""
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise UsageError(
            f"{name!r} can't name a dependency: the name is a parameter of {describe(factory)}, so it "
            "must be an identifier and no keyword"
        )
    if name in taken:
        raise UsageError(f"the dependency {name!r} is configured twice")


def check_activity(name: str, activity: Any) -> None:
    """Raises `UsageError` if `activity` can't be called."""
    if not callable(activity):
        raise UsageError(
            f"the activity {name!r} must be callable, but {activity!r} is {_article(activity)}: give "
            "the function itself"
        )


def check_fit(factory: Factory, names: tuple[str, ...]) -> None:
    """Raises `UsageError` unless `factory` can be called with exactly the dependencies `names`."""
    if _fits_plainly(factory, names):
        return
    import inspect  # here, because it takes some milliseconds to import

    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):
        return  # a factory written in C: its own error will tell
    parameters = signature.parameters.values()
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY]
    if positional:
        raise UsageError(
            f"{describe(factory)}{signature} takes {_list(positional)} by position only, but "
            "dependencies are given by name: remove the '/' from its signature"
        )
    by_name = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    unknown = [] if takes_any else [name for name in names if name not in by_name]
    missing = [
        p.name for p in parameters if p.name in by_name and p.default is p.empty and p.name not in names
    ]
    if not unknown and not missing:
        return
    problems = []
    if missing:
        problems.append(f"nothing is configured for {_list(missing)} (conf_activity, conf_workflow)")
    if unknown:
        problems.append(f"it has no parameter for {_list(unknown)}")
    raise UsageError(
        f"the dependencies don't match {describe(factory)}{signature}: {'; '.join(problems)}"
    )


def _fits_plainly(factory: Any, names: tuple[str, ...]) -> bool:
    """Whether an ordinary class or function has exactly these parameters; False: look closer."""
    function, new = factory, getattr(factory, "__new__", None)
    if type(factory) is type and new is object.__new__:
        function = vars(factory).get("__init__")
    code = getattr(function, "__code__", None)
    if code is None or type(function) is not FunctionType or vars(function) or code.co_posonlyargcount:
        return False
    taken = code.co_varnames[function is not factory : code.co_argcount + code.co_kwonlyargcount]
    return not code.co_flags & _CO_VARIADIC and sorted(taken) == sorted(names)


def describe(factory: Any) -> str:
    """The factory's name, for messages."""
    name = getattr(factory, "__qualname__", None)
    return name if isinstance(name, str) else repr(factory)


def _list(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _article(value: Any) -> str:
    kind = type(value).__name__
    return f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"
