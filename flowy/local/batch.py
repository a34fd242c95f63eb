"""Run a batch of calls and keep what each came to. The same loop in workers, threads and executors.

Owns: calling activities, and turning whatever happens into outcomes: a value, or a record of the
failure that can cross to the driver.

May not know: pipes, processes, runs. Its neighbours: `worker` calls it in a process, `executors` in
threads and in foreign executors.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from flowy import _loop, serialization
from flowy._record import Record
from flowy.errors import CancelRequested, Failure, FailureKind, UsageError, describe
from flowy.local.status import Page
from flowy.serialization import Work

_CO_COROUTINE = 0x80
_OUR_FILES = frozenset({__file__, "flowy/_loop.pyx"})


OBJECTS, BLOBS = 1, 2
"""What may be among values: any objects, and `bytes` of 64 KiB and more."""


class Trouble(Record):
    """How a call failed, in a form that crosses between processes."""

    message: str
    remote_traceback: str = ""
    exception: bytes | None = None
    misused: bool = False
    kind: FailureKind = "failed"
    timeout: str = ""
    """Which limit it was that passed."""


class Outcomes(Record):
    """What the calls of a batch came to, from position `first` on."""

    first: int
    values: list[Any]
    failures: dict[int, Trouble | BaseException]
    spent: dict[int, tuple[int, float]]
    """By function: how many calls, how many seconds."""
    kinds: int = OBJECTS
    """Flags of what is among the values beside numbers, strings, short bytes and None."""
    times: bytes = b""
    """If asked for, when each call ran; see `_loop.run_calls`."""
    size: int = 0
    """Bytes that the values took on their way, as far as is known."""


def nothing() -> Outcomes:
    """What became of a message of one call that was not to begin."""
    return Outcomes(0, [None], {}, {}, 0)


Flush = Callable[[Outcomes], None]

FLUSH_AFTER = 0.002
"""Seconds of work in a batch after which what is done goes back, before the rest is;"""
FLUSH_LATE = 0.02
"""where nobody waits for one of the outcomes alone. So much is done again if the worker dies."""


class Unpacking(threading.local):
    """Whether this thread of a worker takes apart what came: modules are imported then."""

    on = False


unpacking = Unpacking()


def prepare(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` as the loop calls it: an `async def` runs to its end under asyncio."""
    code = getattr(function, "__code__", None)
    if code is None:
        code = getattr(vars(type(function)).get("__call__"), "__code__", None)
    if code is None or not code.co_flags & _CO_COROUTINE:
        return function

    def run_async(*args: Any, **kwargs: Any) -> Any:
        import asyncio

        return asyncio.run(function(*args, **kwargs))

    return run_async


def run_calls(
    functions: Mapping[int, Callable[..., Any]],
    work: Work,
    *,
    flush: Flush | None = None,
    flush_after: float | None = None,
    through: tuple[type[BaseException], ...] = (),
    isolate: bool = False,
    page: Page | None = None,
) -> Outcomes:
    """Call one after the other; returns the outcomes that were not flushed before.

    Args:
        functions: by number.
        work: the calls.
        flush: takes what is done so far whenever `flush_after` seconds have passed; by default, sooner
            if somebody waits for a single outcome.
        through: exceptions that end the loop instead of failing their task.
        isolate: whether a value that goes to later calls of the batch is made anew for each of them.
        page: where to show which call runs.
    """
    hand_on = pass_copies if isolate else pass_itself
    if flush_after is None:
        flush_after = FLUSH_LATE if work.patient else FLUSH_AFTER
    give = None if flush is None else lambda *parts: flush(Outcomes(*parts))
    status = None if page is None else page.buffer
    return Outcomes(*_loop.run_calls(functions, work, give, flush_after, through, hand_on, status))


def pass_itself(value: Any) -> tuple[Any, None]:
    """Threads share their objects."""
    return value, None


def pass_copies(value: Any) -> tuple[_loop.HandedOn | None, Trouble | None]:
    """What makes `value` anew for each later call of the batch, or why it can't travel.

    It is pickled as if it went to the driver and came back: so no call sees what another did to it, and
    what can't be passed on fails alike, whatever travels together.
    """
    try:
        data = serialization.dumps(value)
    except Exception as error:
        return None, _unpicklable(error, value)
    try:
        serialization.loads(data)
    except Exception as error:
        return None, _unloadable(error)
    return _loop.HandedOn(serialization.loads, data), None


def _unpicklable(error: BaseException, value: Any) -> Trouble:
    message = serialization.explain(error, value, "value", "the activity's return value")
    return Trouble(message, "", None, True)


def _unloadable(error: BaseException) -> Trouble:
    message = f"the activity's return value can't be unpickled: {describe(error)}"
    return Trouble(message, "", None, True)


def to_trouble(error: BaseException) -> Trouble:
    """`error` as a record that can be pickled whatever it holds."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in _OUR_FILES:
        trace = trace.tb_next  # the user's frames only
    try:
        text = "".join(traceback.format_exception(type(error), error, trace))
    except Exception:
        text = "".join(traceback.format_tb(trace)) + describe(error)
    return Trouble(
        describe(error),
        text,
        serialization.dump_exception(error),
        isinstance(error, UsageError),
        "cancelled" if isinstance(error, CancelRequested) else "failed",
    )


def to_failure(trouble: Trouble | BaseException, key: str, name: str) -> Failure:
    """The failure of the task `key` that `trouble` tells of."""
    if isinstance(trouble, BaseException):
        made = to_trouble(trouble)
        cause: BaseException | None = trouble
    else:
        made = trouble
        cause = serialization.load_exception(trouble.exception)
    if cause is None and made.misused:
        cause = UsageError(made.message)
    return Failure(
        made.message,
        key=key,
        name=name,
        kind=made.kind,
        cause=cause,
        remote_traceback=made.remote_traceback,
        timeout=made.timeout,
    )


_STACK_GLOBAL = b"\x93"
"""The only opcode by which protocol 5 names classes and functions (see `pickletools`)."""

_LIGHT = 1 << 10
"""A batch whose values are smaller than this on average is not searched for a large one."""

Keep = Callable[[serialization.Parts], Any]


def dump_outcomes(outcomes: Outcomes, keep: Keep | None = None) -> bytes:
    """Outcomes as bytes: one pickle, as long as no value in it could hinder the others.

    Values whose pickle names a class or function may fail to load: each gets bytes of its own then.
    So does a batch that holds a large value: `keep` is given the parts of that, and what it returns
    travels instead.
    """
    first, values, failures, spent, kinds, times, _ = outcomes
    if not kinds and not failures:
        return serialization.dumps_plain((False, values, first, {}, spent, {}, times))
    troubles = {
        i: tuple(to_trouble(error) if isinstance(error, BaseException) else error)
        for i, error in failures.items()
    }
    data = None
    if keep is None or not (kinds & BLOBS or (kinds and len(values) == 1)):
        data = _dump_whole(
            (False, values, first, troubles, spent, {}, times), len(values), not kinds, keep
        )
    return _dump_apart(outcomes, troubles, keep) if data is None else data


def _dump_whole(record: Any, n: int, small: bool, keep: Keep | None) -> bytes | None:
    """One pickle of all outcomes; None if a value may be large or may fail to load.

    A single object is better looked at by itself before it is copied.
    """
    try:
        data = serialization.dumps(record) if keep is None else serialization.dumps_light(record)
    except Exception:
        return None
    if data is None or small:
        return data
    if keep is not None and len(data) >= max(serialization.LARGE, _LIGHT * n):
        return None
    return None if _STACK_GLOBAL in data else data


def _dump_apart(outcomes: Outcomes, troubles: dict[int, Any], keep: Keep | None) -> bytes:
    """A pickle of each value; the parts of large ones go to `keep`."""
    values: list[bytes | None] = []
    kept: dict[int, Any] = {}
    spent = outcomes.spent
    began = time.perf_counter()
    for position, value in enumerate(outcomes.values, outcomes.first):
        pickled = None
        try:
            if keep is None:
                pickled = serialization.dumps(value)
            else:
                parts = serialization.dump_parts(value)
                if parts.buffers or parts.blobs or len(parts.head) >= serialization.LARGE:
                    kept[position] = tuple(keep(parts))
                else:
                    pickled = bytes(parts.head)
        except OSError as error:
            troubles[position] = tuple(Trouble(f"its value: {describe(error)}"))
        except Exception as error:
            troubles[position] = tuple(_unpicklable(error, value))
        values.append(pickled)
    if kept and spent:
        # Writing is work too: else large values travel by the hundred, all in fresh memory.
        share = (time.perf_counter() - began) / len(spent)
        spent = {function: (calls, seconds + share) for function, (calls, seconds) in spent.items()}
    return serialization.dumps((True, values, outcomes.first, troubles, spent, kept, outcomes.times))


def load_outcomes(data: bytes | memoryview, arrive: Callable[[Any], Any] | None = None) -> Outcomes:
    """The outcomes behind `dump_outcomes`' bytes; a value that can't be loaded fails its own task.

    Args:
        arrive: makes the stand-in of a large value from what was kept of it.
    """
    single, values, first, troubles, spent, kept, times = serialization.loads(data)
    failures: dict[int, Trouble | BaseException] = {i: Trouble(*t) for i, t in troubles.items()}
    size = len(data)
    if single:
        for i, pickled in enumerate(values):
            if pickled is None:
                continue
            try:
                values[i] = serialization.loads(pickled)
            except Exception as error:
                values[i] = None
                failures[first + i] = _unloadable(error)
        for position, recipe in kept.items():
            assert arrive is not None
            values[position - first] = arrive(recipe)
            size += sum(span[2] for span in recipe[2])
    return Outcomes(first, values, failures, spent, 0, times, size)


_loaded: dict[bytes, Callable[..., Any]] = {}


def run_message(functions: Mapping[int, bytes], data: bytes) -> bytes:
    """Run a pickled batch in a foreign executor's worker; functions are kept by their bytes."""
    try:
        work = serialization.load_calls(data)
        for pickled in functions.values():
            if pickled not in _loaded:
                if len(_loaded) > 1000:
                    _loaded.clear()
                _loaded[pickled] = prepare(serialization.loads(pickled))
        table = {i: _loaded[pickled] for i, pickled in functions.items()}
    except Exception as error:
        raise UsageError(
            f"a batch of calls can't be unpickled in the executor's worker: {describe(error)}; can "
            f"{sys.executable} import there what this program imports?"
        ) from error
    return dump_outcomes(run_calls(table, work, isolate=True))
