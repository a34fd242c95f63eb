# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: auto_pickle=False, autotestdict=False
"""The core: task graph, results and runs.

The laws of this file:
* A run is a function of its events. They are applied one at a time, in order; after each, (1) the
  graph propagates, (2) watchers and reducers advance, (3) the workflow's code goes on if what it
  waits for is known; and again until nothing moves. Whatever came out is the commands of that event.
* Everything that decides what a run does next lives here. No clock, file, process, network or
  configuration: the core is given all it needs, time included.
* The workflow's code lives in a greenlet. To wait is to switch out; it is never run again.
* States and their transitions are one table (`MOVES`); an illegal one raises `InternalError`.
* Nodes are named by index, never by pointer, across anything that can run Python code: dropping a
  reference may run a destructor, which may free nodes or grow the arrays.

Below: C arrays and small functions on ids. Above: thin classes for workflow code (`Result`,
`Dependency`, `MapResult`) and for drivers (`Run`, `Outbox`, `Batch`). Neighbours: `results` (the
verbs of workflow code), `replay` (the keyed door), `local.driver` (the fast door) and `_trace`, which
is told what happens if anybody wants to know.
"""

cimport cython
from cpython.object cimport PyObject, PyTypeObject
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer
from cpython.pythread cimport PyThread_get_thread_ident
from cpython.ref cimport Py_INCREF, Py_DECREF, Py_XDECREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from libc.stdint cimport int8_t, uint8_t, uint16_t, int32_t, uint32_t, int64_t, uint64_t
from libc.stdlib cimport calloc, free, qsort, realloc
from libc.string cimport memcpy, memmove

import copy
import logging
import math
import operator
import sys
from collections import deque
from contextvars import copy_context
from itertools import islice
from types import AsyncGeneratorType, CoroutineType, GeneratorType

from greenlet import GreenletExit, getcurrent, greenlet

from flowy._trace cimport LATER, RAN, SHOWN, WORKFLOW, Site, Tracer, Waits, add_rows, note_completed
from flowy._vectors cimport Ints, count, discard, dispose, fit, grow, push, shift_out

from flowy import events
from flowy.errors import CancelRequested, Failure, InternalError, UnknownLength, UsageError

cdef extern from "Python.h":
    void PyObject_GC_UnTrack(object)
    PyTypeObject *Py_TYPE(object)
    Py_ssize_t Py_REFCNT(PyObject *)
    PyObject *PyTuple_GET_ITEM(tuple, Py_ssize_t)
    ctypedef struct PyListObject:
        PyObject **ob_item
    void set_size "Py_SET_SIZE"(object, Py_ssize_t)

cdef object LOGGING_FILE = logging.__file__
cdef object CANT_RETURN = (GeneratorType, CoroutineType, AsyncGeneratorType)

MAX_NESTING = 500            # containers an argument may nest: what C pickle takes safely
cdef int DEEPEST_ARGUMENT = 500
cdef Py_ssize_t LARGE = 1 << 16          # bytes from which an atom is taken for an object: see serialization
cdef Py_ssize_t GATHERED_WHOLE = 4096
cdef int DEEPEST_VALUE = 5000    # of waited-for and returned containers, which stay in this process


# ---------------------------------------------------------------- states and transitions

cdef enum:
    FREE, WAITING, READY, SENT, DONE, FAILED, STATES

cdef enum:
    ON_KNOWN, ON_TAKE, ON_DONE, ON_FAIL, ON_DROP, INPUTS

STATE_NAMES = ("free", "waiting", "ready", "sent", "done", "failed")
INPUT_NAMES = ("arguments known", "taken", "done", "failed", "dropped")
TRANSITIONS = {
    ("waiting", "arguments known"): "ready",
    ("waiting", "done"): "done",         # what no worker runs: timers, signals, watchers, reducers
    ("waiting", "failed"): "failed",
    ("ready", "taken"): "sent",
    ("ready", "failed"): "failed",       # cancelled before it was sent
    ("sent", "done"): "done",
    ("sent", "failed"): "failed",
    ("done", "dropped"): "free",
    ("failed", "dropped"): "free",
}
cdef int8_t[6][5] MOVES

cdef int fill_moves() except -1:
    for s in range(STATES):
        for i in range(INPUTS):
            to = TRANSITIONS.get((STATE_NAMES[s], INPUT_NAMES[i]))
            MOVES[s][i] = -1 if to is None else STATE_NAMES.index(to)
    return 0

fill_moves()

cdef enum:
    TASK, TIMER, SIGNAL, GATHER, WATCH, SLOT, REDUCE, DRAW, MEMBERS, SENDING

cdef tuple KIND_NAMES = (
    "task", "@timer", "@signal", "@gather", "@watch", "@first", "@reduce", "@draw", "@map", "@send")

cdef enum:
    HAS_KEYWORDS = 1         # payload is (args, kwargs), not args
    HAS_RESULTS = 2          # results sit in the arguments: put their values in place when taken
    HAS_OBJECTS = 4          # mutable or unknown objects among the arguments
    MEMBER = 8               # of a map, which hears when it is known
    COMPACT = 16             # its arguments are with its map
    SHIPPED = 32             # went along with what it waits for; its outcome comes after that
    OF_MAP = 128             # stands for a known member whose value is not opened yet
    ALONE = 64               # never goes along: a worker died of the message that it was in
    SINGLE = 256               # payload is not args, but the only one of them

cdef struct Node:                # 48 bytes: there are millions
    PyObject *payload        # owned: arguments, then the value or the Failure; or a helper object
    int32_t users            # last of the circular list of edges to those who need this, or -1
    int32_t missing          # edges into this node that are not used up yet
    int32_t holds            # strong references: results, maps, watchers
    uint32_t created         # creation number
    uint32_t finished        # finish number; 0 while unknown
    int32_t dep
    int32_t call             # number of the call; of a free node, the next free one
    int32_t index            # position in its map, or -1
    uint16_t attempt
    uint16_t flags
    uint8_t kind
    uint8_t state

cdef double ALONG_BELOW = 5e-5   # seconds; of what takes longer a message is but a small part
cdef double SPARE = 1e-4         # seconds of work that others could do meanwhile: about a round trip

cdef struct Edge:
    int32_t target
    int32_t next

cdef struct Tally:           # per dependency
    int32_t calls
    int32_t asked
    int32_t done
    int32_t failed


# ---------------------------------------------------------------- values that are elsewhere

cdef class Unopened:
    """A value that is elsewhere: `load` brings it, when workflow code looks. As an argument it stays shut."""

    def load(self):
        raise NotImplementedError


@cython.final
cdef class Shared(Unopened):
    """A value that its owner will not change: an engine may put it where all tasks find it."""
    cdef readonly object value
    cdef public object place         # the engine's: where it is

    def __init__(self, value):
        self.value = value

    def load(self):
        return self.value


cdef Py_ssize_t size_of(x) except -1:
    """Bytes of a large buffer, 0 if it is small or in pieces."""
    cdef Py_buffer b
    cdef Py_ssize_t size
    try:
        PyObject_GetBuffer(x, &b, PyBUF_SIMPLE)
    except Exception:
        return 0
    size = b.len
    PyBuffer_Release(&b)
    return size if size >= LARGE else 0


def address_of(x):
    """Where the memory of a buffer begins."""
    cdef Py_buffer b
    PyObject_GetBuffer(x, &b, PyBUF_SIMPLE)
    try:
        return <size_t>b.buf
    finally:
        PyBuffer_Release(&b)


# ---------------------------------------------------------------- what sits in arguments

cdef enum:
    UNKNOWN, ATOM, OBJECT, RESULT, LIST, TUPLE, SET, FROZENSET, DICT, LIST_LIKE, TUPLE_LIKE, SET_LIKE, \
    DICT_LIKE, DATACLASS, MAPPED, DEPENDENCY

cdef dict KINDS = {}

cdef int classify(t) except -1:
    """What flowy does with instances of `t` in arguments; kept by type."""
    if hasattr(t, "__dataclass_fields__"):
        kind = DATACLASS
    elif issubclass(t, list):
        kind = LIST_LIKE
    elif issubclass(t, tuple):
        kind = TUPLE_LIKE
    elif issubclass(t, (set, frozenset)):
        kind = SET_LIKE
    elif issubclass(t, dict):
        kind = DICT_LIKE
    else:
        kind = OBJECT
    if len(KINDS) > 4096:                    # classes made on the fly: don't keep them for ever
        fill_kinds()
    KINDS[t] = kind
    return kind

cdef int fill_kinds() except -1:
    KINDS.clear()
    for t in (int, float, str, bytes, bool, complex, type(None), type(Ellipsis), range):
        KINDS[t] = ATOM
    KINDS.update({list: LIST, tuple: TUPLE, set: SET, frozenset: FROZENSET, dict: DICT,
                  Result: RESULT, MapResult: MAPPED, Dependency: DEPENDENCY})
    return 0

cdef inline int kind_of(object x) except -1:
    kind = KINDS.get(type(x))
    return classify(type(x)) if kind is None else <int>kind

cdef inline bint is_atom(object x):
    cdef PyTypeObject *t = Py_TYPE(x)
    return (t == <PyTypeObject *>int or t == <PyTypeObject *>str or t == <PyTypeObject *>float
            or x is None or t == <PyTypeObject *>bool
            or (t == <PyTypeObject *>bytes and len(<bytes>x) < LARGE))

cdef struct Walk:
    bint copying             # containers are copied even where nothing in them changes
    bint objects             # met a mutable or unknown object
    bint opening             # unopened values are opened
    int deepest
    int32_t failed           # the failed result that finished first, or -1
    Ints pending             # results not known yet, in the order they were met


class TooDeep(UsageError):
    """Containers nest too deep to be walked; they may contain themselves."""


@cython.wraparound(True)
def find_nesting(x):
    """How containers nest too deep: (path, whether what is there contains itself).

    >>> a = [1, {}]; a[1]['b'] = a
    >>> find_nesting(a)
    ("[1]['b']", True)
    """
    path = []
    on_path = {id(x)}
    stack = [iter(children(x))]
    while stack and len(stack) <= 2 * DEEPEST_VALUE:
        step = next(stack[-1], None)
        if step is None:
            stack.pop()
            if path:
                on_path.discard(path.pop()[1])
            continue
        label, child = step
        below = children(child)
        if not below:
            continue
        path.append((label, id(child)))
        if id(child) in on_path:
            return "".join([p[0] for p in path]), True
        on_path.add(id(child))
        stack.append(iter(below))
        if len(path) > DEEPEST_ARGUMENT:
            break
    return "".join([p[0] for p in path[:20]]) + " …", False


cdef str tell_nesting(x, root, error):
    path, cyclic = find_nesting(x)
    if cyclic:
        return f"{root}{path} contains itself, so it has no end: break the cycle"
    return f"{error}, at {root}{path}: flatten it"


cdef list children(x):
    kind = kind_of(x)
    if kind == LIST or kind == TUPLE or kind == LIST_LIKE or kind == TUPLE_LIKE:
        return [(f"[{i}]", v) for i, v in enumerate(x)]
    if kind == DICT or kind == DICT_LIKE:
        return [(f"[{k!r}]", v) for k, v in x.items()]
    if kind == DATACLASS and not isinstance(x, type):
        return [(f".{f}", getattr(x, f)) for f in type(x).__dataclass_fields__ if hasattr(x, f)]
    return []


# ---------------------------------------------------------------- who is running

class Code(greenlet):
    """The greenlet that workflow code runs in; knows its run."""
    owner = None


cdef uint8_t gone_byte
cdef PyObject *GONE = <PyObject *>&gone_byte     # in a map: known, and nobody can ask for it


cdef dict PLAIN = {}         # thread -> the run that executes without an engine there


cpdef Run current():
    """The run whose code is executing in this thread, or None."""
    g = getcurrent()
    if type(g) is Code:
        return g.owner
    if PLAIN:
        return PLAIN.get(PyThread_get_thread_ident())
    return None


cdef bint in_logging():
    """Whether the logging module is on the stack: its handlers hold locks."""
    try:
        frame = sys._getframe()
    except ValueError:                           # no Python frame below: the workflow has returned
        return False
    while frame is not None:
        if frame.f_code.co_filename == LOGGING_FILE:
            return True
        frame = frame.f_back
    return False


class RestartCall:
    """What `restart` returns: a workflow that returns it starts again with this input."""
    __slots__ = ("args", "kwargs")

    def __init__(self, args, kwargs):
        self.args = args
        self.kwargs = kwargs

    def __repr__(self):
        return f"<restart with {len(self.args) + len(self.kwargs)} arguments>"


# ---------------------------------------------------------------- results

cdef inline object value_of(Result x):
    # No method: a table of methods would cost each result 16 bytes.
    return x.run.look(x.node)


cdef inline object bare(object x):
    """The value that stands behind `x` (waits if it is a result)."""
    return value_of(<Result>x) if type(x) is Result else x


def _identity(x):
    return x


cdef object asked_to_cancel():
    return CancelRequested("the run was asked to cancel")


cdef object enter(value):
    """What `with value` does first, with the errors that it raises."""
    kind = type(value)
    if hasattr(kind, "__enter__") and hasattr(kind, "__exit__"):
        return kind.__enter__(value)
    if sys.version_info < (3, 11):
        raise AttributeError("__exit__" if hasattr(kind, "__enter__") else "__enter__")
    raise TypeError(f"'{kind.__qualname__}' object does not support the context manager protocol")


@cython.final
@cython.no_gc
@cython.freelist(4096)
@cython.c_api_binop_methods(True)
cdef class Result:
    # The transparent proxy of a value to come: to look at it is to wait for it. Its docstring is that
    # of its value.
    cdef Run run
    cdef int32_t node

    def __dealloc__(self):
        if self.run is not None:
            self.run.release(self.node)

    # what does not wait
    def __repr__(self):
        return self.run.show(self.node)

    # conversions
    def __str__(self):
        if self.run.would_hang(self.node):
            return self.run.show(self.node)
        return str(value_of(self))

    def __format__(self, spec):
        if self.run.would_hang(self.node):
            return self.run.show(self.node)
        return format(value_of(self), bare(spec))

    def __bool__(self): return bool(value_of(self))
    def __int__(self): return int(value_of(self))
    def __float__(self): return float(value_of(self))
    def __complex__(self): return complex(value_of(self))
    def __index__(self): return operator.index(value_of(self))
    def __bytes__(self): return bytes(value_of(self))
    def __fspath__(self):
        import os
        return os.fspath(value_of(self))
    def __round__(self, digits=None):
        return round(value_of(self)) if digits is None else round(value_of(self), bare(digits))
    def __trunc__(self): return math.trunc(value_of(self))
    def __floor__(self): return math.floor(value_of(self))
    def __ceil__(self): return math.ceil(value_of(self))

    # comparisons
    def __hash__(self): return hash(value_of(self))
    def __eq__(self, other): return value_of(self) == bare(other)
    def __ne__(self, other): return value_of(self) != bare(other)
    def __lt__(self, other): return value_of(self) < bare(other)
    def __le__(self, other): return value_of(self) <= bare(other)
    def __gt__(self, other): return value_of(self) > bare(other)
    def __ge__(self, other): return value_of(self) >= bare(other)

    # operators, called with the result on either side
    def __add__(left, right): return bare(left) + bare(right)
    def __sub__(left, right): return bare(left) - bare(right)
    def __mul__(left, right): return bare(left) * bare(right)
    def __matmul__(left, right): return bare(left) @ bare(right)
    def __truediv__(left, right): return bare(left) / bare(right)
    def __floordiv__(left, right): return bare(left) // bare(right)
    def __mod__(left, right): return bare(left) % bare(right)
    def __lshift__(left, right): return bare(left) << bare(right)
    def __rshift__(left, right): return bare(left) >> bare(right)
    def __and__(left, right): return bare(left) & bare(right)
    def __xor__(left, right): return bare(left) ^ bare(right)
    def __or__(left, right): return bare(left) | bare(right)
    def __divmod__(left, right): return divmod(bare(left), bare(right))
    def __pow__(left, right, modulo): return pow(bare(left), bare(right), bare(modulo))
    def __iadd__(self, other): return operator.iadd(value_of(self), bare(other))
    def __isub__(self, other): return operator.isub(value_of(self), bare(other))
    def __imul__(self, other): return operator.imul(value_of(self), bare(other))
    def __imatmul__(self, other): return operator.imatmul(value_of(self), bare(other))
    def __itruediv__(self, other): return operator.itruediv(value_of(self), bare(other))
    def __ifloordiv__(self, other): return operator.ifloordiv(value_of(self), bare(other))
    def __imod__(self, other): return operator.imod(value_of(self), bare(other))
    def __ipow__(self, other, modulo): return operator.ipow(bare(self), bare(other))
    def __ilshift__(self, other): return operator.ilshift(value_of(self), bare(other))
    def __irshift__(self, other): return operator.irshift(value_of(self), bare(other))
    def __iand__(self, other): return operator.iand(value_of(self), bare(other))
    def __ixor__(self, other): return operator.ixor(value_of(self), bare(other))
    def __ior__(self, other): return operator.ior(value_of(self), bare(other))
    def __neg__(self): return -value_of(self)
    def __pos__(self): return +value_of(self)
    def __abs__(self): return abs(value_of(self))
    def __invert__(self): return ~value_of(self)

    # containers and iterators
    def __len__(self): return len(value_of(self))
    def __length_hint__(self):
        hint = operator.length_hint(value_of(self), -1)
        return NotImplemented if hint < 0 else hint
    def __getitem__(self, key): return value_of(self)[bare(key)]
    def __setitem__(self, key, value): value_of(self)[bare(key)] = value
    def __delitem__(self, key): del value_of(self)[bare(key)]
    def __contains__(self, item): return bare(item) in value_of(self)
    def __iter__(self): return iter(value_of(self))
    def __next__(self): return next(value_of(self))
    def __reversed__(self): return reversed(value_of(self))

    # attributes, calls, classes
    @property
    def __class__(self):
        return Result if self.run.would_hang(self.node) else value_of(self).__class__
    @property
    def __doc__(self): return value_of(self).__doc__
    def __getattr__(self, name): return getattr(value_of(self), name)
    def __setattr__(self, name, value): setattr(value_of(self), name, value)
    def __delattr__(self, name): delattr(value_of(self), name)
    def __dir__(self): return dir(value_of(self))
    def __call__(self, *args, **kwargs): return value_of(self)(*args, **kwargs)
    def __enter__(self): return enter(value_of(self))
    def __exit__(self, kind, error, trace):
        value = value_of(self)
        return type(value).__exit__(value, kind, error, trace)
    def __instancecheck__(self, instance): return isinstance(instance, value_of(self))
    def __subclasscheck__(self, subclass): return issubclass(subclass, value_of(self))
    def __mro_entries__(self, bases): return (value_of(self),)

    # copies and other forms
    def __copy__(self): return copy.copy(value_of(self))
    def __deepcopy__(self, memo): return copy.deepcopy(value_of(self), memo)
    def __reduce_ex__(self, protocol):
        self.run.refuse_hidden(self.node)
        return _identity, (value_of(self),)
    def __reduce__(self): return self.__reduce_ex__(2)
    def __getbuffer__(self, Py_buffer *buffer, int flags):
        PyObject_GetBuffer(value_of(self), buffer, flags)
    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return getattr(ufunc, method)(*[bare(x) for x in inputs], **kwargs)
    def __array__(self, *args, **kwargs):
        import numpy
        return numpy.asarray(value_of(self), *args, **{k: v for k, v in kwargs.items() if v is not None})


def look(Result result):
    """The value of `result`; waits for it."""
    return value_of(result)


def holds_result(x):
    """A result that sits in the containers of `x`, or None."""
    seen = set()
    stack = [x]
    while stack:
        item = stack.pop()
        if type(item) is Result:
            return item
        if is_atom(item) or id(item) in seen:
            continue
        kind = kind_of(item)
        if kind == ATOM or kind == OBJECT:
            continue
        seen.add(id(item))
        if kind == SET or kind == FROZENSET or kind == SET_LIKE or kind == MAPPED:
            stack.extend(item)
        else:
            stack.extend([child for _, child in children(item)])
    return None


def is_result(x):
    """Whether `x` is a result of flowy; tells without waiting."""
    return type(x) is Result


@cython.final
cdef class Dependency:
    """What a workflow is given for a dependency: a call of it returns a result at once."""
    cdef readonly Run run
    cdef int32_t dep

    def __call__(self, *args, **kwargs):
        return self.run.call(self.dep, args, kwargs)

    @property
    def __name__(self):
        return self.run.names[self.dep]

    def __repr__(self):
        return f"<dependency {self.run.names[self.dep]}>"

    def __reduce__(self):
        raise UsageError(
            f"the dependency {self.run.names[self.dep]!r} can't be sent to an activity: "
            "call it in the workflow and pass its result")


# ---------------------------------------------------------------- watchers, reducers, maps

@cython.final
@cython.no_gc
cdef class Watch:
    """Hands finished sources to slots, in the order of finishing. Step 2 of the law."""
    cdef Run run
    cdef Ints order          # held: finished, not handed out yet
    cdef Ints slots          # waiting: handed out, not finished yet
    cdef Py_ssize_t sources  # how many there are
    cdef Py_ssize_t handed   # slots and finished ones given to the iterator
    cdef bint once           # a `first`: only the first source matters
    cdef Map source_map      # a lazy map may still bring more

    def __dealloc__(self):
        if self.run is not None and not self.run.closed:
            while count(&self.order):
                self.run.release(shift_out(&self.order))
        discard(&self.order)
        discard(&self.slots)


@cython.final
cdef class FinishOrder:
    """Iterates over results in the order in which they finish; never waits for them."""
    cdef list known
    cdef Py_ssize_t position
    cdef Watch watch
    cdef int32_t node

    def __dealloc__(self):
        if self.watch is not None:
            self.watch.run.release(self.node)

    def __iter__(self):
        return self

    def __next__(self):
        cdef Watch w = self.watch
        cdef int32_t slot
        if self.position < len(self.known):
            self.position += 1
            return self.known[self.position - 1]
        if w is None:
            raise StopIteration
        w.run.check_code("finish_order")
        while w.handed == w.sources and w.source_map is not None and not w.source_map.exhausted:
            w.run.await_draw(w.source_map, w.sources + 1)
        if w.handed == w.sources:
            if w.source_map is not None:
                w.source_map.tell_failure()
            raise StopIteration
        w.handed += 1
        if count(&w.order):
            slot = shift_out(&w.order)
            result = w.run.face(slot)
            w.run.release(slot)
        else:
            slot = w.run.create(SLOT, -1, w.run.slots_made, -1)
            w.run.slots_made += 1
            push(&w.slots, slot)
            result = w.run.face(slot)
        if w.source_map is not None:
            w.source_map.released += 1
            w.run.offer_room(w.source_map)
        return result


@cython.final
cdef class Reduction:
    """Combines any two values that are there, until one is left. Step 2 of the law."""
    cdef object function
    cdef object have         # values and finished results not combined yet, oldest first
    cdef Py_ssize_t pending  # inputs and calls not finished
    cdef Map source_map
    cdef list rows           # in a trace: what plain functions have made the values of

    cdef int seen(self, x) except -1:
        if self.rows is None:
            self.rows = []
        if type(x) is Result:
            self.rows.append((<Result>x).run.rows[(<Result>x).node])
        return 0


@cython.final
cdef class Chunk:
    """Inputs of members `first` on of a map, which are taken from the front."""
    cdef Py_ssize_t first
    cdef Py_ssize_t count
    cdef Py_ssize_t taken        # so many of them are gone
    cdef object items            # a list, tuple or range; rows where the map has several inputs
    cdef set holes               # members among them that have nodes of their own, or None
    cdef set objects             # members whose inputs hold mutable or unknown objects, or None


@cython.final
cdef class Map:
    """The state of one `map` call: what its members came to, and the inputs not sent or drawn yet.

    A member is 12 bytes here. It gets a node only while it is not known and somebody needs it alone
    (`nodes`), or from the start if its inputs hold results; whoever needs all members (`walk_map`)
    has an edge from each of those, and one from the map's own node, which stands for the others.
    """
    cdef Run run
    cdef int32_t dep
    cdef int32_t call
    cdef int32_t node
    cdef PyObject **values       # by member: NULL while not known, GONE if known and forgotten, or owned
    cdef uint32_t *marks         # creation number; once known, finish number
    cdef Py_ssize_t cap, cap_marks
    cdef Py_ssize_t origin       # the member at the start of both arrays
    cdef Py_ssize_t base         # the first member that somebody can still ask for
    cdef Py_ssize_t gone         # so many at the start are known and forgotten
    cdef readonly Py_ssize_t drawn
    cdef Py_ssize_t taken        # members before this one were taken, or have nodes of their own
    cdef Py_ssize_t unfinished   # of those drawn
    cdef Py_ssize_t released
    cdef Py_ssize_t wanted       # somebody waits for this many to be drawn
    cdef Py_ssize_t window
    cdef object inputs           # the iterator, None once exhausted
    cdef object chunks           # a deque of inputs not taken yet
    cdef dict nodes              # member -> its node, for those not known yet that have one
    cdef set failed              # members that failed
    cdef int32_t first_failed    # a node for the first of them to finish, or -1
    cdef bint exhausted
    cdef bint asked              # a WantDraw is out
    cdef bint face_alive
    cdef bint unopened           # there have been values that are elsewhere
    cdef bint settled            # the node is done, and may be gone
    cdef bint early              # a member was known before it was taken
    cdef bint single             # one input: members are called with an item, not with a row
    cdef Py_ssize_t iterators
    cdef int32_t progress        # node that finishes with the next draw, or -1
    cdef public object owner     # whatever the driver wants to find here
    cdef object failure          # of the inputs, raised where the members end
    cdef list listeners          # nodes of reductions and watches that take the members
    cdef Ints rows               # of a traced run: (member, row) from where on both go up by one
    cdef uint16_t line           # and where the code asked for them

    def __dealloc__(self):
        cdef Py_ssize_t i
        cdef PyObject *value
        for i in range(self.drawn - self.origin):
            value = self.values[i]
            self.values[i] = GONE
            if value != GONE:
                Py_XDECREF(value)
        dispose(self.values, self.cap * sizeof(PyObject *))
        dispose(self.marks, self.cap_marks * sizeof(uint32_t))
        discard(&self.rows)

    cdef int reserve(self, Py_ssize_t more) except -1:
        """Room for `more` members."""
        cdef Py_ssize_t used = self.drawn - self.origin
        cdef Py_ssize_t cap = used + more
        if cap <= self.cap:
            return 0
        if used:
            cap += cap >> 1
        if cap > self.cap_marks:
            grow(<void **>&self.marks, &self.cap_marks, cap, sizeof(uint32_t))
        grow(<void **>&self.values, &self.cap, cap, sizeof(PyObject *))
        return 0

    cdef inline PyObject *at(self, Py_ssize_t i) noexcept:
        return self.values[i - self.origin]

    cdef int note_rows(self, Py_ssize_t member, int32_t row) except -1:
        """The rows of members from this one on, which are not in `rows` yet."""
        cdef int32_t *last = self.rows.v + self.rows.n - 2
        if not self.rows.n or row - last[1] != member - last[0]:
            push(&self.rows, <int32_t>member)
            push(&self.rows, row)
        return 0

    cdef int32_t row_of(self, Py_ssize_t member, Py_ssize_t *left=NULL) noexcept:
        """The row of a member. `left`: so many from it on have rows one after the other, or fewer."""
        cdef int32_t *v = self.rows.v
        cdef Py_ssize_t low = 0, high = self.rows.n // 2, middle
        while high - low > 1:
            middle = (low + high) >> 1
            if v[2 * middle] <= member:
                low = middle
            else:
                high = middle
        if left != NULL:
            high = v[2 * low + 2] if 2 * low + 2 < self.rows.n else self.drawn
            left[0] = min(left[0], high - member)
        return v[2 * low + 1] + <int32_t>(member - v[2 * low])

    cdef int keep(self, Py_ssize_t i, object value, uint32_t finished) except -1:
        """Member `i` is known."""
        self.unfinished -= 1
        self.marks[i - self.origin] = finished
        if i < self.base:
            self.values[i - self.origin] = GONE
            self.trim()
        else:
            Py_INCREF(value)
            self.values[i - self.origin] = <PyObject *>value
        return 0

    cdef int trim(self) noexcept:
        """Close the room of members at the front that are known and forgotten."""
        cdef Py_ssize_t used = self.drawn - self.origin
        while self.gone < self.base - self.origin and self.values[self.gone] == GONE:
            self.gone += 1
        if self.gone == used or (self.gone > 64 and 2 * self.gone > used):
            used -= self.gone
            memmove(self.values, self.values + self.gone, used * sizeof(PyObject *))
            memmove(self.marks, self.marks + self.gone, used * sizeof(uint32_t))
            self.origin += self.gone
            self.gone = 0
        return 0

    cdef int forget(self) except -1:
        """Nobody can ask for the members any more."""
        self.forget_before(self.drawn)
        if self.first_failed >= 0 and not self.run.closed:
            self.run.release(self.first_failed)
        self.first_failed = -1
        return 0

    cdef int forget_before(self, Py_ssize_t position) except -1:
        cdef Py_ssize_t i
        cdef PyObject *value
        while self.base < position:
            i = self.base - self.origin
            self.base += 1
            value = self.values[i]
            if value != NULL:
                self.values[i] = GONE
                if self.failed is not None:
                    self.failed.discard(self.base - 1)
                self.trim()
                Py_XDECREF(value)            # last: this may run any code
        return 0

    cdef int leave(self) except -1:
        """A face or iterator is gone; with the last one all members are forgotten."""
        if not self.iterators and not self.face_alive:
            self.forget()
            self.run.release(self.node)
        return 0

    cdef int tell_failure(self) except -1:
        """Called at the end of the members: raise if it is not the end of the inputs."""
        if self.failure is not None:
            self.run.see(self.failure)
            raise self.failure.error()
        return 0

    cdef int await_member(self, Py_ssize_t i) except -1:
        """Wait until member `i` is drawn, if there is one."""
        while i >= self.drawn and not self.exhausted:
            self.run.await_draw(self, i + 1)
        return 0


@cython.final
cdef class MapResult:
    """The results of one `flowy.map`, as a compact sequence."""
    cdef Map map

    def __dealloc__(self):
        if self.map is not None:
            self.map.face_alive = False
            self.map.leave()

    cdef Py_ssize_t size(self) except -1:
        cdef Map m = self.map
        m.await_member(sys.maxsize - 1)
        m.tell_failure()
        return m.drawn

    def __len__(self):
        if not self.map.exhausted:
            raise UnknownLength(
                "the inputs of this map are not drawn to their end, so its length is not known: "
                "use len(list(m))")
        return self.map.drawn

    def __getitem__(self, key):
        cdef Map m = self.map
        cdef Py_ssize_t i
        if isinstance(key, slice):
            return [self[i] for i in range(*key.indices(self.size()))]
        i = operator.index(key)
        m.run.check_code("map")
        if i < 0:
            i += self.size()
        m.await_member(i)
        if i < 0 or i >= m.drawn:
            m.tell_failure()
            raise IndexError(f"map index {key} out of range")
        return m.run.member_face(m, i)

    def __iter__(self):
        cdef MapIterator iterator = MapIterator.__new__(MapIterator)
        iterator.map = self.map
        self.map.iterators += 1
        return iterator

    def __repr__(self):
        cdef Map m = self.map
        more = "" if m.exhausted else ", more to draw"
        return f"<map {m.run.names[m.dep]}-{m.call}, {m.drawn} results{more}>"


@cython.final
cdef class MapIterator:
    cdef Map map
    cdef Py_ssize_t position

    def __dealloc__(self):
        if self.map is not None:
            self.map.iterators -= 1
            self.map.leave()

    def __iter__(self):
        return self

    def __length_hint__(self):
        return max(0, self.map.drawn - self.position)

    def __next__(self):
        cdef Map m = self.map
        m.run.check_code("map")
        m.await_member(self.position)
        if self.position >= m.drawn:
            m.tell_failure()
            raise StopIteration
        result = m.run.member_face(m, self.position)
        self.position += 1
        if not m.exhausted and self.position > m.released:
            m.released = self.position
            m.run.offer_room(m)
        if m.iterators == 1 and not m.face_alive:
            m.forget_before(self.position)
        return result


# ---------------------------------------------------------------- runs

@cython.final
cdef class Run:
    """One execution of a workflow: its graph, its code, and the doors for events and commands.

    The fast door passes node ids: `Outbox.take` gives batches, `Batch.complete` takes their values.
    Rare commands come from `take_orders`, as (command, node) pairs.
    """
    cdef readonly tuple names
    cdef readonly Outbox outbox
    cdef bint unopened                   # there have been unopened values
    cdef readonly object outcome       # Complete, Fail or Restart, once ended
    cdef readonly object exception     # what the workflow raised, if it failed
    cdef readonly list unlooked        # the first failures that nobody may have looked at
    cdef readonly Py_ssize_t failures  # tasks that failed by themselves
    cdef readonly Py_ssize_t looked    # how many of those were looked at
    cdef readonly Py_ssize_t open      # tasks and timers not finished
    cdef readonly Py_ssize_t sent      # tasks taken and not finished
    cdef public object owner           # whatever the driver wants to find here
    cdef public object seeder          # () -> the seed; asked at the first need, as a side effect is
    cdef public object recorder        # value -> how it will come back to a replay; None: as it is
    cdef public bint replaying         # the event that is applied was answered before, by an earlier run
    cdef public Py_ssize_t length      # of the history so far, as the driver counts it
    cdef public Py_ssize_t suggest_at  # the length from which on to continue as new; 0 is never
    cdef public Py_ssize_t task_length # what a task that is not finished may still add to it
    cdef public dict lines             # key -> (file, line) of its call; None: not wanted
    cdef dict changes                  # name -> whether the code is past the change
    cdef int32_t sent_signals
    cdef tuple functions
    cdef tuple lanes
    cdef object factory, args, kwargs, context
    cdef object greenlet, hub
    cdef object final_value
    cdef int32_t final
    cdef bint code_done, drawing, restarts, running, aside, closed, linger, plain, cancel_pending
    cdef readonly bint ended
    cdef int throws
    cdef unsigned long thread
    cdef int32_t awaited
    cdef Node *nodes
    cdef Py_ssize_t n_nodes, cap_nodes
    cdef int32_t free_node
    cdef Edge *edges
    cdef Py_ssize_t n_edges, cap_edges
    cdef int32_t free_edge
    cdef uint32_t n_created, n_finished
    cdef Tally *tally
    cdef Ints heap                     # finished in this event, not propagated yet
    cdef Ints advances                 # (watcher or reducer, source) pairs for step 2
    cdef Ints ready0, ready1
    cdef bint queued0, queued1
    cdef list orders
    cdef dict signals_waiting, signals_kept
    cdef int32_t timers_made, signals_made, slots_made
    cdef double clock
    cdef object seed, generator
    cdef object give_up_with           # the exception to raise where the code waits
    cdef dict notes
    cdef int32_t notes_made
    cdef dict members                  # node -> the map that it is a member of
    cdef Py_ssize_t queued             # ready activities, also those of maps
    cdef Tracer tracer                 # None: nobody wants a trace
    cdef public int32_t traced_as      # the number of this run there
    cdef int32_t names_from            # where its names are there
    cdef int32_t *rows                 # by node: its row there, -1 if it has none, -2 - n for alias n
    cdef Py_ssize_t cap_rows
    cdef Ints met                      # rows of the results met in arguments
    cdef uint16_t map_line             # of the map whose members are being called
    cdef bint has_children             # whether any of its dependencies are workflows
    cdef bint in_code                  # `running`, and by the user's code: its frames are there
    cdef Waits waits_for                # what the code waits for; None: nothing yet
    cdef int32_t row_ended             # of the task that ended last, and
    cdef int32_t row_after             # of the one whose end let the code go on last

    def __cinit__(self, factory, names, Outbox outbox, *, functions=(), lanes=(), args=(), kwargs=None,
                  context=None, seed=0, notes=None, changes=(), bint linger=False, bint plain=False):
        cdef Py_ssize_t i
        self.factory = factory
        self.names = tuple(names)
        self.outbox = outbox
        self.functions = tuple(functions) or tuple(range(len(self.names)))
        self.lanes = tuple(lanes) or (0,) * len(self.names)
        self.args = tuple(args)
        self.kwargs = dict(kwargs or {})
        self.context = context
        self.seed = seed
        self.notes = dict(notes or {})
        self.changes = dict.fromkeys(changes, True)
        self.linger = linger
        self.plain = plain
        self.final = self.awaited = self.free_node = self.free_edge = -1
        self.orders = []
        self.unlooked = []
        self.members = {}
        self.tally = <Tally *>realloc(NULL, max(1, len(self.names)) * sizeof(Tally))
        if self.tally == NULL:
            raise MemoryError()
        self.row_ended = self.row_after = -1
        self.tracer = outbox.tracer
        self.has_children = 1 in self.lanes
        if self.tracer is not None:
            self.names_from = self.tracer.number_names(self.names)
        for i in range(len(self.names)):
            self.tally[i].calls = self.tally[i].asked = self.tally[i].done = self.tally[i].failed = 0

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self.n_nodes):
            Py_XDECREF(self.nodes[i].payload)
        dispose(self.nodes, self.cap_nodes * sizeof(Node))
        dispose(self.edges, self.cap_edges * sizeof(Edge))
        free(self.tally)
        discard(&self.heap)
        discard(&self.advances)
        discard(&self.ready0)
        discard(&self.ready1)
        dispose(self.rows, self.cap_rows * sizeof(int32_t))
        discard(&self.met)

    # ------------------------------------------------------------ nodes and edges

    cdef int32_t create(self, int kind, int32_t dep, int32_t call, int32_t index) except -1:
        cdef int32_t id
        cdef Py_ssize_t cap
        cdef Node *n
        if self.n_created == 0xFFFFFFFF:
            raise UsageError("a run can have 4,294,967,295 tasks: restart it with what is left")
        if self.free_node >= 0:
            id = self.free_node
            self.free_node = self.nodes[id].call
        else:
            if self.n_nodes == self.cap_nodes:
                cap = self.cap_nodes + (self.cap_nodes >> 1) + 4
                if cap > 0x7FFFFFFF:
                    raise UsageError("a run can hold 2,147,483,647 tasks at a time")
                grow(<void **>&self.nodes, &self.cap_nodes, cap, sizeof(Node))
            id = <int32_t>self.n_nodes
            self.n_nodes += 1
        self.n_created += 1
        n = &self.nodes[id]
        n.payload = NULL
        n.users = -1
        n.missing = n.holds = 0
        n.created = self.n_created
        n.finished = 0
        n.dep = dep
        n.call = call
        n.index = index
        n.attempt = 0
        n.state = WAITING
        n.kind = <uint8_t>kind
        n.flags = 0
        if self.tracer is not None:
            if id >= self.cap_rows:
                grow(<void **>&self.rows, &self.cap_rows, max(self.cap_nodes, id + 1), sizeof(int32_t))
            self.rows[id] = self.tracer.alias() if kind == SLOT or kind == REDUCE else -1
        return id

    # ------------------------------------------------------------ what a trace hears

    cdef int32_t trace_call(self, int32_t dep, int32_t call, int32_t index, bint unknown) except -2:
        """A row for a call, with `met` as what it depends on. `unknown`: it waits for some of these."""
        cdef Site site
        site.line = self.line_here() if index < 0 else self.map_line
        site.run = self.traced_as
        site.name = self.names_from + dep
        site.sources = self.push_met() if self.met.n else 0
        site.kind = (WORKFLOW if self.has_children and self.lanes[dep] == 1 else 0) | (LATER if unknown else 0)
        return add_rows(self.tracer, &site, call, index, self.row_after, self.clock, 1)

    cdef int trace_members(self, Map m, Py_ssize_t n) except -1:
        """Rows for the last `n` members that were drawn, with `met` as what they depend on."""
        cdef Py_ssize_t first = m.drawn - n
        cdef Site site
        site.line = m.line
        site.run = self.traced_as
        site.name = self.names_from + m.dep
        site.sources = self.push_met() if self.met.n else 0
        site.kind = 0
        return m.note_rows(first, add_rows(self.tracer, &site, m.call, <int32_t>first, self.row_after,
                                           self.clock, n))

    cdef int trace_other(self, int32_t id, str name, uint8_t kind, int32_t call) except -1:
        """A row for a timer or a signal: it is on its way from now on."""
        cdef Site site
        site.line = self.line_here()
        site.run = self.traced_as
        site.name = self.tracer.number_names((name,))
        site.sources = 0
        site.kind = kind | RAN
        self.rows[id] = add_rows(self.tracer, &site, call, -1, self.row_after, self.clock, 1)
        return 0

    cdef uint16_t line_here(self) except? 0xFFFF:
        """Where the workflow's code is; 0 if it does not run."""
        return self.tracer.line_here() if self.in_code else 0

    cdef int32_t push_met(self) except -1:
        """What a row depends on, each once though it may be among the arguments several times; how many."""
        cdef Py_ssize_t i, n = self.met.n, had = self.tracer.sources.n
        cdef int32_t *met = self.met.v
        self.met.n = 0
        for i in range(1, n):
            if met[i] <= met[i - 1]:
                qsort(met, n, sizeof(int32_t), by_number)
                break
        for i in range(n):
            if i == 0 or met[i] != met[i - 1]:
                push(&self.tracer.sources, met[i])
        return <int32_t>(self.tracer.sources.n - had)

    cdef int trace_met(self, int32_t id) except -1:
        if self.rows[id] != -1:
            push(&self.met, self.rows[id])
        return 0

    cdef int met_all(self, Map m) except -1:
        cdef Py_ssize_t at = 0, i, left
        cdef int32_t row
        while at < m.drawn:
            left = m.drawn - at
            row = m.row_of(at, &left)
            for i in range(left):
                push(&self.met, row + <int32_t>i)
            at += left
        return 0

    cdef int trace_wait(self, int32_t id) except -1:
        cdef Node *n = &self.nodes[id]
        if n.dep >= 0:
            name = self.names[n.dep]
        elif self.rows[id] >= 0:
            name = self.tracer.name_of(self.rows[id])
        else:
            name = KIND_NAMES[n.kind]
        self.waits_for = self.tracer.wait_at(name, self.line_here())
        self.waits_for.begin(self.open <= 1, self.clock)
        return 0

    cdef int trace_end(self, int32_t id, object value, bint failed) except -1:
        """The node is known. Of what no worker runs this is when it ended."""
        cdef int32_t row = self.rows[id]
        if row < 0:
            return 0
        self.trace_value(row, value, failed)
        if self.nodes[id].kind != TASK or self.has_children and self.lanes[self.nodes[id].dep] == 1:
            self.tracer.end(row, self.clock)
        return 0

    cdef int trace_failed_call(self, int32_t id) except -1:
        """The call failed with one of its arguments. It did not end: no code has gone on by it."""
        self.tracer.fail(self.rows[id], <object>self.nodes[id].payload)
        if self.lanes[self.nodes[id].dep] == 1:
            self.tracer.end(self.rows[id], self.clock)
        return 0

    cdef int trace_value(self, int32_t row, object value, bint failed) except -1:
        self.row_ended = row
        if failed:
            return self.tracer.fail(row, value)
        note_completed(self.tracer, row, 1)
        return self.show_value(row, value) if row < SHOWN else 0

    cdef int trace_values(self, Map m, Py_ssize_t member, list values, Py_ssize_t n) except -1:
        """Members from `member` on have come to the first `n` values."""
        cdef Py_ssize_t at = 0, i, left
        cdef int32_t row
        while at < n:
            left = n - at
            row = m.row_of(member + at, &left)
            note_completed(self.tracer, row, left)
            for i in range(min(left, SHOWN - row)):
                self.show_value(row + <int32_t>i, values[at + i])
            self.row_ended = row + <int32_t>left - 1
            at += left
        return 0

    cdef int show_value(self, int32_t row, object value) except -1:
        if isinstance(value, Unopened):
            self.tracer.values[row] = "large"
        else:
            self.tracer.values[row] = repr(value) if is_atom(value) else type(value).__name__
        return 0

    def traced_row(self, int32_t node):
        """The row of a task in the trace; -1 if there is none."""
        return self.rows[node] if self.tracer is not None else -1

    cdef int move(self, int32_t id, int on) except -1:
        cdef int to = MOVES[self.nodes[id].state][on]
        if to < 0:
            raise InternalError(
                f"{INPUT_NAMES[on]!r} came to {self.key(id)}, which is "
                f"{STATE_NAMES[self.nodes[id].state]}", self.story(id))
        self.nodes[id].state = <uint8_t>to
        return 0

    cdef int add_edge(self, int32_t source, int32_t target) except -1:
        cdef int32_t e, last
        cdef Py_ssize_t cap
        if self.free_edge >= 0:
            e = self.free_edge
            self.free_edge = self.edges[e].next
        else:
            if self.n_edges == self.cap_edges:
                cap = self.cap_edges + (self.cap_edges >> 1) + 8
                if cap > 0x7FFFFFFF:
                    raise UsageError("a run can hold 2,147,483,647 edges at a time")
                grow(<void **>&self.edges, &self.cap_edges, cap, sizeof(Edge))
            e = <int32_t>self.n_edges
            self.n_edges += 1
        self.edges[e].target = target
        last = self.nodes[source].users
        if last < 0:
            self.edges[e].next = e
        else:
            self.edges[e].next = self.edges[last].next
            self.edges[last].next = e
        self.nodes[source].users = e
        self.nodes[target].missing += 1
        return 0

    cdef Result face(self, int32_t id):
        cdef Result r = Result.__new__(Result)
        r.run = self
        r.node = id
        self.nodes[id].holds += 1
        return r

    cdef int release(self, int32_t id) noexcept:
        if not self.closed:
            self.nodes[id].holds -= 1
            self.free_if_unused(id)
        return 0

    cdef int free_if_unused(self, int32_t id) noexcept:
        cdef Node *n = &self.nodes[id]
        cdef PyObject *payload
        if n.holds == 0 and n.missing == 0 and n.users < 0 and (n.state == DONE or n.state == FAILED):
            payload = n.payload
            n.payload = NULL
            n.state = FREE
            if n.flags & OF_MAP:
                self.members.pop(id, None)
                n = &self.nodes[id]
            n.call = self.free_node
            self.free_node = id
            Py_XDECREF(payload)      # last: this may run any code
        return 0

    # ------------------------------------------------------------ finishing: steps 1 to 3

    cdef int finish(self, int32_t id, object payload, bint failed) except -1:
        """The node is known; its users hear of it when `advance` takes it from the heap."""
        cdef PyObject *old
        self.move(id, ON_FAIL if failed else ON_DONE)
        old = self.nodes[id].payload
        Py_INCREF(payload)
        self.nodes[id].payload = <PyObject *>payload
        self.count_finish(id, failed)
        if self.tracer is not None:
            self.trace_end(id, payload, failed)
        self.nodes[id].holds += 1
        self.heap_push(id)
        Py_XDECREF(old)
        return 0

    cdef int count_finish(self, int32_t id, bint failed) noexcept:
        cdef Node *n = &self.nodes[id]
        if n.kind == TASK:
            self.open -= 1
            if failed:
                self.tally[n.dep].failed += 1
            else:
                self.tally[n.dep].done += 1
        elif n.kind == TIMER:
            self.open -= 1
        return 0

    cdef int heap_push(self, int32_t id) except -1:
        cdef Py_ssize_t i, parent
        push(&self.heap, id)
        i = self.heap.n - 1
        while i:
            parent = (i - 1) >> 1
            if self.nodes[self.heap.v[parent]].created <= self.nodes[id].created:
                break
            self.heap.v[i] = self.heap.v[parent]
            i = parent
        self.heap.v[i] = id
        return 0

    cdef int32_t heap_pop(self) noexcept:
        cdef int32_t top = self.heap.v[0]
        cdef int32_t id
        cdef Py_ssize_t i = 0, child
        self.heap.n -= 1
        id = self.heap.v[self.heap.n]
        while True:
            child = 2 * i + 1
            if child >= self.heap.n:
                break
            if (child + 1 < self.heap.n and self.nodes[self.heap.v[child + 1]].created
                    < self.nodes[self.heap.v[child]].created):
                child += 1
            if self.nodes[id].created <= self.nodes[self.heap.v[child]].created:
                break
            self.heap.v[i] = self.heap.v[child]
            i = child
        self.heap.v[i] = id
        return top

    cdef int propagate(self, int32_t id) except -1:
        """Step 1: tell the users of a finished node, in the order in which they came."""
        cdef int32_t last = self.nodes[id].users
        cdef Map member_of = None
        if self.nodes[id].flags & MEMBER:
            member_of = self.members.get(id)
        self.stamp(id)
        if last >= 0:
            self.tell_users(id, last)
        if member_of is not None:
            self.finish_map(member_of)
        return 0

    cdef int tell_users(self, int32_t id, int32_t last) except -1:
        cdef int32_t e, t
        cdef bint failed = self.nodes[id].state == FAILED
        cdef int kind
        self.nodes[id].users = -1
        e = self.edges[last].next
        self.edges[last].next = -1
        while e >= 0:
            t = self.edges[e].target
            last = self.edges[e].next
            self.edges[e].next = self.free_edge
            self.free_edge = e
            e = last
            self.nodes[t].missing -= 1
            kind = self.nodes[t].kind
            if kind == WATCH or kind == REDUCE:
                self.nodes[id].holds += 1
                self.nodes[t].holds += 1
                push(&self.advances, t)
                push(&self.advances, id)
            elif self.nodes[t].state != WAITING:
                self.free_if_unused(t)
            elif kind == GATHER:
                if not failed and isinstance(<object>self.nodes[id].payload, Unopened):
                    self.keep_open(id, self.open_early(<object>self.nodes[id].payload))
                if self.nodes[t].missing == 0:
                    self.finish(t, None, False)
            elif failed:
                self.finish(t, <object>self.nodes[id].payload, True)
            elif self.nodes[t].missing == 0:
                self.make_ready(t)
        return 0

    cdef int stamp(self, int32_t id) except -1:
        """Number the node in the order of finishing, once."""
        if self.nodes[id].finished == 0:
            self.n_finished += 1
            self.nodes[id].finished = self.n_finished
            if self.nodes[id].flags & MEMBER:
                self.tell_map(id)
        return 0

    cdef int make_ready(self, int32_t id) except -1:
        self.move(id, ON_KNOWN)
        if self.nodes[id].flags & SHIPPED:
            self.move(id, ON_TAKE)
            self.sent += 1
            return 0
        if self.tracer is not None and self.rows[id] >= 0:          # else it is being asked for
            self.tracer.know(self.rows[id], self.clock)
        self.outbox.enqueue(self, id, self.lanes[self.nodes[id].dep])
        return 0

    cdef int advance(self) except -1:
        """Steps 1, 2, 3, until nothing moves."""
        cdef int32_t id, target
        if self.plain:
            return 0
        while not self.closed:
            if self.heap.n:
                id = self.heap_pop()
                self.propagate(id)
                self.release(id)
            elif count(&self.advances):
                target = shift_out(&self.advances)
                id = shift_out(&self.advances)
                if self.nodes[target].kind == WATCH:
                    self.advance_watch(target, id)
                else:
                    self.advance_reduction(target, id)
                self.release(id)
                self.release(target)
            elif self.awaited >= 0 and self.nodes[self.awaited].state >= DONE:
                self.resume()
            elif self.awaited >= 0 and (self.cancel_pending or self.give_up_with is not None):
                self.resume()
            elif self.code_done and not self.ended and self.give_up_with is not None:
                self.exception = self.give_up_with
                self.linger = False
                self.conclude()
            elif self.code_done and not self.ended and self.may_end():
                self.conclude()
            elif self.code_done and not self.ended and self.cancel_pending:
                self.cancel_pending = False
                self.linger = False
                if not self.may_end():              # it waits for results in what it returned
                    self.exception = asked_to_cancel()
            else:
                break
        return 0

    cdef int advance_watch(self, int32_t node, int32_t source) except -1:
        cdef Watch w = <Watch>self.nodes[node].payload
        cdef int32_t slot
        if count(&w.slots):
            slot = shift_out(&w.slots)
            if self.tracer is not None:
                self.tracer.resolve(self.rows[slot], [self.rows[source]])
            self.finish(slot, <object>self.nodes[source].payload, self.nodes[source].state == FAILED)
            if w.once and w.source_map is not None:
                if node in w.source_map.listeners:
                    w.source_map.listeners.remove(node)
                    self.release(node)
                w.source_map = None
        elif not w.once:
            self.nodes[source].holds += 1
            push(&w.order, source)
        self.retire_watch(node)
        return 0

    cdef int retire_watch(self, int32_t node) except -1:
        """A watch whose sources are all finished is done; it lives on while iterated."""
        cdef Watch w = <Watch>self.nodes[node].payload
        if (self.nodes[node].missing == 0 and self.nodes[node].state == WAITING
                and (w.source_map is None or (w.source_map.exhausted and not w.source_map.unfinished))):
            self.move(node, ON_DONE)
        return 0

    cdef int advance_reduction(self, int32_t node, int32_t source) except -1:
        cdef Reduction r
        if self.nodes[node].state != WAITING:
            return 0
        r = <Reduction>self.nodes[node].payload
        r.pending -= 1
        if r.source_map is not None and self.nodes[source].index >= 0 and not r.source_map.exhausted:
            r.source_map.released += 1
            self.offer_room(r.source_map)
        if self.nodes[source].state == FAILED:
            self.finish(node, <object>self.nodes[source].payload, True)
            return 0
        r.have.append(self.face(source))
        self.combine(node, r)
        return 0

    cdef int combine(self, int32_t node, Reduction r) except -1:
        """Start the reducer on every two values that are there; finish with the last one."""
        cdef Result result
        while len(r.have) >= 2:
            x = r.have.popleft()
            y = r.have.popleft()
            try:
                made = self.reduce_two(r.function, x, y)
                if type(made) is Result:
                    self.own(<Result>made)
            except Exception as error:
                failure = Failure.of(error, key=self.key(node), name="parallel_reduce")
                self.note_failure(failure)
                self.finish(node, failure, True)
                return 0
            if type(made) is not Result:
                if self.tracer is not None:
                    r.seen(x)
                    r.seen(y)
                r.have.append(made)
                continue
            result = <Result>made
            if self.nodes[result.node].state >= DONE:
                if self.nodes[result.node].state == FAILED:
                    self.finish(node, <object>self.nodes[result.node].payload, True)
                    return 0
                r.have.append(result)
            else:
                r.pending += 1
                self.add_edge(result.node, node)
        if not r.pending and len(r.have) == 1 and (r.source_map is None or r.source_map.exhausted):
            if self.tracer is not None:
                r.seen(r.have[0])
                self.tracer.resolve(self.rows[node], r.rows)
            self.finish(node, self.known(r.have.popleft()), False)
        return 0

    cdef object reduce_two(self, function, x, y):
        if type(function) is Dependency:
            return self.call_now((<Dependency>function).dep, (x, y))
        return self.run_aside(function, (self.opened(x), self.opened(y)))

    cdef object opened(self, x):
        return self.open_value((<Result>x).node) if type(x) is Result else x

    cdef object known(self, x):
        """The value of a finished result, perhaps unopened, or a plain value."""
        return <object>self.nodes[(<Result>x).node].payload if type(x) is Result else x

    cdef object call_now(self, int32_t dep, tuple args):
        """A call of a dependency by the core itself, in step 2 or on behalf of the code."""
        cdef bint running = self.running
        self.running = True
        try:
            return self.call(dep, args, None)
        finally:
            self.running = running

    cdef object run_aside(self, function, tuple args):
        """Run a plain function of the user inside a step: it may call dependencies, not wait."""
        cdef bint running = self.running
        cdef bint aside = self.aside
        cdef bint in_code = self.in_code
        box = []
        self.running = self.aside = self.in_code = True
        try:
            if self.plain or current() is self:
                return function(*args)
            g = Code(lambda: _keep_outcome(box, function, args), getcurrent())
            g.owner = self
            g.gr_context = self.context
            g.switch()
        finally:
            self.running = running
            self.aside = aside
            self.in_code = in_code
        value, error = box
        if error is not None:
            raise error
        return value

    cdef int note_failure(self, failure) except -1:
        self.failures += 1
        if len(self.unlooked) < 16:
            self.unlooked.append(failure)
        return 0

    # ------------------------------------------------------------ the workflow's code

    def _execute(self):
        """The body of the greenlet: build the workflow, call it, keep what came out."""
        cdef Dependency d
        try:
            given = {}
            for i in range(len(self.names)):
                d = Dependency.__new__(Dependency)
                d.run = self
                d.dep = i
                given[self.names[i]] = d
            workflow = self.factory(**given)
            if not callable(workflow):
                raise UsageError(
                    f"{_describe_factory(self.factory)} made a {type(workflow).__name__}, which can't be "
                    "called: the workflow's code goes into its __call__")
            value = workflow(*self.args, **self.kwargs)
            if type(value) is not Result and isinstance(value, CANT_RETURN):
                kind = type(value).__name__
                if hasattr(value, "close"):
                    value.close()
                raise UsageError(
                    f"the workflow {_describe_factory(self.factory)} is a {kind}: workflow code is "
                    "plain Python that returns its value; remove `yield`, `async` and `await` from it")
            self.settle(value)
        except BaseException as error:
            if not self.closed:                          # else its traceback would keep the run for ever
                self.exception = error
        self.code_done = True

    def start(self, double time=0.0):
        """The start event: run the code until it first waits."""
        self.thread = PyThread_get_thread_ident()
        self.clock = time
        if self.context is None:
            self.context = copy_context()
        self.greenlet = Code(self._execute)
        self.greenlet.owner = self
        self.greenlet.gr_context = self.context
        self.resume()
        self.advance()

    cdef int resume(self) except -1:
        """Step 3: switch to the code; comes back when it waits or has ended."""
        self.row_after = self.row_ended
        self.awaited = -1
        self.outbox.turns += 1
        self.hub = getcurrent()
        self.greenlet.parent = self.hub
        self.running = self.in_code = True
        try:
            self.greenlet.switch()
        finally:
            self.running = self.in_code = False
        if self.code_done:
            self.greenlet = None
        return 0

    cdef object look(self, int32_t id):
        """The value of a node, waiting for it if need be; raises its error if it failed."""
        if self.thread != PyThread_get_thread_ident() or self.closed or not self.running:
            self.refuse_look(id)
        if self.nodes[id].state < DONE:
            self.suspend(id)
        value = <object>self.nodes[id].payload
        if self.nodes[id].state == FAILED:
            self.see(value)
            raise value.error()
        return self.open_value(id) if isinstance(value, Unopened) else value

    cdef object open_value(self, int32_t id):
        """The value of a node that is done; opened at the first look, and kept so."""
        cdef Map m
        cdef Py_ssize_t i
        value = <object>self.nodes[id].payload
        if not isinstance(value, Unopened):
            return value
        if self.nodes[id].flags & OF_MAP:
            m = self.members[id]
            i = self.nodes[id].index
            value = self.open_member(m, i) if i >= m.base else self.load(value, self.key(id), self.names[m.dep])
        else:
            name = self.names[self.nodes[id].dep] if self.nodes[id].dep >= 0 else ""
            value = self.load(value, self.key(id), name)
        return self.keep_open(id, value)

    cdef object load(self, Unopened value, key, name):
        try:
            return value.load()
        except Exception as error:
            what = f"its value can't be opened: {type(error).__name__}: {error}"
            raise Failure(what, key=key, name=name, cause=error).error() from error

    cdef object keep_open(self, int32_t id, value):
        """The node has the opened value from now on; what is shared stays as it is."""
        cdef PyObject *before = self.nodes[id].payload
        if type(<object>before) is not Shared:
            Py_INCREF(value)
            self.nodes[id].payload = <PyObject *>value
            Py_DECREF(<object>before)
        return value

    cdef object open_member(self, Map m, Py_ssize_t i):
        """The value of a known member of a map; opened at the first look, and kept so."""
        cdef PyObject *before = m.at(i)
        if not isinstance(<object>before, Unopened):
            return <object>before
        value = self.load(<object>before, f"{self.names[m.dep]}-{m.call}.{i}-0", self.names[m.dep])
        if type(<object>before) is not Shared and i >= m.base and m.at(i) == before:
            Py_INCREF(value)
            m.values[i - m.origin] = <PyObject *>value
            Py_DECREF(<object>before)
        return value

    cdef object open_early(self, value):
        """All that a gathering meets will be looked at: what is copied out now can be written over."""
        try:
            return (<Unopened>value).load() if type(value) is not Shared else value
        except Exception:
            return value                         # told at the look

    cdef int see(self, failure) except -1:
        if not failure.looked:
            failure.looked = True
            self.looked += 1
        return 0

    cdef int suspend(self, int32_t id) except -1:
        if self.aside:
            raise UsageError(
                f"{self.key(id)} is not known yet, and here nothing may wait: a reducer and the inputs "
                "of a lazy map run while the workflow waits elsewhere")
        if self.plain:
            raise UsageError(f"{self.key(id)} will never be known: plain Python has no engine to wait for")
        if current() is not self:
            raise UsageError(f"the result {self.key(id)} belongs to another run: pass its value instead")
        if in_logging():
            raise UsageError(
                f"{self.key(id)} is not known yet, and waiting while logging holds its locks would "
                "hang: look at the result before it is logged")
        if not self.cancel_pending:
            if self.tracer is not None:
                self.trace_wait(id)
            self.awaited = id
            self.hub.switch()
            if self.tracer is not None and self.waits_for is not None:
                self.waits_for.end(self.clock)
            if self.closed:
                raise GreenletExit
        if self.give_up_with is not None and self.nodes[id].state < DONE:
            error = self.give_up_with
            self.give_up_with = None
            raise error
        if self.cancel_pending and self.nodes[id].state < DONE:
            self.cancel_pending = False
            raise asked_to_cancel()
        return 0

    cdef int refuse_look(self, int32_t id) except -1:
        if self.thread != PyThread_get_thread_ident():
            raise UsageError(
                f"the result {self.key(id)} was touched in another thread than that of its run: pass "
                "it as an argument, so that its value gets there")
        if self.closed:
            self.leave_if_discarded()
            raise UsageError(
                f"the result {self.key(id)} was used after its run ended: return it from the workflow, "
                "or look at it inside")
        self.refuse_hidden(id)
        raise UsageError(
            f"the result {self.key(id)} belongs to another run, whose code is not running now: pass its "
            "value instead")

    cdef int leave_if_discarded(self) except -1:
        """A discarded run whose code goes on is thrown out again; the third time it is left behind."""
        g = getcurrent()
        if type(g) is Code and g.owner is self and self.throws:
            self.throws += 1
            if self.throws > 3:
                ABANDONED.append(g)          # kept for ever: collecting it would resume it
                self.hub.switch()
            raise GreenletExit
        return 0

    cdef int check_code(self, what) except -1:
        """Raise unless the code of this run is what is running."""
        if self.running and not self.closed and self.thread == PyThread_get_thread_ident():
            return 0
        if self.closed:
            self.leave_if_discarded()
            raise UsageError(f"{what} was used after its run ended")
        if self.thread != PyThread_get_thread_ident():
            raise UsageError(f"{what} was used in another thread than that of its run")
        raise UsageError(
            f"{what} was used outside the code of its run: only the workflow's own code may do so")

    cdef int own(self, Result r) except -1:
        if r.run is not self:
            if r.run.closed:
                r.run.refuse_look(r.node)
            raise UsageError(f"the result {r.run.key(r.node)} belongs to another run: pass its value instead")
        return 0

    cdef bint would_hang(self, int32_t id):
        return not self.closed and self.nodes[id].state < DONE and in_logging()

    cdef int refuse_hidden(self, int32_t id) except -1:
        if self.outbox.pumping or (current() is None and not self.closed):
            raise UsageError(
                f"the result {self.key(id)} sits inside an object that flowy does not look into: pass it "
                "as an argument of its own, or in a list, tuple, set, dict, named tuple or dataclass")
        return 0

    # ------------------------------------------------------------ the end

    cdef int settle(self, value) except -1:
        """The code has returned: find every result in its value (draws lazy maps to their end)."""
        cdef Walk w
        if type(value) is RestartCall:
            value = (value.args, value.kwargs)
            self.restarts = True
        start_walk(&w, False, DEEPEST_VALUE)
        try:
            self.walk_value(value, &w)
            self.final_value = value
            if w.pending.n:
                self.final = self.gather(&w)
        finally:
            discard(&w.pending)
        return 0

    cdef int32_t gather(self, Walk *w) except -1:
        """A node that waits for what the walk met, to be done or failed.

        Of very many it waits only for the last eighth at first: when that is done the others mostly are,
        and a new walk meets the few that are not. An edge for each would cost more than the tasks' values.
        """
        cdef int32_t id = self.create(GATHER, -1, 0, -1)
        cdef Py_ssize_t i, first = 0
        self.nodes[id].holds = 1
        if w.pending.n > GATHERED_WHOLE:
            first = min(w.pending.n - (w.pending.n >> 3), w.pending.n - GATHERED_WHOLE)
        for i in range(first, w.pending.n):
            self.add_edge(w.pending.v[i], id)
        discard(&w.pending)
        return id

    cdef bint may_end(self):
        if self.linger and self.open:
            return False
        return self.exception is not None or self.final < 0 or self.nodes[self.final].state == DONE

    cdef object open_final(self, Walk *w):
        """The run's value, with values in place of results. A list that nobody else has stays the same
        one: it may have millions of items."""
        cdef Py_ssize_t i
        cdef list items
        if type(self.final_value) is not list or Py_REFCNT(<PyObject *>self.final_value) > 1:
            return self.walk_value(self.final_value, w)
        items = <list>self.final_value
        for i in range(len(items)):
            item = self.walk(items[i], w, 1)
            if w.failed < 0:                         # else something here holds its failure
                items[i] = item
        return items

    cdef int conclude(self) except -1:
        cdef Walk w
        start_walk(&w, False, DEEPEST_VALUE)
        w.opening = True
        try:
            if self.exception is None:
                value = self.open_final(&w)
                if w.pending.n:                      # left out by `gather`
                    self.release(self.final)
                    self.final = self.gather(&w)
                    return 0
                if w.failed >= 0:
                    failure = <object>self.nodes[w.failed].payload
                    self.see(failure)
                    self.exception = failure.error()
        except Exception as error:
            self.exception = error
        finally:
            discard(&w.pending)
        if self.exception is not None:
            self.outcome = events.Fail(Failure.of(self.exception))
        elif self.restarts:
            self.outcome = events.Restart(value[0], value[1])
        else:
            self.outcome = events.Complete(value)
        self.final_value = None
        self.ended = True
        self.outbox.forget(self)
        self.outbox.ended.append(self)
        return 0

    def close(self):
        """Discard the run: throw its code out if it still waits, free all that it holds.

        Returns whether the code is gone; False if it clung on and was left behind.
        """
        cdef Py_ssize_t i, n
        cdef PyObject *payload
        if self.closed:
            return True
        if self.running and not self.plain:
            raise UsageError("a run can't be closed by its own code")
        self.closed = True
        self.outbox.forget(self)
        gone = True
        g = self.greenlet
        if g is not None and g:
            for _ in range(2):
                self.throws = max(self.throws, 1)
                self.hub = getcurrent()
                g.parent = self.hub
                g.throw(GreenletExit)
                if g.dead:
                    break
            gone = g.dead
        self.greenlet = self.hub = None
        self.factory = self.args = self.kwargs = self.context = None
        self.final_value = None
        self.outcome = self.exception = None        # whose traceback knows the code, which knows this
        self.signals_kept = self.signals_waiting = None
        self.orders = []
        self.members = {}
        n = self.n_nodes
        for i in range(n):
            payload = self.nodes[i].payload
            self.nodes[i].payload = NULL
            Py_XDECREF(payload)
        return gone

    # ------------------------------------------------------------ calls

    cdef object call(self, int32_t dep, tuple args, dict kwargs):
        cdef int32_t id
        if not self.running or self.closed or self.thread != PyThread_get_thread_ident():
            self.check_code(f"the dependency {self.names[dep]!r}")
        if self.drawing:
            raise UsageError(
                f"the inputs of a lazy map called the dependency {self.names[dep]!r} while they were "
                "drawn: make that call in the workflow, and give the map its results")
        if self.plain:
            return self.call_plain(dep, args, kwargs)
        id = self.ask(dep, self.tally[dep].calls, -1, args, kwargs)
        self.tally[dep].calls += 1
        result = self.face(id)
        if self.outbox.fresh >= self.outbox.full_at or self.outbox.heavy >= self.outbox.heavy_at:
            self.outbox.overflow()
        return result

    cdef int32_t ask(self, int32_t dep, int32_t call, int32_t index, tuple args, dict kwargs) except -1:
        """The node of one call: ready, waiting for its arguments, or failed with one of them."""
        cdef int32_t id
        cdef Walk w
        cdef bint simple = not kwargs
        cdef uint16_t flags = 0
        cdef Py_ssize_t i
        self.met.n = 0
        if simple:
            for x in args:
                if not is_atom(x):
                    simple = False
                    break
        if simple:
            id = self.create(TASK, dep, call, index)
            if len(args) == 1:
                self.set_payload(id, args[0], SINGLE)
            else:
                PyObject_GC_UnTrack(args)            # atoms only: the collector would find so much later
                self.set_payload(id, args, 0)
            self.make_ready(id)
        elif not kwargs and self.are_pending(args):
            id = self.create(TASK, dep, call, index)
            PyObject_GC_UnTrack(args)                # the same for atoms and results
            self.set_payload(id, args, HAS_RESULTS)
            for x in args:
                if type(x) is Result:
                    self.add_edge((<Result>x).node, id)
                    if self.tracer is not None:
                        self.trace_met((<Result>x).node)
        else:
            start_walk(&w, True, DEEPEST_ARGUMENT)
            try:
                args = self.walk_call(dep, call, args, &w)
                if kwargs:
                    kwargs = self.walk_call(dep, call, kwargs, &w)
                    flags |= HAS_KEYWORDS
                if w.pending.n:
                    flags |= HAS_RESULTS
                if w.objects:
                    flags |= HAS_OBJECTS
                id = self.create(TASK, dep, call, index)
                if w.failed >= 0:
                    self.move(id, ON_FAIL)
                    self.set_payload(id, <object>self.nodes[w.failed].payload, 0)
                    self.stamp(id)
                    self.tally[dep].failed += 1
                    self.open -= 1
                else:
                    self.set_payload(id, (args, kwargs) if kwargs else args, flags)
                    if w.pending.n:
                        for i in range(w.pending.n):
                            self.add_edge(w.pending.v[i], id)
                    else:
                        self.make_ready(id)
            finally:
                discard(&w.pending)
        if self.tracer is not None:
            self.rows[id] = self.trace_call(dep, call, index, self.nodes[id].state == WAITING)
            if self.nodes[id].state == FAILED:
                self.trace_failed_call(id)
        self.tally[dep].asked += 1
        self.open += 1
        if self.lines is not None:
            self.note_line(id)
        return id

    cdef int note_line(self, int32_t id) except -1:
        """Remember which line of the user's code asked for a node; of what the core asks for there is none."""
        if current() is not self:
            return 0
        frame = sys._getframe()
        while frame is not None and frame.f_globals.get("__name__", "").startswith("flowy."):
            frame = frame.f_back
        if frame is not None:
            self.lines[self.key(id)] = (frame.f_code.co_filename, frame.f_lineno)
        return 0

    cdef bint are_pending(self, tuple args) noexcept:
        """Whether these are atoms, and results of this run that are not known: nothing to walk through."""
        for x in args:
            if type(x) is Result:
                if (<Result>x).run is not self or self.nodes[(<Result>x).node].state >= DONE:
                    return False
            elif not is_atom(x):
                return False
        return True

    cdef int set_payload(self, int32_t id, object payload, uint16_t flags) except -1:
        Py_INCREF(payload)
        self.nodes[id].payload = <PyObject *>payload
        self.nodes[id].flags = flags
        return 0

    cdef object walk_call(self, int32_t dep, int32_t call, arguments, Walk *w):
        root = "kwargs" if type(arguments) is dict else "args"
        try:
            return self.walk(arguments, w, 0)
        except TooDeep as error:
            raise UsageError(f"{self.names[dep]}-{call}-0: {tell_nesting(arguments, root, error)}") from None
        except UsageError as error:
            raise UsageError(f"{root} of {self.names[dep]}-{call}-0: {error}") from None

    cdef object open_all(self, x):
        """`x` with the values that are elsewhere in place."""
        cdef Walk w
        start_walk(&w, False, DEEPEST_VALUE)
        w.opening = True
        return self.walk(x, &w, 0)

    cdef object walk_value(self, x, Walk *w):
        try:
            return self.walk(x, w, 0)
        except TooDeep as error:
            raise UsageError(f"the value {tell_nesting(x, '', error)}") from None

    cdef object call_plain(self, int32_t dep, tuple args, dict kwargs):
        """Without an engine the function runs at once; what fails becomes a failed result."""
        cdef int32_t id = self.ask(dep, self.tally[dep].calls, -1, args, kwargs)
        result = self.face(id)
        self.tally[dep].calls += 1
        if self.nodes[id].state == FAILED:
            return result
        self.outbox.forget(self)
        self.move(id, ON_TAKE)
        args, kwargs = self.arguments(id)
        try:
            value = self.functions[dep](*args, **(kwargs or {}))
        except Exception as error:
            failure = Failure.of(error, key=self.key(id), name=self.names[dep])
            self.note_failure(failure)
            self.finish(id, failure, True)
            self.propagate(self.heap_pop())
            self.release(id)
            return result
        self.finish(id, value, False)
        self.propagate(self.heap_pop())
        self.release(id)
        return value

    cdef tuple arguments(self, int32_t id):
        """(args, kwargs or None) of a call, with values in place of results."""
        cdef Walk w
        cdef bint opening = self.unopened and (
            self.outbox.opens or self.lanes[self.nodes[id].dep] == 1)
        call = <object>self.nodes[id].payload
        if self.nodes[id].flags & SINGLE:
            return (call,), None
        if self.nodes[id].flags & HAS_RESULTS or (opening and self.nodes[id].flags & HAS_OBJECTS):
            start_walk(&w, False, DEEPEST_VALUE)
            w.opening = opening
            try:
                call = self.walk(call, &w, 0)
                if w.pending.n or w.failed >= 0:
                    raise InternalError("a call was sent before its arguments were known", self.story(id))
                if w.objects:
                    self.nodes[id].flags |= HAS_OBJECTS
            finally:
                discard(&w.pending)
        if self.nodes[id].flags & HAS_KEYWORDS:
            return call
        return call, None

    # ------------------------------------------------------------ walking through arguments

    cdef object walk(self, object x, Walk *w, int depth):
        """`x` with the values of its known results in place; notes the others in `w`."""
        cdef int kind
        cdef Result r
        cdef bint changed
        if is_atom(x):
            return x
        kind = kind_of(x)
        if kind == ATOM:
            if type(x) is bytes:                     # large: travels on its own
                w.objects = True
                if w.copying:
                    self.outbox.heavy += len(<bytes>x)
            return x
        if kind == RESULT:
            r = <Result>x
            self.own(r)
            if self.tracer is not None and w.copying:
                self.trace_met(r.node)
            if self.nodes[r.node].state == DONE:
                x = self.open_value(r.node) if w.opening else <object>self.nodes[r.node].payload
                if not is_atom(x):
                    w.objects = True
                return x
            if self.nodes[r.node].state == FAILED:
                if w.failed < 0 or self.nodes[r.node].finished < self.nodes[w.failed].finished:
                    w.failed = r.node
            else:
                push(&w.pending, r.node)
            return x
        if kind == OBJECT:
            w.objects = True
            if w.copying and PyObject_CheckBuffer(x):
                self.outbox.heavy += size_of(x)
            return (<Unopened>x).load() if w.opening and isinstance(x, Unopened) else x
        if kind == DEPENDENCY:
            raise UsageError(
                f"the dependency {x.__name__!r} was passed as a value: call it and pass its result")
        depth += 1
        if depth > w.deepest + 1:
            raise TooDeep(f"containers nest deeper than {w.deepest}")
        if kind == LIST or kind == LIST_LIKE:
            return self.walk_list(x, w, depth, kind == LIST)
        if kind == TUPLE or kind == TUPLE_LIKE:
            return self.walk_tuple(x, w, depth, kind == TUPLE)
        if kind == DICT or kind == DICT_LIKE:
            return self.walk_dict(x, w, depth, kind == DICT)
        if kind == SET or kind == FROZENSET or kind == SET_LIKE:
            return self.walk_set(x, w, depth, kind)
        if kind == MAPPED:
            return self.walk_map(<MapResult>x, w)
        return self.walk_dataclass(x, w, depth)

    cdef object walk_list(self, x, Walk *w, int depth, bint exact):
        cdef list made = [] if w.copying else None   # from the first item on that changes
        cdef Py_ssize_t i = 0
        for item in <list>x:
            new = self.walk(item, w, depth)
            if made is None and new is not item:
                made = (<list>x)[:i]
            if made is not None:
                made.append(new)
            i += 1
        if not exact:
            w.objects = True
        if made is None:
            return x
        if exact:
            return made
        made_like = copy.copy(x)
        list.__setitem__(made_like, slice(None), made)
        return made_like

    cdef object walk_tuple(self, x, Walk *w, int depth, bint exact):
        cdef list made = []
        cdef bint changed = False
        for item in <tuple>x:
            new = self.walk(item, w, depth)
            if new is not item:
                changed = True
            made.append(new)
        if not exact:
            w.objects = True
        if not changed:
            return x
        if exact:
            return tuple(made)
        made_like = tuple.__new__(type(x), made)
        if hasattr(x, "__dict__"):
            made_like.__dict__.update(x.__dict__)
        return made_like

    cdef object walk_dict(self, x, Walk *w, int depth, bint exact):
        cdef dict made = {}
        cdef bint changed = False
        for key, value in dict.items(x):
            new_key = self.walk(key, w, depth) if not is_atom(key) else key
            new = self.walk(value, w, depth)
            if new is not value or new_key is not key:
                changed = True
            made[new_key] = new
        if exact:
            return made if changed or w.copying else x
        w.objects = True
        if not changed and not w.copying:
            return x
        made_like = copy.copy(x)
        if changed:
            for key in list(dict.keys(made_like)):
                if type(key) is Result:
                    del made_like[key]
            for key, new in made.items():
                dict.__setitem__(made_like, key, new)
        return made_like

    cdef object walk_set(self, x, Walk *w, int depth, int kind):
        cdef set made = set()
        cdef bint changed = False
        for item in x:
            new = self.walk(item, w, depth) if not is_atom(item) else item
            if new is not item:
                changed = True
            made.add(new)
        if kind == SET:
            return made if changed or w.copying else x
        if kind == FROZENSET:
            return frozenset(made) if changed else x
        w.objects = True
        if not changed and not w.copying:
            return x
        made_like = copy.copy(x)
        if changed and isinstance(x, set):
            set.clear(made_like)
            set.update(made_like, made)
        elif changed:
            made_like = type(x)(made)
        return made_like

    cdef object walk_dataclass(self, x, Walk *w, int depth):
        if isinstance(x, type):
            w.objects = True
            return x
        w.objects = True
        made = copy.copy(x) if w.copying else x
        for name in type(x).__dataclass_fields__:
            try:
                item = object.__getattribute__(x, name)
            except AttributeError:
                continue
            new = self.walk(item, w, depth)
            if new is not item:
                if made is x:
                    made = copy.copy(x)
                object.__setattr__(made, name, new)
        return made

    cdef object walk_map(self, MapResult x, Walk *w):
        """The values of a map's members as a list; `x` itself while some are not known."""
        cdef Map m = x.map
        cdef Py_ssize_t i
        if m.run is not self:
            raise UsageError(f"{x!r} belongs to another run: pass its values instead")
        x.size()
        if self.tracer is not None and w.copying:
            self.met_all(m)
        if m.first_failed >= 0 and (w.failed < 0 or self.nodes[m.first_failed].finished
                                    < self.nodes[w.failed].finished):
            w.failed = m.first_failed
        if m.unfinished:
            for i in sorted(m.nodes):
                push(&w.pending, m.nodes[i])
            if m.unfinished > len(m.nodes):
                push(&w.pending, m.node)
            return x
        made = []
        for i in range(m.drawn):
            value = <object>m.values[i]
            if not is_atom(value):
                w.objects = True
                if m.unopened and w.opening:
                    value = self.open_member(m, i)
            made.append(value)
        return made

    # ------------------------------------------------------------ verbs of workflow code

    cpdef object wait(self, x):
        """The value of `x`, of every result in it."""
        cdef Walk w
        cdef int32_t id
        if type(x) is Result:
            if (<Result>x).run is self or (<Result>x).run.plain:
                return value_of(<Result>x)
            self.own(<Result>x)
        start_walk(&w, False, DEEPEST_VALUE)
        w.opening = True
        try:
            made = self.walk_value(x, &w)
            while w.pending.n:
                self.check_code("wait")
                made = None
                id = self.gather(&w)
                try:
                    self.suspend(id)
                finally:
                    self.release(id)
                w.failed = -1
                made = self.walk_value(x, &w)
            x = made
            if w.failed >= 0:
                failure = <object>self.nodes[w.failed].payload
                self.see(failure)
                raise failure.error()
            return x
        finally:
            discard(&w.pending)

    cdef list sort_sources(self, items, Ints *pending):
        """Plain values, then finished results in the order of finishing; the others into `pending`."""
        cdef Result r
        plain = []
        finished = []
        if type(items) is MapResult:
            items = self.known_members((<MapResult>items).map)
        for x in items:
            if type(x) is not Result:
                plain.append(x)
                continue
            r = <Result>x
            self.own(r)
            if self.nodes[r.node].state < DONE:
                push(pending, r.node)
            else:
                finished.append((self.nodes[r.node].finished, x))
        finished.sort(key=_first_of_pair)
        return plain + [pair[1] for pair in finished]

    cdef int32_t watch(self, Ints *pending, Map m, bint once) except -1:
        """A watch over what is pending, and over the members of a map, if one is given."""
        cdef int32_t id = self.create(WATCH, -1, 0, -1)
        cdef Watch w = Watch.__new__(Watch)
        cdef Py_ssize_t i
        w.run = self
        w.once = once
        w.sources = pending.n
        self.set_payload(id, w, 0)
        self.nodes[id].holds = 1
        for i in range(pending.n):
            self.add_edge(pending.v[i], id)
        if m is not None:
            w.sources += m.unfinished
            w.source_map = m
            self.subscribe(m, id)
        return id

    def first(self, items):
        cdef Ints pending
        cdef int32_t id, slot
        cdef Map m = map_of(items)
        pending.v = NULL
        pending.n = pending.cap = pending.head = 0
        self.check_code("first")
        try:
            if m is not None:
                self.own_map(m)
                m.await_member(0)
            known = self.sort_sources(items, &pending)
            if known:
                return known[0]
            if not pending.n and (m is None or not m.unfinished):
                if m is not None:
                    m.tell_failure()
                raise ValueError("first() of nothing: give it at least one result or value")
            id = self.watch(&pending, m, True)
            slot = self.create(SLOT, -1, self.slots_made, -1)
            self.slots_made += 1
            push(&(<Watch>self.nodes[id].payload).slots, slot)
            result = self.face(slot)
            self.release(id)
            return result
        finally:
            discard(&pending)

    def finish_order(self, items):
        cdef Ints pending
        cdef FinishOrder order = FinishOrder.__new__(FinishOrder)
        cdef Map m = map_of(items)
        pending.v = NULL
        pending.n = pending.cap = pending.head = 0
        self.check_code("finish_order")
        try:
            if m is not None:
                self.own_map(m)
            order.known = self.sort_sources(items, &pending)
            if m is not None and m.exhausted and not m.unfinished and m.failure is None:
                m = None
            if pending.n or m is not None:
                order.node = self.watch(&pending, m, False)
                order.watch = <Watch>self.nodes[order.node].payload
                if m is not None:
                    m.released += len(order.known)
                    self.offer_room(m)
            return order
        finally:
            discard(&pending)

    def parallel_reduce(self, function, items, first=()):
        """`first` holds the initializer, if there is one."""
        cdef Reduction r = Reduction.__new__(Reduction)
        cdef int32_t id
        cdef Result x
        cdef Map m = map_of(items)
        cdef Ints pending
        cdef Py_ssize_t i
        self.check_code("parallel_reduce")
        if type(function) is Dependency:
            if (<Dependency>function).run is not self:
                raise UsageError(f"{function!r} belongs to another run")
        elif not callable(function):
            raise UsageError(f"parallel_reduce needs a function, not {function!r}")
        if m is not None:
            self.own_map(m)
            m.await_member(0)
            if m.exhausted:
                m.tell_failure()
            if m.first_failed >= 0:
                return self.face(m.first_failed)
            items = self.known_members(m)
            if m.exhausted and not m.unfinished:
                m = None
        items = [*first, *items]
        if not items and m is None:
            raise ValueError("parallel_reduce() of nothing, without an initializer")
        r.function = function
        r.have = deque()
        r.source_map = m
        pending.v = NULL
        pending.n = pending.cap = pending.head = 0
        failed = None
        try:
            for item in items:
                if type(item) is not Result:
                    r.have.append(item)
                    continue
                x = <Result>item
                self.own(x)
                if self.nodes[x.node].state < DONE:
                    push(&pending, x.node)
                elif self.nodes[x.node].state == DONE:
                    r.have.append(x)
                elif failed is None or (self.nodes[x.node].finished
                                        < self.nodes[(<Result>failed).node].finished):
                    failed = x
            if failed is not None:
                return failed
            if m is None and len(items) == 1 and not pending.n:
                return items[0]
            id = self.create(REDUCE, -1, self.slots_made, -1)
            self.slots_made += 1
            self.set_payload(id, r, 0)
            result = self.face(id)
            r.pending = pending.n
            for i in range(pending.n):
                self.add_edge(pending.v[i], id)
        finally:
            discard(&pending)
        if m is not None:
            r.pending += m.unfinished
            self.subscribe(m, id)
            m.released += len(r.have) - len(first)
            self.offer_room(m)
        self.combine(id, r)
        self.settle_now(id)
        if self.nodes[id].state == DONE:
            return self.open_value(id)
        return result

    cdef int settle_now(self, int32_t id) except -1:
        """What finished within a call of the code has no users yet: stamp it at once."""
        cdef int32_t top
        while self.heap.n and self.nodes[self.heap.v[0]].users < 0:
            top = self.heap_pop()
            self.propagate(top)
            self.release(top)
        return 0

    # ------------------------------------------------------------ maps

    def map(self, Dependency function, iterables, window):
        cdef Map m
        cdef MapResult face
        if function.run is not self:
            raise UsageError(f"{function!r} belongs to another run")
        self.check_code("map")
        iterables = [bare(x) for x in iterables]
        if self.plain:
            return [self.call_plain(function.dep, xs, None) for xs in zip(*iterables)]
        m = Map.__new__(Map)
        m.run = self
        m.dep = function.dep
        m.call = self.tally[function.dep].calls
        m.progress = m.first_failed = -1
        m.window = window
        m.listeners = []
        m.nodes = {}
        m.chunks = deque()
        m.single = len(iterables) == 1
        m.node = self.create(MEMBERS, m.dep, m.call, -1)
        self.set_payload(m.node, m, 0)
        self.nodes[m.node].holds = 1
        m.face_alive = True
        self.tally[m.dep].calls += 1
        face = MapResult.__new__(MapResult)
        face.map = m
        if self.tracer is not None:
            m.line = self.line_here()
        if all([is_sized(x) for x in iterables]):
            m.exhausted = True
            if not m.single:
                self.extend_map(m, list(zip(*iterables)))
            elif type(iterables[0]) is range or type(iterables[0]) is tuple:
                self.extend_map(m, iterables[0])
            else:
                self.extend_map(m, list(iterables[0]))
            self.finish_map(m)
        else:
            iterables = [list(x) if type(x) is list else x for x in iterables]
            m.inputs = iter(iterables[0]) if m.single else zip(*iterables)
            self.offer_room(m)
        return face

    cdef int own_map(self, Map m) except -1:
        if m.run is not self:
            raise UsageError(f"the map {self.names[m.dep]}-{m.call} belongs to another run")
        return 0

    cdef int extend_map(self, Map m, items) except -1:
        """More members, from their inputs."""
        cdef Py_ssize_t i, j, first, n = len(items), compact = 0
        cdef Chunk chunk = Chunk.__new__(Chunk)
        cdef bint numbers = type(items) is range
        cdef bint listed = type(items) is list
        cdef bint here = self.lanes[m.dep] == 0
        if m.drawn + n > 0x7FFFFFFF:
            raise UsageError("a map can have 2,147,483,647 members")
        m.reserve(n)
        chunk.first = m.drawn
        chunk.items = items
        misuse = None
        i = 0
        while i < n:
            j = i
            if numbers and here:
                j = n
            elif here and m.single and listed:
                while j < n and is_atom((<list>items)[j]):
                    j += 1
            elif here:
                while j < n and (is_atom(items[j]) if m.single else is_simple(items[j])):
                    j += 1
            self.met.n = 0
            if j == i:
                try:
                    if self.add_member(m, chunk, i, items[i], here):
                        j = i + 1
                    else:
                        i += 1
                        continue
                except UsageError as error:
                    misuse = error
                    break
            if self.n_created > 0xFFFFFFFF - (j - i):
                raise UsageError("a run can have 4,294,967,295 tasks: restart it with what is left")
            first = i
            while i < j:
                self.n_created += 1
                self.append_member(m, self.n_created)
                compact += 1
                i += 1
            if self.tracer is not None:
                self.trace_members(m, i - first)
        chunk.count = m.drawn - chunk.first
        self.tell_listeners(m, chunk.count)
        if compact:
            self.tally[m.dep].asked += compact
            self.open += compact
            m.chunks.append(chunk)
            self.nodes[m.node].holds += 1              # its place in the queue
            self.outbox.enqueue_members(self, m.node, compact)
        if misuse is not None:
            raise misuse
        if self.running and (self.outbox.fresh >= self.outbox.full_at
                             or self.outbox.heavy >= self.outbox.heavy_at):
            self.outbox.overflow()
        return 0

    cdef inline int append_member(self, Map m, uint32_t created) noexcept:
        m.values[m.drawn - m.origin] = NULL
        m.marks[m.drawn - m.origin] = created
        m.drawn += 1
        m.unfinished += 1
        return 0

    cdef bint add_member(self, Map m, Chunk chunk, Py_ssize_t i, item, bint here) except -1:
        """A member whose inputs are more than atoms; whether it can do without a node."""
        cdef Walk w
        cdef int32_t id
        cdef Py_ssize_t index = m.drawn
        args = (item,) if m.single else item
        if here:
            start_walk(&w, True, DEEPEST_ARGUMENT)
            try:
                walked = self.walk_call(m.dep, m.call, args, &w)
                if not w.pending.n and w.failed < 0:
                    if walked is not args:
                        if type(chunk.items) is not list:
                            chunk.items = list(chunk.items)
                        chunk.items[i] = walked[0] if m.single else walked
                    if w.objects:
                        if chunk.objects is None:
                            chunk.objects = set()
                        chunk.objects.add(i)
                    return True
            finally:
                discard(&w.pending)
        self.map_line = m.line
        id = self.ask(m.dep, m.call, <int32_t>index, args, None)
        self.append_member(m, self.nodes[id].created)
        if self.tracer is not None:
            m.note_rows(index, self.rows[id])
        if chunk.holes is None:
            chunk.holes = set()
        chunk.holes.add(i)
        if self.nodes[id].state == FAILED:              # an argument has failed
            self.nodes[id].holds += 1
            failure = <object>self.nodes[id].payload
            m.keep(index, failure, self.nodes[id].finished)
            self.note_failed_member(m, index, failure)
            for listener in m.listeners:
                self.listen(id, listener)
            self.release(id)
        else:
            self.join_map(m, index, id, 0)
        return False

    cdef int join_map(self, Map m, Py_ssize_t i, int32_t id, uint16_t flags) except -1:
        """The node stands for member `i` until that is known."""
        self.nodes[id].flags |= MEMBER | flags
        self.nodes[id].holds += 1
        m.nodes[i] = id
        self.members[id] = m
        for listener in m.listeners:
            self.listen(id, listener)
        return 0

    cdef int32_t member_node(self, Map m, Py_ssize_t i) except -1:
        """A node for member `i`; of a known one each time another, which the caller must hold."""
        cdef int32_t id
        known = m.nodes.get(i)
        if known is not None:
            return known
        id = self.create(TASK, m.dep, m.call, <int32_t>i)
        self.n_created -= 1                             # it was counted when it was drawn
        if self.tracer is not None:
            self.rows[id] = m.row_of(i)
        if m.at(i) == NULL:
            self.nodes[id].created = m.marks[i - m.origin]
            self.nodes[id].state = READY if i >= m.taken else SENT
            self.join_map(m, i, id, COMPACT)
            self.share_users(m, id)
            self.finish_map(m)
            return id
        self.nodes[id].created = 0
        self.nodes[id].finished = m.marks[i - m.origin]
        self.nodes[id].state = FAILED if m.failed is not None and i in m.failed else DONE
        self.set_payload(id, <object>m.at(i), 0)
        if m.unopened and isinstance(<object>m.at(i), Unopened):
            self.nodes[id].flags = OF_MAP
            self.members[id] = m
        return id

    cdef int share_users(self, Map m, int32_t id) except -1:
        """Who needs all members needs this one, which has a node from now on."""
        cdef int32_t last = self.nodes[m.node].users
        cdef int32_t e = last
        targets = []
        while e >= 0:
            e = self.edges[e].next
            targets.append(self.edges[e].target)
            if e == last:
                break
        for target in targets:
            self.add_edge(id, target)
        return 0

    cdef Result member_face(self, Map m, Py_ssize_t i):
        return self.face(self.member_node(m, i))

    cdef list known_members(self, Map m):
        """Results for the members that are known."""
        cdef Py_ssize_t i
        cdef list made = []
        for i in range(m.base, m.drawn):
            if m.at(i) != NULL:
                made.append(self.member_face(m, i))
        return made

    cdef int tell_map(self, int32_t id) except -1:
        """A member that has a node is known."""
        cdef Map m = self.members.pop(id)
        cdef Py_ssize_t i = self.nodes[id].index
        value = <object>self.nodes[id].payload
        del m.nodes[i]
        if i >= m.taken and self.nodes[id].flags & COMPACT:
            m.early = True
        m.keep(i, value, self.nodes[id].finished)
        self.nodes[id].holds -= 1
        if self.nodes[id].state == FAILED:
            self.note_failed_member(m, i, value)
        return 0

    cdef int note_failed_member(self, Map m, Py_ssize_t i, failure) except -1:
        """Remember which failed first, and fail the calls that need them all."""
        cdef int32_t last = -1 if m.settled else self.nodes[m.node].users
        cdef int32_t e, t
        if i >= m.base:
            if m.failed is None:
                m.failed = set()
            m.failed.add(i)
            if m.first_failed < 0:
                m.first_failed = self.member_node(m, i)
                self.nodes[m.first_failed].holds += 1
        if last >= 0:
            e = last
            while True:
                e = self.edges[e].next
                t = self.edges[e].target
                if self.nodes[t].kind == TASK and self.nodes[t].state == WAITING:
                    self.finish(t, failure, True)
                if e == last:
                    break
        return 0

    cdef int finish_map(self, Map m) except -1:
        """Tell who needs all members, once those that have no nodes of their own are known."""
        cdef int32_t last
        if not m.exhausted:
            return 0
        if not m.unfinished:
            listeners, m.listeners = m.listeners, []
            for node in listeners:
                if self.nodes[<int32_t>node].kind == WATCH:
                    self.retire_watch(node)
                self.release(node)
        if m.unfinished == len(m.nodes) and not m.settled:
            m.settled = True
            self.move(m.node, ON_DONE)
            self.stamp(m.node)
            last = self.nodes[m.node].users
            if last >= 0:
                self.tell_users(m.node, last)
            self.free_if_unused(m.node)
        return 0

    cdef int subscribe(self, Map m, int32_t node) except -1:
        """A watch or reduction hears of each member that is not known yet."""
        for i in sorted(m.nodes):
            self.add_edge(m.nodes[i], node)
        m.listeners.append(node)
        self.nodes[node].holds += 1                     # the map's, until it is done
        return 0

    cdef int tell_listeners(self, Map m, Py_ssize_t more) except -1:
        """Reductions and watches have so many more sources."""
        for node in m.listeners:
            if self.nodes[<int32_t>node].kind == WATCH:
                (<Watch>self.nodes[<int32_t>node].payload).sources += more
            elif self.nodes[<int32_t>node].state == WAITING:
                (<Reduction>self.nodes[<int32_t>node].payload).pending += more
        return 0

    cdef int listen(self, int32_t source, int32_t node) except -1:
        """An edge; or, if the source failed at its call, its effect."""
        if self.nodes[source].state < DONE:
            self.add_edge(source, node)
            return 0
        self.nodes[source].holds += 1
        self.nodes[node].holds += 1
        push(&self.advances, node)
        push(&self.advances, source)
        return 0

    cdef bint in_no_hurry(self) noexcept:
        """Whether the code has returned, or waits for several at once."""
        return self.code_done or (self.awaited >= 0 and self.nodes[self.awaited].kind == GATHER)

    cdef bint all_gather(self, int32_t id) noexcept:
        """Whether nothing but gatherings needs this node."""
        cdef int32_t last = self.nodes[id].users
        cdef int32_t e = last
        while e >= 0:
            e = self.edges[e].next
            if self.nodes[self.edges[e].target].kind != GATHER:
                return False
            if e == last:
                break
        return True

    cdef bint is_gathered(self, Map m) noexcept:
        """Whether the code waits for all members, or has returned them: their values will be looked at."""
        cdef int32_t last = -1 if m.settled else self.nodes[m.node].users
        cdef int32_t e = last
        while e >= 0:
            e = self.edges[e].next
            if self.nodes[self.edges[e].target].kind == GATHER:
                return True
            if e == last:
                break
        return False

    cdef int complete_members(self, Map m, Py_ssize_t member, list values, Py_ssize_t first, failures,
                              double time) except -1:
        """Events one after the other: members from `member` on are known."""
        cdef Py_ssize_t i, n = len(values), quiet = 0
        cdef bint failed
        if self.closed or self.ended:
            return 0
        self.tick(time)
        for value in values:
            if not is_atom(value) and isinstance(value, Unopened):
                self.unopened = m.unopened = True
                break
        if failures is None and not m.unopened and not m.nodes and not m.listeners and member >= m.base:
            quiet = max(0, min(n, m.unfinished - 1))
            self.keep_members(m, member, values, quiet)
        for i in range(quiet, n):
            failed = failures is not None and first + i in failures
            value = failures[first + i] if failed else values[i - quiet]
            if m.unopened:
                values[i - quiet] = None                # else what the code drops lives until all have ended
            self.complete_member(m, member + i, value, failed)
            if self.closed or self.ended:
                break
        return 0

    cdef int keep_members(self, Map m, Py_ssize_t member, list values, Py_ssize_t n) except -1:
        """As many `complete_member` where nothing can move: nobody needs one of them alone, and they are
        not the last. Moves the first `n` values out of the list: a reference less to count for each."""
        cdef Py_ssize_t i, at = member - m.origin
        cdef PyObject **items = (<PyListObject *>values).ob_item
        if not n:
            return 0
        if self.tracer is not None:
            self.trace_values(m, member, values, n)
        memcpy(m.values + at, items, n * sizeof(PyObject *))
        memmove(items, items + n, (len(values) - n) * sizeof(PyObject *))
        set_size(values, len(values) - n)
        for i in range(n):
            m.marks[at + i] = self.n_finished + 1 + <uint32_t>i
        self.n_finished += <uint32_t>n
        self.sent -= n
        self.open -= n
        m.unfinished -= n
        self.tally[m.dep].done += <int32_t>n
        return 0

    cdef int complete_member(self, Map m, Py_ssize_t i, object value, bint failed) except -1:
        """One event: a member is known. Nothing moves unless somebody needs it."""
        if m.listeners or m.nodes and i in m.nodes:
            self.complete(self.member_node(m, i), value, failed, self.clock)
            return 0
        if m.unopened and isinstance(value, Unopened) and self.is_gathered(m):
            value = self.open_early(value)
        self.sent -= 1
        self.open -= 1
        self.n_finished += 1
        if self.tracer is not None:
            self.trace_value(m.row_of(i), value, failed)
        m.keep(i, value, self.n_finished)
        if failed:
            self.tally[m.dep].failed += 1
            self.note_failure(value)
            self.note_failed_member(m, i, value)
        else:
            self.tally[m.dep].done += 1
        if m.unfinished == len(m.nodes):
            self.finish_map(m)
        if self.heap.n or self.code_done or count(&self.advances):
            self.advance()
        return 0

    cdef int offer_room(self, Map m) except -1:
        """Ask the driver to draw, if there is room for a fair part of the window."""
        cdef Py_ssize_t room
        if m.exhausted or m.asked:
            return 0
        room = max(m.window - (m.drawn - m.released), m.wanted - m.drawn)
        if m.wanted > m.drawn or room * 4 >= m.window:
            m.asked = True
            key = f"{self.names[m.dep]}-{m.call}"
            self.order(events.WantDraw(key, max(1, min(room, 1 << 20))), m)
        return 0

    cdef int order(self, command, target) except -1:
        if not self.orders:
            self.outbox.restless.append(self)
        self.orders.append((command, target))
        return 0

    cdef int await_draw(self, Map m, Py_ssize_t wanted) except -1:
        """Wait until more is drawn of a lazy map."""
        cdef int32_t id = m.progress
        self.check_code("map")
        if wanted > m.wanted:
            m.wanted = wanted
        self.offer_room(m)
        if id < 0:
            id = m.progress = self.create(DRAW, m.dep, m.call, -1)
        self.nodes[id].holds += 1
        try:
            self.suspend(id)
        finally:
            self.release(id)
        return 0

    def draw(self, Map m, Py_ssize_t n, double time=0.0, clock=None, double seconds=0.0):
        """The event `Drawn`: take `n` more items from the inputs of a lazy map.

        With a `clock` it is made here and now: after `seconds` it is of the items taken until then.
        """
        cdef int32_t id
        if self.closed or self.ended:
            return
        self.tick(time)
        m.asked = False
        self.drawing = True
        try:
            items, error, more = self.run_aside(_take_items, (m.inputs, n, clock, seconds))
        finally:
            self.drawing = False
        try:
            self.extend_map(m, items)
        except UsageError as misuse:
            error = misuse
        if error is not None:
            m.failure = Failure.of(error, key=f"{self.names[m.dep]}-{m.call}", name=self.names[m.dep])
            self.note_failure(m.failure)
        if error is not None or not more:
            m.exhausted = True
            m.inputs = None
        if m.iterators == 0 and not m.face_alive:
            m.forget()
        if m.exhausted:
            for node in m.listeners:
                self.hear_end(m, node)
            self.finish_map(m)
        else:
            self.offer_room(m)
        if m.progress >= 0:
            id = m.progress
            m.progress = -1
            self.finish(id, None, False)
        self.advance()

    cdef int hear_end(self, Map m, int32_t node) except -1:
        """No more members will come: a reduction may be at its end."""
        if self.nodes[node].kind == REDUCE and self.nodes[node].state == WAITING:
            if m.failure is not None:
                self.finish(node, m.failure, True)
            else:
                self.combine(node, <Reduction>self.nodes[node].payload)
        return 0

    def timer(self, double seconds):
        cdef int32_t id
        self.check_code("timer")
        if not (seconds >= 0) or math.isinf(seconds):
            raise UsageError(f"a timer needs a number of seconds from 0 on, not {seconds}")
        id = self.create(TIMER, -1, self.timers_made, -1)
        if self.tracer is not None:
            self.trace_other(id, "@timer", 2, self.timers_made)
        self.timers_made += 1
        self.open += 1
        if self.lines is not None:
            self.note_line(id)
        self.order(events.StartTimer(self.key(id), seconds), id)
        return self.face(id)

    def signal(self, name):
        cdef int32_t id
        self.check_code("signal")
        id = self.create(SIGNAL, -1, self.signals_made, -1)
        if self.tracer is not None:
            self.trace_other(id, f"@signal-{name}", 3, self.signals_made)
        self.signals_made += 1
        kept = self.signals_kept.get(name) if self.signals_kept else None
        result = self.face(id)
        if kept:
            self.finish(id, kept.popleft(), False)
            self.settle_now(id)
        else:
            self.set_payload(id, name, 0)
            if self.signals_waiting is None:
                self.signals_waiting = {}
            self.signals_waiting.setdefault(name, deque()).append(id)
        return result

    def cancel(self, Result r):
        """Cancel a call: at once while it waits for its arguments, else by a command."""
        cdef int32_t id = r.node
        self.check_code("cancel")
        self.own(r)
        kind = self.nodes[id].kind
        state = self.nodes[id].state
        if state >= DONE:
            return
        if kind == TASK and state != WAITING or kind == TIMER:
            self.order(events.CancelTask(self.key(id)), id)
        if kind == TASK and state == WAITING or kind == TIMER:
            name = self.names[self.nodes[id].dep] if kind == TASK else "@timer"
            self.finish(id, Failure("by the workflow", key=self.key(id), name=name, kind="cancelled"), True)
            self.stamp(id)
            if kind == TIMER:
                self.nodes[id].holds += 1           # its id stays its own until the driver lets it fire

    def send_signal(self, to, name, value, run_id=None):
        """A result that is known (None) when another run has got a signal.

        `to` is the result of the sub-workflow that the run is, or its id outside.
        """
        cdef int32_t id
        self.check_code("send_signal")
        cdef int32_t target = -1
        if type(to) is Result:
            self.own(<Result>to)
            target = (<Result>to).node
            to = self.key(target)
        id = self.create(SENDING, -1, self.sent_signals, -1)
        self.sent_signals += 1
        if self.lines is not None:
            self.note_line(id)
        self.order(events.SendSignal(self.key(id), to, name, value, target >= 0, run_id, target), id)
        return self.face(id)

    def changed(self, name):
        """Whether the code is past the change `name`: always, but for runs that were here before it."""
        self.check_code("changed")
        known = self.changes.get(name)
        if known is None:
            known = self.changes[name] = not self.replaying
            if known:
                self.order(events.Changed(name), -1)
        return known

    @property
    def continue_suggested(self):
        """Whether the history gets so long that the run had better restart with what is left."""
        return 0 < self.suggest_at <= self.length + self.open * self.task_length

    @property
    def notes_asked(self):
        """How many side effects the code has asked for."""
        return self.notes_made

    def share(self, value):
        """A result that stands for `value`, which nobody will change."""
        cdef int32_t id
        self.check_code("share")
        id = self.create(SLOT, -1, self.slots_made, -1)
        self.slots_made += 1
        result = self.face(id)
        self.unopened = True
        self.finish(id, Shared(value), False)
        self.settle_now(id)
        return result

    def note(self, f):
        """The answer of `f`, asked once in the life of a run and recorded for its replays."""
        self.check_code("side_effect")
        n = self.notes_made
        self.notes_made += 1
        if n in self.notes:
            return self.notes[n]
        value = f()
        if self.recorder is not None:
            value = self.recorder(value)
        self.notes[n] = value
        self.order(events.Note(n, value), -1)
        return value

    @property
    def time(self):
        """The time of the latest event, in seconds since the epoch; never goes back."""
        return self.clock

    @property
    def is_plain(self):
        """Whether it runs without an engine."""
        return self.plain

    @property
    def random(self):
        """The run's own random generator, the same in every replay."""
        if self.generator is None:
            import random
            self.generator = random.Random(self.seed if self.seeder is None else self.note(self.seeder))
        return self.generator

    # ------------------------------------------------------------ the doors for drivers

    cdef int tick(self, double time) except -1:
        if self.running:
            raise InternalError("an event was applied while the code runs", f"at {time}")
        if time > self.clock:
            self.clock = time
        return 0

    cdef int complete(self, int32_t id, object value, bint failed, double time) except -1:
        """One event: the task is known."""
        cdef PyObject *old
        if self.closed or self.ended:
            return 0
        self.tick(time)
        if isinstance(value, Unopened):
            self.unopened = True
        if self.nodes[id].state == SENT:
            self.sent -= 1
        elif self.nodes[id].state == READY and not self.nodes[id].flags & COMPACT:
            self.nodes[id].holds += 1               # its place in the queue, until `take` meets it
        if failed:
            self.note_failure(value)
        if (self.nodes[id].users < 0 and not self.nodes[id].flags & MEMBER and self.awaited != id and not self.code_done
                and self.nodes[id].kind == TASK):
            self.move(id, ON_FAIL if failed else ON_DONE)      # nobody waits: nothing else moves
            old = self.nodes[id].payload
            Py_INCREF(value)
            self.nodes[id].payload = <PyObject *>value
            self.count_finish(id, failed)
            if self.tracer is not None:
                self.trace_end(id, value, failed)
            self.stamp(id)
            self.free_if_unused(id)
            Py_XDECREF(old)
            return 0
        self.finish(id, value, failed)
        self.advance()
        return 0

    cdef bint unship(self, int32_t id) except -1:
        """The outcome of a task that may have gone along with others is there; whether it counts."""
        cdef bint counts = self.nodes[id].state == SENT
        if self.nodes[id].flags & SHIPPED:
            self.nodes[id].flags &= ~SHIPPED
            self.release(id)
        return counts

    def finish_node(self, int32_t node, value, double time=0.0):
        """The event that a task is completed or a timer has fired (`value` None)."""
        self.check_node(node)
        if not self.closed and self.nodes[node].kind == TIMER and self.nodes[node].state >= DONE:
            self.release(node)                      # cancelled; kept until its time came
            return
        self.complete(node, value, False, time)

    def fail_node(self, int32_t node, failure, double time=0.0):
        """The event that a task failed, timed out or was cancelled."""
        self.check_node(node)
        self.complete(node, failure, True, time)

    def state_of(self, int32_t node):
        """The state of a node, as a word of `STATE_NAMES`."""
        return STATE_NAMES[FREE] if self.closed else STATE_NAMES[self.nodes[node].state]

    def key_of(self, int32_t node):
        return self.key(node)

    def name_of(self, int32_t node):
        return self.names[self.nodes[node].dep]

    def give_up(self, exception):
        """End the run with `exception`: it waits for what can never come."""
        self.give_up_with = exception
        self.advance()

    cdef int check_node(self, int32_t node) except -1:
        if not self.closed and not (0 <= node < self.n_nodes):
            raise InternalError("an event came for a node that does not exist", f"node {node}")
        return 0

    def receive_signal(self, name, value, double time=0.0):
        """The event that somebody sent the signal `name`."""
        if self.closed or self.ended:
            return
        self.tick(time)
        waiting = self.signals_waiting.get(name) if self.signals_waiting else None
        if waiting:
            self.finish(waiting.popleft(), value, False)
            self.advance()
        else:
            if self.signals_kept is None:
                self.signals_kept = {}
            self.signals_kept.setdefault(name, deque()).append(value)

    def request_cancel(self, double time=0.0):
        """The event that somebody asked the run to cancel: raised where the code waits. Where it has
        ended, and results in what it returned are not known, the run ends with it."""
        if self.closed or self.ended:
            return
        self.tick(time)
        self.cancel_pending = True
        self.advance()

    def take_orders(self):
        """The rare commands since last asked: (command, node id or map) pairs."""
        orders = self.orders
        if orders:
            self.orders = []
        return orders

    @property
    def waiting_for(self):
        """The key of what the code waits for; None when it does not wait."""
        if self.awaited >= 0 and not self.closed:
            return self.key(self.awaited)
        if self.code_done and not self.ended and self.final >= 0:
            return self.key(self.final)
        return None

    def copy_context(self):
        """The context variables as the code has them now, for a run that it starts."""
        return self.context.copy()

    def unknowns(self, Py_ssize_t most=5):
        """Keys of what has to come from outside and has not: tasks, timers, signals."""
        cdef Py_ssize_t i
        keys = []
        for i in range(self.n_nodes):
            if len(keys) < most and (self.nodes[i].state == SENT or self.nodes[i].state == READY or (
                    self.nodes[i].state == WAITING and self.nodes[i].kind in (TIMER, SIGNAL, DRAW, SENDING))):
                keys.append(self.key(<int32_t>i))
        return keys

    @property
    def waits_in(self):
        """The frame of the user's code that waits, or None."""
        frame = self.greenlet.gr_frame if self.greenlet is not None else None
        while frame is not None and frame.f_globals.get("__name__", "").startswith("flowy."):
            frame = frame.f_back
        return frame

    def progress(self):
        """(asked, done, failed) by dependency name."""
        return {self.names[i]: (self.tally[i].asked, self.tally[i].done, self.tally[i].failed)
                for i in range(len(self.names))}

    @property
    def memory(self):
        """Bytes that the graph's arrays take."""
        return (self.cap_nodes * sizeof(Node) + self.cap_edges * sizeof(Edge)
                + (self.heap.cap + self.advances.cap + self.ready0.cap + self.ready1.cap) * sizeof(int32_t))

    @property
    def live(self):
        """How many nodes are in use."""
        cdef Py_ssize_t i, n = 0
        for i in range(self.n_nodes):
            if self.nodes[i].state != FREE:
                n += 1
        return n

    def check(self):
        """Validate the graph's invariants; raises `InternalError`. For tests, between events."""
        cdef Py_ssize_t i
        cdef int32_t e, last
        cdef dict into = {}
        cdef Py_ssize_t used = 0
        if self.closed:
            return
        if self.heap.n or count(&self.advances):
            raise InternalError("work is left after an event", f"{self.heap.n} finished nodes")
        for i in range(self.n_nodes):
            if self.nodes[i].state == FREE:
                continue
            last = self.nodes[i].users
            if last >= 0:
                if self.nodes[i].state >= DONE:
                    raise InternalError("a finished node has users", self.story(<int32_t>i))
                e = last
                while True:
                    e = self.edges[e].next
                    used += 1
                    into[self.edges[e].target] = into.get(self.edges[e].target, 0) + 1
                    if e == last:
                        break
            elif (self.nodes[i].state >= DONE and not self.nodes[i].holds and not self.nodes[i].missing):
                raise InternalError("an unused node was not freed", self.story(<int32_t>i))
        for i in range(self.n_nodes):
            if self.nodes[i].state != FREE and self.nodes[i].missing != into.get(i, 0):
                raise InternalError(f"{into.get(i, 0)} edges lead here", self.story(<int32_t>i))
        e = self.free_edge
        while e >= 0:
            used += 1
            e = self.edges[e].next
        if used != self.n_edges:
            raise InternalError("edges were lost", f"{self.n_edges} made, {used} found")

    # ------------------------------------------------------------ names

    cdef str key(self, int32_t id):
        cdef Node *n
        if self.closed and self.nodes == NULL:
            return "of a discarded run"
        n = &self.nodes[id]
        if n.kind == TASK:
            if n.index >= 0:
                return f"{self.names[n.dep]}-{n.call}.{n.index}-{n.attempt}"
            return f"{self.names[n.dep]}-{n.call}-{n.attempt}"
        if n.kind == DRAW:
            return f"@draw-{self.names[n.dep]}-{n.call}"
        if n.kind == MEMBERS:
            return f"@map-{self.names[n.dep]}-{n.call}"
        if n.kind == SIGNAL and n.state == WAITING and n.payload != NULL:
            return f"@signal-{<object>n.payload}-{n.call}"
        return f"{KIND_NAMES[n.kind]}-{n.call}-0"

    cdef str show(self, int32_t id):
        if self.closed:
            return f"<result {self.key(id)}, its run has ended>"
        state = self.nodes[id].state
        if state == DONE:
            try:
                return repr(self.open_value(id))
            except Exception as error:
                return f"<result {self.key(id)}, its repr raised {type(error).__name__}>"
        if state == FAILED:
            return f"<result {self.key(id)}, failed>"
        words = "waiting" if state == WAITING and self.nodes[id].kind == TASK else "running"
        return f"<result {self.key(id)}, {words}>"

    cdef str story(self, int32_t id):
        cdef Node *n = &self.nodes[id]
        return (f"{self.key(id)} is {STATE_NAMES[n.state]}; created as number {n.created} of "
                f"{self.n_created}, finished as {n.finished} of {self.n_finished}; {n.missing} arguments "
                f"missing, {n.holds} references, {'some' if n.users >= 0 else 'no'} users")


ABANDONED = []               # greenlets of discarded runs whose code would not leave


def _keep_outcome(box, function, args):
    try:
        box.extend((function(*args), None))
    except BaseException as error:
        box.extend((None, error))


def _take_items(inputs, n, clock, seconds):
    """(at most `n` items, the exception that ended the inputs or None, whether there may be more)"""
    taken = []
    try:
        if clock is None:
            taken.extend(islice(inputs, n))             # keeps what came before an error
            return taken, None, len(taken) == n
        now = clock()
        end, few, had = now + seconds, 1, 0
        while had < n:
            taken.extend(islice(inputs, min(few, n - had)))
            if len(taken) - had < min(few, n - had):
                return taken, None, False
            had, before, now = len(taken), now, clock()
            if now >= end:
                return taken, None, True
            if few < 16 and now - before < seconds / 16:
                few *= 2                                # the clock costs more than an item of most inputs
    except Exception as error:
        return taken, error, False
    return taken, None, len(taken) == n


def _first_of_pair(pair):
    return pair[0]


def _describe_factory(factory):
    return getattr(factory, "__qualname__", None) or repr(factory)


cdef bint is_sized(x):
    return hasattr(type(x), "__len__") and not (
        type(x) is MapResult and not (<MapResult>x).map.exhausted)


cdef Map map_of(items):
    """The state of a map, None if `items` is none."""
    return (<MapResult>items).map if type(items) is MapResult else None


cdef inline bint is_simple(tuple row):
    """Whether a row of inputs holds atoms only."""
    for item in row:
        if not is_atom(item):
            return False
    return True


cdef int by_number(const void *a, const void *b) noexcept nogil:
    cdef int32_t x = (<const int32_t *>a)[0], y = (<const int32_t *>b)[0]
    return (x > y) - (x < y)


cdef void start_walk(Walk *w, bint copying, int deepest) noexcept:
    w.copying = copying
    w.objects = w.opening = False
    w.deepest = deepest
    w.failed = -1
    w.pending.v = NULL
    w.pending.n = w.pending.cap = w.pending.head = 0


# ---------------------------------------------------------------- from runs to drivers

cdef double NAN = float("nan")


@cython.final
cdef class Outbox:
    """The ready tasks of all runs of a driver, first come first served between runs.

    Lane 0 holds activities. Sub-workflows (lane 1) and activities that the driver looks at one by one
    (lane 2) share a queue, from which `take(…, lane=1)` gives. `on_full` is called from within workflow
    code after every `full_at` new tasks, and every `heavy_at` bytes of large arguments, so that a driver
    can send some while the code is still calling.
    """
    cdef object lane0, lane1             # deques of runs that have ready tasks
    cdef readonly Py_ssize_t waiting     # ready activities
    cdef readonly Py_ssize_t children    # ready sub-workflows
    cdef readonly list ended             # runs that ended since the driver last took them
    cdef readonly list restless          # runs with orders to take
    cdef readonly list broken            # (run, node, exception): arguments could not be put together
    cdef public object on_full
    cdef public Py_ssize_t full_at
    cdef readonly bint pumping
    cdef public bint opens               # unopened values among arguments are opened for activities too
    cdef readonly Py_ssize_t turns       # how often workflow code has gone on
    cdef public Py_ssize_t heavy_at
    cdef readonly Py_ssize_t heavy       # bytes of large arguments since there were last `heavy_at`
    cdef Py_ssize_t fresh
    cdef dict costs
    cdef public Tracer tracer            # of the runs that are made for this outbox; or None

    def __cinit__(self):
        self.lane0 = deque()
        self.lane1 = deque()
        self.ended = []
        self.restless = []
        self.broken = []
        self.full_at = self.heavy_at = sys.maxsize
        self.opens = True
        self.costs = {}

    cdef int enqueue(self, Run run, int32_t id, int lane) except -1:
        if lane:
            push(&run.ready1, id)
            self.children += 1
            if not run.queued1:
                run.queued1 = True
                self.lane1.append(run)
        else:
            self.enqueue_members(run, id, 1)
        return 0

    cdef int enqueue_members(self, Run run, int32_t id, Py_ssize_t n) except -1:
        """A ready activity, or `n` members of the map whose node `id` is."""
        push(&run.ready0, id)
        run.queued += n
        self.waiting += n
        self.fresh += n
        if not run.queued0:
            run.queued0 = True
            self.lane0.append(run)
        return 0

    cdef int took(self, Run run, Py_ssize_t n) noexcept:
        run.queued -= n
        self.waiting -= n
        return 0

    cdef int forget(self, Run run) except -1:
        """Drop what a run still wanted sent."""
        self.waiting -= run.queued
        self.children -= count(&run.ready1)
        run.queued = 0
        run.ready0.n = run.ready0.head = run.ready1.n = run.ready1.head = 0
        return 0

    def close(self):
        """The driver has ended: let go of it and of its runs, which would be cycles."""
        self.on_full = None
        self.lane0.clear()
        self.lane1.clear()
        del self.ended[:], self.restless[:], self.broken[:]

    cdef int overflow(self) except -1:
        cdef bint heavy = self.heavy >= self.heavy_at    # asked before: the driver may change that
        self.fresh = 0
        if self.on_full is not None and not self.pumping:
            self.pumping = True
            try:
                self.on_full()
            finally:
                self.pumping = False
        if heavy:
            self.heavy = 0
        return 0

    def set_cost(self, function, double seconds):
        """Tell how long one call of a function takes; unknown ones travel alone."""
        self.costs[function] = seconds

    def next_function(self):
        """The function of the task that `take` would take first; None if there is none."""
        cdef Run run
        for r in self.lane0:
            run = <Run>r
            if count(&run.ready0):
                return run.functions[run.nodes[run.ready0.v[run.ready0.head]].dep]
        return None

    cdef double cost_of(self, function) except *:
        known = self.costs.get(function)
        return 1e200 if known is None else known

    def take(self, Py_ssize_t limit, double budget=1e300, int lane=0, Py_ssize_t along=0):
        """The next ready tasks, at most `limit`, until their cost exceeds `budget` seconds; or None.

        Members of a map never share a batch with other tasks. With single calls go tasks that wait for
        nothing but them, up to `along` in all, where that is quicker than a message of their own.
        """
        cdef Batch batch = Batch.__new__(Batch)
        cdef Run run
        cdef Ints *ready
        cdef int32_t id
        cdef double total = 0.0, cost = 0.0
        cdef object last = None
        runs = self.lane1 if lane else self.lane0
        batch.start()
        batch.traced = self.tracer is not None
        while runs and batch.ids.n < limit and total < budget:
            run = <Run>runs[0]
            ready = &run.ready1 if lane else &run.ready0
            batch.begin(run)
            while count(ready) and batch.ids.n < limit:
                id = ready.v[ready.head]
                function = run.functions[run.nodes[id].dep]
                if budget < 1e300 and function is not last:
                    last = function
                    cost = self.cost_of(function)
                if run.nodes[id].kind == MEMBERS:
                    total = budget                  # they travel by themselves
                    if not batch.ids.n:
                        self.take_members(batch, run, <Map>run.nodes[id].payload, limit, budget, cost)
                    break
                if batch.ids.n and total + cost > budget:
                    total = budget                  # the next one does not fit
                    break
                shift_out(ready)
                if lane:
                    self.children -= 1
                else:
                    self.took(run, 1)
                if run.nodes[id].state != READY:
                    run.release(id)                 # cancelled meanwhile
                    continue
                total += cost
                self.pack(batch, run, id, function)
                if cost < ALONG_BELOW and batch.ids.n < along:
                    total = self.ship_users(batch, run, along, total, budget)
            if along:
                batch.settle_links(run)
            runs.popleft()
            if count(ready):
                runs.append(run)                    # fair between runs
            elif lane:
                run.queued1 = False
            else:
                run.queued0 = False
        fit(&batch.ids)
        batch.patient = batch.nobody_waits()
        if not len(batch):
            return self.take(limit, budget, lane, along) if total >= budget and runs else None
        return batch

    cdef double ship_users(self, Batch batch, Run run, Py_ssize_t along, double total,
                           double budget) except *:
        """Pack tasks that wait only for what is in the batch, from its last task on; the new total.

        The first user of a task goes on with the same thread of work. A further one could run
        elsewhere meanwhile, so only `SPARE` seconds of such go along.
        """
        cdef Py_ssize_t at = batch.ids.n - 1
        cdef int32_t e, t, last, dep = -1
        cdef double cost = 0.0
        cdef bint apart, here = False
        if at < batch.followed:
            return total                                # the task could not be packed
        if run.nodes[batch.ids.v[at]].flags & ALONE:
            return total
        while at < batch.ids.n:
            last = run.nodes[batch.ids.v[at]].users
            run.nodes[batch.ids.v[at]].finished = <uint32_t>at + 1   # its position, until `settle_links`
            apart = at < batch.apart.n and batch.apart.v[at]
            e = last
            while e >= 0:
                e = run.edges[e].next
                t = run.edges[e].target
                if run.nodes[t].kind == TASK and run.nodes[t].dep != dep:
                    dep = run.nodes[t].dep
                    here = run.lanes[dep] == 0
                    function = run.functions[dep]
                    cost = self.cost_of(function)
                if (here and run.nodes[t].kind == TASK and run.nodes[t].state == WAITING
                        and not run.nodes[t].flags & (SHIPPED | ALONE | HAS_KEYWORDS | MEMBER)):
                    if run.nodes[t].finished == 0:
                        push(&batch.touched, t)
                    run.nodes[t].finished += 1                       # arguments met in this batch
                    if run.nodes[t].finished == <uint32_t>run.nodes[t].missing:
                        if (cost < ALONG_BELOW and total + cost <= budget and batch.ids.n < along
                                and not (apart and batch.spare + cost > SPARE)
                                and batch.pack_along(run, t, function, apart)):
                            total += cost
                            if apart:
                                batch.spare += cost
                            apart = True
                if e == last:
                    break
            at += 1
        batch.followed = at
        return total

    cdef int take_members(self, Batch batch, Run run, Map m, Py_ssize_t limit, double budget,
                          double cost) except -1:
        """The next members of the map that is first in the queue."""
        cdef Chunk chunk = <Chunk>m.chunks[0]
        cdef Py_ssize_t first, n
        if cost * limit > budget:
            limit = max(1, <Py_ssize_t>(budget / cost))
        while chunk.taken < chunk.count and self.pass_over(run, m, chunk):
            chunk.taken += 1
        first = chunk.taken
        if chunk.holes is None and not m.nodes and not m.early:
            n = min(limit, chunk.count - first)
        else:
            n = 0
            while n < limit and first + n < chunk.count and not self.is_over(m, chunk, first + n):
                known = m.nodes.get(chunk.first + first + n)
                if known is not None:
                    run.move(known, ON_TAKE)
                n += 1
        chunk.taken = first + n
        if n:
            self.took(run, n)
            run.sent += n
            batch.map = m
            batch.member = chunk.first + first
            batch.members = n
            batch.flat = m.single
            batch.which = run.functions[m.dep]
            batch.calls = list(chunk.items[first:chunk.taken])
            if chunk.objects is not None:
                batch.objects = sorted([i - first for i in chunk.objects if first <= i < chunk.taken])
                if self.opens and run.unopened:
                    for i in batch.objects:
                        batch.calls[i] = run.open_all(batch.calls[i])
        m.taken = chunk.first + chunk.taken
        if chunk.taken == chunk.count:
            m.chunks.popleft()
            shift_out(&run.ready0)
            run.release(m.node)
        return 0

    cdef bint is_over(self, Map m, Chunk chunk, Py_ssize_t i) except -1:
        """Whether a member has a node that is sent by itself, or was known before it was sent."""
        return (chunk.holes is not None and i in chunk.holes) or m.at(chunk.first + i) != NULL

    cdef bint pass_over(self, Run run, Map m, Chunk chunk) except -1:
        if not self.is_over(m, chunk, chunk.taken):
            return False
        if chunk.holes is None or chunk.taken not in chunk.holes:
            self.took(run, 1)
        return True

    cdef int pack(self, Batch batch, Run run, int32_t id, function) except -1:
        """Add a ready task to a batch, with the values of its arguments in place."""
        run.move(id, ON_TAKE)
        run.sent += 1
        if run.nodes[id].flags & SINGLE:
            batch.add(run, id, function, <object>run.nodes[id].payload, True)
            self.hand_over(run, id)
            return 0
        try:
            if run.nodes[id].flags:
                args, kwargs = run.arguments(id)
            else:
                args, kwargs = <object>run.nodes[id].payload, None
        except Exception as error:
            self.broken.append((run, id, error))
            return 0
        if kwargs is not None:
            batch.keywords[batch.ids.n] = kwargs
        if run.nodes[id].flags & HAS_OBJECTS:
            batch.objects.append(batch.ids.n)
        if kwargs is None and len(<tuple>args) == 1:
            batch.add(run, id, function, (<tuple>args)[0], True)
        else:
            batch.add(run, id, function, args, False)
        self.hand_over(run, id)
        return 0

    cdef int hand_over(self, Run run, int32_t id) except -1:
        """The batch has the arguments now."""
        cdef PyObject *payload = run.nodes[id].payload
        run.nodes[id].payload = NULL
        Py_XDECREF(payload)
        return 0

    def take_ended(self):
        """The runs that ended since last asked."""
        ended = self.ended
        if ended:
            self.ended = []
        return ended

    def take_restless(self):
        """The runs that have orders to take."""
        restless = self.restless
        if restless:
            self.restless = []
        return restless

    def take_broken(self):
        """(run, node, exception) of tasks whose arguments could not be put together."""
        broken = self.broken
        if broken:
            self.broken = []
        return broken


@cython.final
cdef class Batch:
    """Tasks that travel together, and the door for their outcomes.

    Either single calls, by node, or members of one map, by their place in it.
    """
    cdef list runs
    cdef Ints ids
    cdef Ints starts                 # the position of the first task of each run but the first
    cdef Map map
    cdef Py_ssize_t member           # the first
    cdef Py_ssize_t members          # how many
    cdef Ints links                  # (position, argument, source) of those that go along
    cdef Py_ssize_t settled          # so much of `links` is of runs whose tasks are all packed
    cdef Ints touched                # while it is packed: tasks whose arguments were counted
    cdef Ints apart                  # by position: whether it could run elsewhere meanwhile
    cdef Py_ssize_t followed         # so many had their users looked at
    cdef readonly bint patient       # nobody waits for one of these outcomes alone
    cdef double spare                # seconds of such
    cdef readonly bint linked        # some of its tasks wait for others of them
    cdef bytes stay                  # by position: whether nobody else needs the value
    cdef readonly object which       # the function's number, or a list of one for each task
    cdef readonly list calls         # positional arguments of each task; if `flat` the only one of each
    cdef readonly bint flat
    cdef readonly dict keywords      # position -> keyword arguments
    cdef readonly list objects       # positions whose arguments hold mutable or unknown objects
    cdef readonly Py_ssize_t done    # outcomes received
    cdef bint traced
    cdef Ints rows                   # if traced: of each task; of members only where `list_rows` was needed

    cdef int start(self) except -1:
        self.runs = []
        self.calls = []
        self.keywords = {}
        self.objects = []
        return 0

    def __dealloc__(self):
        discard(&self.ids)
        discard(&self.starts)
        discard(&self.links)
        discard(&self.touched)
        discard(&self.apart)
        discard(&self.rows)

    def __len__(self):
        return self.ids.n + self.members

    cdef int add(self, Run run, int32_t id, function, call, bint single) except -1:
        """One more task; `call` are its positional arguments, or if `single` all that it has."""
        if self.flat and not single:
            self.unfold()
        if self.ids.n == 0:
            self.which = function
            self.flat = single
        elif type(self.which) is list:
            self.which.append(function)
        elif self.which is not function and self.which != function:
            self.which = [self.which] * self.ids.n + [function]
        self.calls.append((call,) if single and not self.flat else call)
        push(&self.ids, id)
        if self.traced:
            push(&self.rows, run.rows[id])
        return 0

    cdef int begin(self, Run run) except -1:
        """The next tasks are of this run."""
        self.runs.append(run)
        if len(self.runs) > 1:
            push(&self.starts, <int32_t>self.ids.n)
        return 0

    cdef int unfold(self) except -1:
        """Keep the arguments of each task as a tuple from now on."""
        self.flat = False
        self.calls = [(x,) for x in self.calls]
        return 0

    cdef bint pack_along(self, Run run, int32_t id, function, bint apart) except -1:
        """Add a task that waits only for others of this batch; False if that can't be told to a worker.

        It stays in the graph, waiting: the events of the others make it ready, and then sent.
        """
        cdef tuple args = <tuple>run.nodes[id].payload
        cdef Py_ssize_t i, n_links = self.links.n
        cdef int32_t missing = run.nodes[id].missing
        cdef Walk w
        cdef tuple made = PyTuple_New(len(args))
        start_walk(&w, False, DEEPEST_VALUE)
        w.opening = run.unopened and run.outbox.opens
        try:
            for i in range(len(args)):
                arg = args[i]
                new = arg
                if type(arg) is Result and run.nodes[(<Result>arg).node].state < DONE:
                    push(&self.links, <int32_t>self.ids.n)
                    push(&self.links, <int32_t>i)
                    push(&self.links, <int32_t>run.nodes[(<Result>arg).node].finished - 1)
                    new = None
                    missing -= 1
                elif not is_atom(arg):
                    new = run.walk(arg, &w, 0)
                Py_INCREF(new)
                PyTuple_SET_ITEM(made, i, new)
            if missing or w.pending.n or w.failed >= 0:
                self.links.n = n_links                   # results sit deeper, or it has failed
                return False
        except Exception:
            self.links.n = n_links                       # the same will come when it is sent by itself
            return False
        finally:
            discard(&w.pending)
        if w.objects or run.nodes[id].flags & HAS_OBJECTS:
            self.objects.append(self.ids.n)
        while self.apart.n < self.ids.n:
            push(&self.apart, 0)
        push(&self.apart, apart)
        self.add(run, id, function, made, False)
        self.linked = True
        run.nodes[id].flags |= SHIPPED
        run.nodes[id].holds += 1                         # until its outcome is there
        return True

    cdef int settle_links(self, Run run) except -1:
        """All tasks of a run are packed: find which values may stay, and give the fields used back."""
        cdef Py_ssize_t i, kept = 0 if self.stay is None else len(self.stay)
        cdef int32_t target, source
        cdef int32_t *links = self.links.v
        cdef int32_t *uses
        cdef uint8_t *stay
        cdef tuple args
        cdef PyObject *arg
        for i in range(self.touched.n):
            run.nodes[self.touched.v[i]].finished = 0
        self.touched.n = 0
        for i in range(self.starts.v[self.starts.n - 1] if self.starts.n else 0, self.ids.n):
            run.nodes[self.ids.v[i]].finished = 0
        if not self.linked:
            return 0
        self.stay = (self.stay or b"") + bytes(self.ids.n - kept)
        stay = <uint8_t *><char *>self.stay
        uses = <int32_t *>calloc(self.ids.n, sizeof(int32_t))
        if uses == NULL:
            raise MemoryError()
        for i in range(self.settled, self.links.n, 3):
            uses[links[i + 2]] += 1
            stay[links[i + 2]] = 1
        for i in range(self.settled, self.links.n, 3):
            target, source = links[i], links[i + 2]
            args = <tuple>run.nodes[self.ids.v[target]].payload
            arg = PyTuple_GET_ITEM(args, links[i + 1])
            # One reference each, from the arguments here: then no code can ever look at it.
            if (Py_REFCNT(arg) != uses[source] or Py_REFCNT(<PyObject *>args) != 2
                    or run.nodes[self.ids.v[source]].holds != 1 + self.own_holds(run, source)
                    or self.count_users(run, source) != uses[source]):
                stay[source] = 0
        self.settled = self.links.n
        free(uses)
        return 0

    cdef int32_t own_holds(self, Run run, Py_ssize_t i) noexcept:
        return 1 if run.nodes[self.ids.v[i]].flags & SHIPPED else 0

    cdef Py_ssize_t count_users(self, Run run, Py_ssize_t i) noexcept:
        cdef int32_t last = run.nodes[self.ids.v[i]].users
        cdef int32_t e = last
        cdef Py_ssize_t n = 0
        while e >= 0:
            e = run.edges[e].next
            n += 1
            if e == last:
                break
        return n

    cdef bint nobody_waits(self) except -1:
        """Whether all outcomes are only waited for together with others, at the end or by one wait."""
        cdef Py_ssize_t i
        if self.map is not None:
            return (not self.map.listeners and not self.map.nodes and self.map.run.in_no_hurry()
                    and self.map.run.all_gather(self.map.node))
        for i in range(self.ids.n):
            if not (self.run_of(i).in_no_hurry() and self.run_of(i).all_gather(self.ids.v[i])):
                return False
        return True

    @property
    def link_bytes(self):
        """(links, stay) as the loop of a worker takes them."""
        if not self.linked:
            return b"", b""
        return (<char *>self.links.v)[:self.links.n * sizeof(int32_t)], self.stay

    def recall(self, Py_ssize_t i):
        """The message did not do its work: whether the task is to be sent by itself now.

        One that went along and still waits is back in the graph, and will not go along again.
        """
        cdef Run run = self.run_of(i)
        cdef int32_t id
        if run.closed or run.ended:
            return False
        if self.map is not None:
            return True
        id = self.ids.v[i]
        if run.nodes[id].flags & SHIPPED:
            run.nodes[id].flags = (run.nodes[id].flags & ~SHIPPED) | ALONE
            if run.nodes[id].state == SENT:
                self.calls[i], _ = run.arguments(id)
                if run.nodes[id].flags & HAS_OBJECTS and i not in self.objects:
                    self.objects.append(i)
            run.release(id)
        return run.nodes[id].state == SENT

    cdef Run run_of(self, Py_ssize_t i):
        if i < 0 or i >= self.ids.n + self.members:
            raise IndexError(f"batch position {i}")
        return self.map.run if self.map is not None else <Run>self.runs[self.slot_of(i)]

    cdef Py_ssize_t slot_of(self, Py_ssize_t i) noexcept:
        """The place among the runs of the one that the task at this position is of: the last that starts
        there or before."""
        cdef Py_ssize_t low = 0, high = self.starts.n, middle
        while low < high:
            middle = (low + high) >> 1
            if self.starts.v[middle] <= i:
                low = middle + 1
            else:
                high = middle
        return low

    def run(self, Py_ssize_t i):
        return self.run_of(i)

    def node(self, Py_ssize_t i):
        """A node for the task; for a member of a map it is made now."""
        cdef Run run = self.run_of(i)
        return self.ids.v[i] if self.map is None else run.member_node(self.map, self.member + i)

    def key(self, Py_ssize_t i):
        cdef Run run = self.run_of(i)
        if self.map is None:
            return run.key(self.ids.v[i])
        return f"{run.names[self.map.dep]}-{self.map.call}.{self.member + i}-0"

    def name(self, Py_ssize_t i):
        cdef Run run = self.run_of(i)
        return run.names[run.nodes[self.ids.v[i]].dep if self.map is None else self.map.dep]

    def arguments(self, Py_ssize_t i):
        """(positional arguments, keyword arguments) of the task."""
        self.run_of(i)
        return (self.calls[i],) if self.flat else self.calls[i], self.keywords.get(i, {})

    def forget_calls(self):
        """The arguments are on their way as bytes."""
        self.calls = []
        self.keywords = {}

    def find(self, Run run, int32_t node):
        """The position of a task here, -1 if it is not."""
        cdef Py_ssize_t i
        if self.map is not None:
            i = run.nodes[node].index - self.member
            if self.map.run is run and 0 <= i < self.members and self.map.nodes.get(run.nodes[node].index) == node:
                return i
            return -1
        for i in range(self.ids.n):
            if self.ids.v[i] == node and self.run_of(i) is run:
                return i
        return -1

    def set_attempt(self, Py_ssize_t i, int number, failure=None, double sent=NAN, double time=NAN):
        """The task goes on with this attempt, counted from 0; its key tells so. A trace keeps how the one
        before failed: `sent` and `time` are when it went and what time it is."""
        cdef Run run = self.run_of(i)
        if self.traced:
            run.tracer.tell_turn(self.row_of(i), number, failure, sent, time)
        if not run.closed and self.map is None:
            run.nodes[self.ids.v[i]].attempt = number

    cdef int32_t row_of(self, Py_ssize_t i) noexcept:
        return self.rows.v[i] if self.map is None else self.map.row_of(self.member + i)

    def stopped(self, Py_ssize_t i, double sent, double ended):
        """Tell the trace of a task that did not come back: it ran from when it was sent, as far as is known."""
        cdef Run run = self.run_of(i)
        if self.traced:
            run.tracer.tell_stop(self.row_of(i), sent, ended)

    def ran(self, Py_ssize_t first, bytes times, double sent, double taken=0.0, double made=0.0):
        """Tell the trace when tasks ran, from position `first` on, and who ran them.

        `times` is as `_loop.run_calls` gives it; `taken` and `made` are the bytes of the arguments and of
        the value of each, on average. Only for batches of an outbox with a tracer.
        """
        cdef Py_ssize_t n = len(self) - first, left = n
        cdef int32_t row = -1
        if not self.traced or n <= 0:
            return
        if self.map is not None:
            row = self.map.row_of(self.member + first, &left)
            if left < n:
                self.list_rows()
        self.run_of(first).tracer.tell_trip(row, self.rows.v + first if self.rows.n else NULL, n, times, sent,
                                            taken, made)

    cdef int list_rows(self) except -1:
        """The rows of members, where they are not one after the other."""
        cdef Py_ssize_t i
        if not self.rows.n:
            for i in range(self.members):
                push(&self.rows, self.map.row_of(self.member + i))
        return 0

    def drop_call(self, Py_ssize_t i):
        """The arguments of the task are needed no more."""
        if self.calls:
            self.calls[i] = None
            self.keywords.pop(i, None)

    def wanted(self, Py_ssize_t i):
        """Whether the run still waits for this task."""
        cdef Run run = self.run_of(i)
        if run.closed or run.ended:
            return False
        return self.map is not None or run.nodes[self.ids.v[i]].state == SENT

    def complete(self, Py_ssize_t first, list values, failures, double time=0.0):
        """Events for the tasks from position `first` on; `failures` maps positions to Failures."""
        cdef Py_ssize_t i = first - 1
        cdef Run run
        cdef bint failed
        self.done += len(values)
        if self.map is not None:
            self.map.run.complete_members(self.map, self.member + first, values, first, failures, time)
            return
        for value in values:
            i += 1
            run = self.run_of(i)
            if run.closed or run.ended:
                continue
            if not is_atom(value) and isinstance(value, Unopened):
                values[i - first] = None                # else what the code drops lives until all have ended
            failed = failures is not None and i in failures
            if self.linked and not run.unship(self.ids.v[i]):
                continue                                # it failed before, as what it waited for did
            run.complete(self.ids.v[i], failures[i] if failed else value, failed, time)


fill_kinds()


def run_plain(factory, names, functions, args, kwargs, seed=0, time=0.0):
    """Run a workflow without an engine: each call is made at once. Returns the ended run."""
    cdef Outbox outbox = Outbox()
    cdef Run run = Run(factory, names, outbox, functions=functions, args=args, kwargs=kwargs, seed=seed,
                       plain=True)
    thread = PyThread_get_thread_ident()
    before = PLAIN.get(thread)
    run.thread = thread
    run.clock = time
    run.running = True
    PLAIN[thread] = run
    try:
        run._execute()
        run.conclude()
    finally:
        run.running = False
        if before is None:
            PLAIN.pop(thread, None)
        else:
            PLAIN[thread] = before
    return run
