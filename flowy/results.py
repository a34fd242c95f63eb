"""The verbs of workflow code: what to do with results besides passing them on.

Owns: `wait`, `first`, `finish_order`, `parallel_reduce`, `map`, `restart`, `cancel`, `signal`,
`send_signal`, `side_effect`, `changed`, `continue_suggested`. Each means the same with and without an
engine: given plain values only, it is plain Python; given results, it works in the graph of their run.

May not know: engines, clocks, processes. The meaning itself is in the core (`_sched`); the verbs that
need a clock are in `clock`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from flowy._sched import (
    Dependency,
    MapResult,
    RestartCall,
    Result,
    Run,
    current,
    holds_result,
    is_result,
    look,
)
from flowy.errors import UsageError

__all__ = [
    "cancel",
    "changed",
    "continue_suggested",
    "finish_order",
    "first",
    "is_result",
    "map",
    "parallel_reduce",
    "restart",
    "send_signal",
    "share",
    "side_effect",
    "signal",
    "wait",
]

_MISSING: Any = object()
MAP_WINDOW = 4096


def wait(x: Any) -> Any:
    """Wait for `x` and return its value.

    A container (list, tuple, set, dict, named tuple, dataclass) that holds results comes back with
    their values in place, once all of them are known. Anything else comes back as it is.

    Raises:
        TaskError: the task failed (of several, the one that failed first); its subclasses
            `TaskTimedout`, `TaskCancelled` and `WorkerDied` tell how.

    >>> wait(3)
    3
    """
    run = current()
    if run is not None:
        return run.wait(x)
    held = holds_result(x)
    if held is not None:
        look(held)  # tells why that can't work outside its run
    return x


def first(*results: Any) -> Any:
    """A result that stands for whichever of `results` finishes first; does not wait.

    Takes several results or one iterable of them. Plain values count as finished, before all results.

    Raises:
        ValueError: there is nothing to choose from.

    >>> first([4, 5])
    4
    """
    items = _items(results)
    run = _run_of(items)
    if run is not None:
        return run.first(items)
    for item in items:
        return item
    raise ValueError("first() of nothing: give it at least one result or value")


def finish_order(*results: Any) -> Iterator[Any]:
    """Iterate over `results` in the order in which they finish; does not wait.

    The k-th item is a result that stands for the k-th to finish, so a chain of calls over it is built
    at once. Takes several results or one iterable of them. Plain values come first.

    >>> list(finish_order(1, 2))
    [1, 2]
    """
    items = _items(results)
    run = _run_of(items)
    if run is not None:
        return run.finish_order(items)
    return iter(items)


def parallel_reduce(
    function: Callable[[Any, Any], Any], iterable: Iterable[Any], initializer: Any = _MISSING
) -> Any:
    """Combine all values of `iterable` with `function`, any two as soon as two are there.

    Args:
        function: associative and commutative; a dependency, or a plain function, which may call
            dependencies but not wait.
        iterable: results and plain values.
        initializer: one more value, if given.

    Raises:
        ValueError: there is nothing to combine and no initializer.

    >>> parallel_reduce(lambda x, y: x + y, [1, 2, 3], 10)
    16
    """
    items = iterable if type(iterable) is MapResult else list(iterable)
    run = current()
    if run is None:
        run = _run_of(items)
    if run is None:
        values: list[Any] = list(items)
        if initializer is not _MISSING:
            values.insert(0, initializer)
        if not values:
            raise ValueError("parallel_reduce() of nothing, without an initializer")
        return functools.reduce(function, values)
    return run.parallel_reduce(function, items, () if initializer is _MISSING else (initializer,))


def map(function: Callable[..., Any], *iterables: Any, window: int = MAP_WINDOW) -> Any:
    """Call `function` for each item of `iterables`, as one fan-out; a sequence of results.

    Args:
        function: a dependency. With a plain callable the result is a plain list.
        iterables: drawn in parallel, to the end of the shortest. Where one of them has no length, they
            are drawn lazily, as results are consumed.
        window: how many items a lazy map draws ahead of what was consumed.

    >>> map(abs, [-1, 2])
    [1, 2]
    """
    if not iterables:
        raise UsageError("flowy.map needs at least one iterable after the function")
    if type(function) is not Dependency:
        return [function(*items) for items in zip(*iterables, strict=False)]
    if window < 1:
        raise UsageError(f"the window of a map must be at least 1, not {window}")
    return function.run.map(function, iterables, window)


def restart(*args: Any, **kwargs: Any) -> Any:
    """What a workflow returns to be started again with this input and an empty history."""
    return RestartCall(args, kwargs)


def cancel(result: Any) -> None:
    """Ask for a call or timer to be cancelled; those who need it fail with `TaskCancelled`.

    Does nothing for what is finished, and for plain values.
    """
    run = current()
    if type(result) is Result and run is not None:
        run.cancel(result)


def share(x: Any) -> Any:
    """Say that `x` will not change, and get a result that stands for it.

    Worker processes find a shared value in memory, where it is written once, however many tasks get
    it. Large buffers (from 64 KiB: of arrays, tables, bytes) are written once also without this, but
    only as long as tasks that got them are on their way; `share` keeps the whole value there, pickle
    and all, for as long as its result is. Each task has a view of its own: what it changes, no other
    task sees.

    Without an engine, `x` itself.

    >>> share([1, 2])
    [1, 2]
    """
    run = current()
    if run is None or run.is_plain or is_result(x):
        return x
    return run.share(wait(x))


def signal(name: str) -> Any:
    """A result that stands for the next signal `name` that the run receives.

    Raises:
        UsageError: there is no engine that could receive one.
    """
    run = current()
    if run is None:
        raise UsageError(f"no run could receive the signal {name!r} here: use an engine")
    return run.signal(name)


def send_signal(to: Any, name: str, value: Any = None, *, run_id: str | None = None) -> Any:
    """Send another run the signal `name`, for its `flowy.signal(name)`.

    Args:
        to: the result of a call of a sub-workflow, or the id of a workflow elsewhere (on Amazon SWF).
        name: of the signal.
        value: results in it are waited for.
        run_id: where an id names several runs one after the other, this one only.

    Returns:
        A result that is known (None) when the other run has the signal, and fails if there is none.

    Raises:
        UsageError: there is no engine that could send it.
    """
    run = current()
    if run is None or run.is_plain:
        raise UsageError(f"no other run could get the signal {name!r} here: use an engine")
    return run.send_signal(to, name, run.wait(value), run_id)


def changed(name: str) -> bool:
    """Whether this run is past the change `name` of its code.

    Workflow code can be changed while runs of it are under way: put what is new into
    ``if changed('name'):`` and what was into ``else:``. Runs that had come by here before the change
    get False, all others True, each the same answer for ever.

    >>> changed('two warehouses')
    True
    """
    run = current()
    return run is None or run.is_plain or run.changed(name)


def continue_suggested() -> bool:
    """Whether the run's history gets so long that it had better return `restart(…)` with what is left.

    Counts what the calls under way will add. Always False where histories have no limit.

    >>> continue_suggested()
    False
    """
    run = current()
    return run is not None and run.continue_suggested


def side_effect(function: Callable[[], Any]) -> Any:
    """The answer of `function`, asked once in the life of a run; replays get the same answer.

    >>> side_effect(lambda: 5)
    5
    """
    run = current()
    return function() if run is None else run.note(function)


def _items(results: tuple[Any, ...]) -> Any:
    """The one iterable that was given, or all arguments."""
    if len(results) != 1 or type(results[0]) is Result:
        return list(results)
    given = results[0]
    if type(given) is MapResult:
        return given
    try:
        return list(given)
    except TypeError:
        return [given]


def _run_of(items: Any) -> Run | None:
    """The run whose graph is asked: that of the code, unless all is plain Python."""
    run = current()
    if run is not None:
        return run
    if type(items) is MapResult or any(type(item) is Result for item in items):
        raise UsageError("results can only be used by the code of their own run, while it runs")
    return None
