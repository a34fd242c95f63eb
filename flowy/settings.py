"""Options of activities as words: `--set fetch.retry=3`.

Owns: `read_settings`, from words to options by the way to an activity. `config` and `options` check what
they say.

May not know: workflows, argparse. Its neighbour is `command`, which hands them to a workflow.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable
from typing import Any

from flowy.errors import UsageError
from flowy.options import Options, Retry

Settings = dict[tuple[str, ...], dict[str, Any]]
"""Options by the way to an activity: the names of sub-workflows, then its own; `()` is all of them."""

_OF_RETRY = tuple(name for name in inspect.signature(Retry).parameters if name != "on")
_HOW = "write NAME.OPTION=VALUE, or OPTION=VALUE for all activities"


def read_settings(words: Iterable[str]) -> Settings:
    """What words like `fetch.start_to_close=30` and `retry.attempts=3` ask for.

    Raises:
        UsageError: one makes no sense.

    >>> read_settings(['sub.fetch.priority=2', 'heartbeat=0.5'])
    {('sub', 'fetch'): {'priority': 2}, (): {'heartbeat': 0.5}}
    >>> read_settings(['f.retry.attempts=4', 'f.retry.delay=1', 'g.retry=[0, 5]'])
    {('f',): {'retry': Retry(attempts=4, delay=1.0, backoff=2.0, max_delay=None, jitter=0.0, \
on=(<class 'Exception'>,))}, ('g',): {'retry': (0, 5)}}
    """
    found: Settings = {}
    retries: dict[tuple[str, ...], dict[str, Any]] = {}
    for word in words:
        left, equals, text = word.partition("=")
        if not equals:
            raise UsageError(f"--set {word}: there is no value; {_HOW}")
        way, option, part = _split(word, left.strip())
        value = _value(text)
        if part or (option == "retry" and isinstance(value, dict)):
            given = retries.setdefault(way, {})
            for name, x in {part: value}.items() if part else value.items():
                if name not in _OF_RETRY:
                    raise UsageError(f"--set {word}: retry has {', '.join(_OF_RETRY)}, no {name!r}")
                given[name] = x
            found.setdefault(way, {})["retry"] = Retry(**given)
        elif option == "retry":
            found.setdefault(way, {})["retry"] = _retry(value)
        else:
            found.setdefault(way, {})[option] = value
    return found


def _split(word: str, left: str) -> tuple[tuple[str, ...], str, str]:
    """(way to the activity, option, part of the option)."""
    parts = left.split(".")
    if parts[-1] in Options._fields:
        return tuple(parts[:-1]), parts[-1], ""
    if len(parts) > 1 and parts[-2] == "retry":
        return tuple(parts[:-2]), "retry", parts[-1]
    raise UsageError(
        f"--set {word}: {parts[-1]!r} is no option; {_HOW}: there are {', '.join(Options._fields)}"
    )


def _retry(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return Retry(attempts=value)
    return value


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return {"True": True, "False": False, "None": None}.get(text, text)
