"""Objects to bytes and back: the only room that knows pickle and cloudpickle.

Owns: how functions, calls, values and exceptions cross to another process, and the path to whatever
in them can't. C pickle first; cloudpickle where that fails, or where the bytes name a module that the
other side can't import (`__main__`, or one registered by value).

May not know: who sends what to whom. Only bytes that this program's own workers wrote are ever
unpickled. Its neighbours are `local.pool` and `local.worker`, the two ends of the pipe.
"""

from __future__ import annotations

import functools
import io
import pickle
import re
import sys
from collections import ChainMap
from collections.abc import Callable, Iterator, Sequence
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

from flowy._record import Record
from flowy.errors import UsageError, describe

PROTOCOL = 5
MAX_NESTING = 500
LARGE = 1 << 16
"""Bytes from which a buffer travels beside the pickle that it belongs to."""
_ATOMS = frozenset({int, float, complex, str, bytes, bool, type(None)})
_NO_FILE = "<dynamic-code>"
_NAMED = (FunctionType, BuiltinFunctionType, type)
_HINT = "pass what is needed to make it instead, or use executor='threads'"

loads = pickle.loads


Callback = Callable[[pickle.PickleBuffer], bool]


def prepare() -> None:
    """Import now what will be needed."""
    import cloudpickle  # noqa: F401


def dumps(value: Any, callback: Callback | None = None) -> bytes:
    """`value` as bytes that a worker of this program can load.

    Raises:
        Exception: whatever pickling raised; see `explain` for a message with the path.
    """
    try:
        data = pickle.dumps(value, PROTOCOL, buffer_callback=callback)
    except (UsageError, _HasLarge):
        raise
    except Exception:
        return _dumps_by_value(value, callback)
    return _dumps_by_value(value, callback) if _names_local_module(data) else data


def _dumps_by_value(value: Any, callback: Callback | None = None) -> bytes:
    file = io.BytesIO()
    _by_value_pickler()(file, PROTOCOL, buffer_callback=callback).dump(value)
    return file.getvalue()


def travel_by_value(module: ModuleType) -> None:
    """What a module defines is pickled whole, as that of `__main__`: the other side never imports it."""
    import cloudpickle

    cloudpickle.register_pickle_by_value(module)


def _names_local_module(data: bytes) -> bool:
    """Whether the bytes name a module that only this process has.

    Protocols 4 and 5 write a short string as its opcode, its length and its text, so text that only
    mentions such a name is not taken for it (`pickletools`, SHORT_BINUNICODE).
    """
    if b"\x8c\x08__main__" in data:
        return True
    cloudpickle = sys.modules.get("cloudpickle")
    if cloudpickle is None:
        return False
    return any(
        re.search(rb"\x8c." + re.escape(name.encode()), data, re.DOTALL)
        for name in cloudpickle.list_registry_pickle_by_value()
    )


class Parts(Record):
    """A value taken apart: its pickle, and what is too large to be copied into that."""

    head: bytes | memoryview
    """Empty: the value is the only blob."""
    buffers: Sequence[memoryview]
    """Pickle's own out-of-band buffers (protocol 5)."""
    blobs: Sequence[Any]
    """`bytes` and `bytearray` objects, which pickle never lets out, or their memory."""


def dump_parts(value: Any) -> Parts:
    """`value` taken apart, for `load_parts` of another process of this program.

    Raises:
        Exception: whatever pickling raised.
    """
    if type(value) is bytes and len(value) >= LARGE:
        return Parts(b"", [], [memoryview(value)])
    buffers: list[memoryview] = []

    def take(buffer: pickle.PickleBuffer) -> bool:
        try:
            raw = buffer.raw()
        except BufferError:  # not contiguous
            return True
        if raw.nbytes < LARGE:
            return True
        buffers.append(raw)
        return False

    if holds_blob(value):
        return _dump_blobs(value, buffers, take)
    try:
        data = pickle.dumps(value, PROTOCOL, buffer_callback=take)
    except UsageError:
        raise
    except Exception:
        return _dump_blobs(value, buffers, take, by_value=True)
    if _names_local_module(data):
        return _dump_blobs(value, buffers, take, by_value=True)
    return Parts(data, buffers, [])


class _HasLarge(Exception):
    """Ends a pickling; tells of no error."""


def dumps_plain(value: Any) -> bytes:
    """As `dumps`, for what is known to hold containers, numbers, text and None only."""
    return pickle.dumps(value, PROTOCOL)


def dumps_light(value: Any) -> bytes | None:
    """As `dumps`, or None if there is a large buffer in `value`, which then was not copied."""
    try:
        return dumps(value, _refuse_large)
    except _HasLarge:
        return None


def _refuse_large(buffer: pickle.PickleBuffer) -> bool:
    try:
        large = buffer.raw().nbytes >= LARGE
    except BufferError:  # not contiguous
        return True
    if large:
        raise _HasLarge
    return True


def holds_blob(value: Any, depth: int = 4) -> bool:
    """Whether a large bytes object is near the top of `value`; long containers are not searched."""
    kind = type(value)
    if kind is bytes or kind is bytearray:
        return len(value) >= LARGE
    if not depth or kind in _ATOMS:
        return False
    inside: Any
    if kind is tuple or kind is list:
        inside = value
    elif kind is dict:
        inside = value.values()
    else:
        try:
            inside = vars(value).values()
        except TypeError:
            return False
    return len(inside) <= 64 and any(holds_blob(item, depth - 1) for item in inside)


def _dump_blobs(
    value: Any,
    buffers: list[memoryview],
    take: Callback,
    *,
    by_value: bool = False,
) -> Parts:
    """The careful way: each object is looked at before it is pickled."""
    del buffers[:]
    file = io.BytesIO()
    pickler = (_by_value_blob_pickler() if by_value else _Pickler)(file, PROTOCOL, buffer_callback=take)
    pickler.blobs = []
    pickler.places = {}
    try:
        pickler.dump(value)
    except UsageError:
        raise
    except Exception:
        if by_value:
            raise
        return _dump_blobs(value, buffers, take, by_value=True)
    data = file.getvalue()
    if not by_value and _names_local_module(data):
        return _dump_blobs(value, buffers, take, by_value=True)
    return Parts(data, buffers, pickler.blobs)


def _place_blob(pickler: Any, x: Any) -> int | None:
    """Where a large bytes object is among the blobs: from 1 on, negative for a bytearray."""
    kind = type(x)
    if (kind is not bytes and kind is not bytearray) or len(x) < LARGE:
        return None
    place: int | None = pickler.places.get(id(x))
    if place is None:
        pickler.blobs.append(memoryview(x))
        place = len(pickler.blobs) if kind is bytes else -len(pickler.blobs)
        pickler.places[id(x)] = place
    return place


class _Pickler(pickle.Pickler):
    blobs: list[memoryview]
    places: dict[int, int]
    persistent_id = _place_blob


@functools.cache
def _by_value_pickler() -> Any:
    """cloudpickle's pickler, but the file that code is from stays with it: newer ones write
    '<dynamic-code>' instead, and tracebacks would have neither file nor source line."""
    import cloudpickle

    given = cloudpickle.Pickler.dispatch_table

    def reduce_code(code: CodeType) -> tuple[Any, tuple[Any, ...]]:
        make, parts = given[CodeType](code)
        return make, tuple(code.co_filename if part == _NO_FILE else part for part in parts)

    table = ChainMap({CodeType: reduce_code}, given)
    return type("_ByValuePickler", (cloudpickle.Pickler,), {"dispatch_table": table})


@functools.cache
def _by_value_blob_pickler() -> Any:
    return type("_ByValueBlobPickler", (_by_value_pickler(),), {"persistent_id": _place_blob})


class _Unpickler(pickle.Unpickler):
    blobs: Sequence[Any]
    made: dict[int, Any]

    def persistent_load(self, place: int) -> Any:
        if place not in self.made:
            blob = self.blobs[abs(place) - 1]
            self.made[place] = bytes(blob) if place > 0 else bytearray(blob)
        return self.made[place]


def load_parts(parts: Parts) -> Any:
    """The value that was taken apart. It uses the memory of the buffers."""
    head, buffers, blobs = parts
    if not len(head):
        return bytes(blobs[0])
    if not blobs:
        return pickle.loads(head, buffers=buffers)
    unpickler = _Unpickler(io.BytesIO(head), buffers=buffers)
    unpickler.blobs = blobs
    unpickler.made = {}
    return unpickler.load()


def dump_function(function: Any, name: str) -> bytes:
    """An activity as bytes.

    Only what is found by its name goes without cloudpickle: pickle looks a bound method up in its object
    again, by the name of its function, where there may be another (`super().f`) or none (`self.__f`).

    Raises:
        UsageError: it can't be pickled; the message has the path to what can't.
    """
    try:
        return dumps(function) if type(function) in _NAMED else _dumps_by_value(function)
    except Exception as error:
        raise UsageError(explain(error, function, name, f"the activity {name!r}")) from error


class Work(Record):
    """The calls of a batch, in the form that their loop takes."""

    which: Any
    """The number of the function, or a list of one for each call."""
    calls: list[Any]
    """Positional arguments of each call; if `flat`, the only one of each."""
    keywords: dict[int, dict[str, Any]]
    """Keyword arguments by position, of those that have any."""
    flat: bool = False
    links: bytes = b""
    """Triples of int32 (position, argument, source): that argument is the value of an earlier call."""
    stay: bytes = b""
    """Where there are links, a byte for each call: whether its value is needed nowhere else."""
    patient: bool = False
    """Whether nobody waits for one of the outcomes alone."""
    watched: dict[int, bytes] | None = None
    """Given where somebody looks how long each call runs: pickled details of the last heartbeat of an
    earlier attempt, by position."""
    timed: bool = False
    """Whether to tell when each call ran."""


def dump_calls(work: Work, objects: Sequence[int], apart: Callable[[Any], bytes] | None = None) -> bytes:
    """A batch as one pickle. Calls that hold objects are pickled each on its own, by `apart` if given,
    so that two tasks of a batch never share an object that one of them may change."""
    if objects:
        calls, keywords = list(work.calls), dict(work.keywords)
        for i in objects:
            calls[i] = (apart or dumps)((calls[i], keywords.pop(i, None)))
        work = work._replace(calls=calls, keywords=keywords)
    return dumps((*work, objects))


def load_calls(data: bytes | bytearray) -> Work:
    """The calls behind `dump_calls`' bytes."""
    *parts, objects = loads(data)
    work = Work(*parts)
    for i in objects:
        work.calls[i], kwargs = loads(work.calls[i])
        if kwargs is not None:
            work.keywords[i] = kwargs
    return work


def split_calls(data: bytes, first: int) -> list[bytes]:
    """A message of its own for each call from position `first` on; opens no object."""
    *parts, objects = loads(data)
    work = Work(*parts)
    apart = set(objects)
    made = []
    for i in range(first, len(work.calls)):
        which = work.which[i] if type(work.which) is list else work.which
        keywords = {0: work.keywords[i]} if i in work.keywords else {}
        single = Work(
            which,
            [work.calls[i]],
            keywords,
            work.flat,
            watched=work.watched,
            timed=work.timed,
        )
        made.append(dumps((*single, [0] if i in apart else [])))
    return made


def peek_call(data: bytes, i: int) -> tuple[Any, Any] | None:
    """(args, kwargs) of a call in a message; None if it holds objects: they are not opened."""
    *parts, objects = loads(data)
    work = Work(*parts)
    if i in objects:
        return None
    call = work.calls[i]
    return (call,) if work.flat else call, work.keywords.get(i, {})


def dump_exception(error: BaseException) -> bytes | None:
    """`error` as bytes, None if it would not arrive whole on the other side."""
    try:
        data = dumps(error)
        return data if type(loads(data)) is type(error) else None
    except Exception:
        return None


def load_exception(data: bytes | None) -> BaseException | None:
    """The exception behind `dump_exception`'s bytes; None where this process can't make it."""
    if data is None:
        return None
    try:
        error = loads(data)
    except Exception:
        return None
    return error if isinstance(error, BaseException) else None


def explain(error: BaseException, value: Any, root: str, what: str) -> str:
    """Why `what` can't be pickled: the path from `root` to the culprit, and the way out."""
    if isinstance(error, RecursionError):
        return (
            f"{what} can't be pickled: it nests too deep (containers may nest {MAX_NESTING} deep); "
            "flatten it"
        )
    path, culprit, reason = find_unpicklable(value, root)
    if isinstance(reason, UsageError):
        return f"{what} can't be sent: at {path}: {reason}"
    cause = describe(reason or error)
    kind = type(culprit).__qualname__
    return f"{what} can't be pickled: {path} (a {kind}) raised {cause}; {_HINT}"


def find_unpicklable(value: Any, root: str) -> tuple[str, Any, BaseException | None]:
    """The deepest part of `value` that can't be pickled: its path, itself, and what it raised.

    >>> import threading
    >>> find_unpicklable({'db': [1, threading.Lock()]}, 'args[0]')[0]
    "args[0]['db'][1]"
    """
    path, reason = root, _pickling_error(value)
    seen = {id(value)}
    while reason is not None:
        for step, child in _parts(value):
            if type(child) in _ATOMS or id(child) in seen:
                continue
            seen.add(id(child))
            error = _pickling_error(child)
            if error is not None:
                value, path, reason = child, path + step, error
                break
        else:
            break
    return path, value, reason


def _pickling_error(value: Any) -> BaseException | None:
    try:
        dumps(value)
    except Exception as error:
        return error
    return None


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """What pickle would go into, with the step that leads there. Never asks a result to look."""
    kind = type(value)
    if kind.__module__ == "flowy._sched":
        return
    if issubclass(kind, dict):
        for key, item in dict.items(value):
            yield f"[{key!r}]", item
    elif issubclass(kind, (list, tuple)):
        for i, item in enumerate(value):
            yield f"[{i}]", item
    elif issubclass(kind, (set, frozenset)):
        for item in value:
            yield "{…}", item
    if getattr(value, "__closure__", None) and hasattr(value, "__code__"):
        for name, cell in zip(value.__code__.co_freevars, value.__closure__, strict=True):
            yield f".{name}", cell.cell_contents
        return
    if getattr(value, "__func__", None) is not None:
        yield ".__self__", value.__self__
        return
    if hasattr(value, "__code__"):
        for name in value.__code__.co_names:
            if name in value.__globals__:
                yield f".{name}", value.__globals__[name]
        return
    try:
        fields = dict(vars(value))
    except TypeError:
        fields = {}
    for base in kind.__mro__:
        slots = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name):
                fields[name] = getattr(value, name)
    for name, item in fields.items():
        yield f".{name}", item
