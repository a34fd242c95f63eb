"""Workflows without an engine, with an engine's meaning.

Owns: `plain`, which runs a workflow as plain Python: each call is made at once, what fails becomes a
failed result that raises `TaskError` when looked at, and `restart` starts again.

May not know: engines, processes. The meaning is the core's (`_sched.run_plain`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from flowy import events
from flowy._sched import run_plain
from flowy.config import Factory, check_activity, check_factory, check_fit, check_name

__all__ = ["plain"]


def plain(factory: Factory, **functions: Callable[..., Any]) -> Callable[..., Any]:
    """A callable that runs the workflow without an engine.

    Args:
        factory: takes the dependencies by name and returns the workflow.
        functions: the dependencies: any callables, other `plain` workflows among them.

    Raises:
        UsageError: the functions don't fit the factory.

    >>> class Twice:
    ...     def __init__(self, double): self.double = double
    ...     def __call__(self, n): return self.double(self.double(n))
    >>> plain(Twice, double=lambda n: 2 * n)(5)
    20
    """
    check_factory(factory)
    for name, function in functions.items():
        check_name(name, {}, factory)
        check_activity(name, function)
    check_fit(factory, tuple(functions))

    def run(*args: Any, **kwargs: Any) -> Any:
        while True:
            ended = run_plain(
                factory,
                tuple(functions),
                tuple(functions.values()),
                args,
                kwargs,
                seed=int.from_bytes(os.urandom(8), "little"),
                time=time.time(),
            )
            outcome = ended.outcome
            if isinstance(outcome, events.Restart):
                args, kwargs = outcome.args, dict(outcome.kwargs)
                continue
            if isinstance(outcome, events.Complete):
                return outcome.value
            assert ended.exception is not None
            raise ended.exception

    return run
