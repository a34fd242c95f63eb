# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: auto_pickle=False, autotestdict=False
"""The loop of a worker: call one after the other, keep what each came to.

Owns: `run_calls`, and nothing else. It takes the forms of `local.batch` (a `Work` in, the parts of an
`Outcomes` out), and asks the clock as seldom as it can: tasks may take 50 ns each.

May not know: pickles, pipes, processes, runs. Its neighbour is `local.batch`, which gives its parts
their names.
"""

from cpython.object cimport PyTypeObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from struct import Struct
from threading import get_native_id
from functools import partial
from types import AsyncGeneratorType, CoroutineType, GeneratorType

from flowy import serialization
from flowy.errors import UsageError

cdef extern from "Python.h":
    PyTypeObject *Py_TYPE(object)
    object PyObject_CallOneArg(object function, object argument)
    object PyObject_Call(object function, object args, object kwargs)
    object PyObject_CallObject(object function, object args)

cdef extern from "<time.h>" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    int clock_gettime(int clock, timespec *time)
    enum: CLOCK_MONOTONIC, CLOCK_REALTIME

cdef extern from *:
    """
    #ifdef CLOCK_MONOTONIC_COARSE
    #define FLOWY_TICKS CLOCK_MONOTONIC_COARSE      /* some milliseconds; a fifth of the cost */
    #else
    #define FLOWY_TICKS CLOCK_MONOTONIC
    #endif
    """
    enum: FLOWY_TICKS

cdef PyTypeObject *GENERATOR = <PyTypeObject *>GeneratorType
cdef PyTypeObject *COROUTINE = <PyTypeObject *>CoroutineType
cdef PyTypeObject *ASYNC_GENERATOR = <PyTypeObject *>AsyncGeneratorType
cdef Py_ssize_t LARGE = serialization.LARGE
cdef int OBJECTS = 1
cdef int BLOBS = 2
cdef double SHORT = 5e-7         # seconds; shorter tasks are timed together


class HandedOn(partial):
    """Makes a value anew, for each call that it goes to."""


cdef inline double now() noexcept nogil:
    cdef timespec t
    clock_gettime(CLOCK_MONOTONIC, &t)
    return t.tv_sec + t.tv_nsec * 1e-9


cdef inline double realtime() noexcept nogil:
    cdef timespec t
    clock_gettime(CLOCK_REALTIME, &t)
    return t.tv_sec + t.tv_nsec * 1e-9


cdef double time_of_day() noexcept nogil:
    """What to add to `now` for the time of day. Where this process was made to wait between the two
    readings, they are read again."""
    cdef double before, real, gap, best = 1.0, found = 0.0
    cdef int tries
    for tries in range(5):
        before = now()
        real = realtime()
        gap = now() - before
        if tries == 0 or gap < best:
            best, found = gap, real - before
        if best < 2e-6:
            break
    return found


cdef inline long long ticks() noexcept nogil:
    cdef timespec t
    clock_gettime(FLOWY_TICKS, &t)
    return t.tv_sec * 1000000000LL + t.tv_nsec


cdef inline bint is_atom(object x) noexcept:
    cdef PyTypeObject *t = Py_TYPE(x)
    return (t == <PyTypeObject *>int or t == <PyTypeObject *>str or t == <PyTypeObject *>float
            or x is None or t == <PyTypeObject *>bool or t == <PyTypeObject *>bytes)


cdef inline bint is_unfinished(object x) noexcept:
    cdef PyTypeObject *t = Py_TYPE(x)
    return t == GENERATOR or t == COROUTINE or t == ASYNC_GENERATOR


cdef object cant_return(value):
    kind = type(value).__name__
    if hasattr(value, "close"):
        value.close()
    way_out = (
        "return a list, or make the items activities of their own"
        if kind.endswith("generator")
        else "make the activity itself an `async def`, or await it inside")
    return UsageError(f"the activity returned a {kind}, which can't be passed on: {way_out}")


cdef int add(dict spent, function, Py_ssize_t n, double seconds) except -1:
    if n:
        calls, total = spent.get(function, (0, 0.0))
        spent[function] = (calls + n, total + seconds)
    return 0


cdef struct Page:
    # The form is that of `local.status`, which has a name for each.
    uint64_t message
    int64_t at
    double began
    double beat


cdef struct Share:
    # As in `_trace`: so many calls took so long each.
    uint32_t n
    float seconds


def run_calls(functions, work, flush, double flush_after, tuple through, hand_on, status=None):
    """Call one after the other.

    Returns (first, values, failures, spent, kinds, times) of what was not flushed before; `kinds` has the
    flag `OBJECTS` if a value is other than a number, a string, bytes or None, and `BLOBS` if one is large
    bytes. `times` is empty unless `work.timed`: then it has when the first call began (a double, seconds
    since the epoch), who ran them (an int64), and shares of the time in the order of the calls: how many
    calls (a uint32), and the seconds from each of these to the next (a float). Tasks shorter than `SHORT`
    are timed together, and share the time evenly.

    Args:
        functions: by number.
        work: a `Work`.
        flush: takes the same six when `flush_after` seconds have passed since it last did (0: after
            each call); or None.
        through: exceptions that end the loop instead of failing their task.
        hand_on: where a value other than an atom goes to later calls here: returns a function that
            makes it anew for each of them, or the failure of the task that made it.
        status: the writable buffer of a `local.status.Page`, which always tells which call runs; and
            since when, if `work.watched` is given.
    """
    cdef list calls = work.calls
    cdef dict keywords = work.keywords
    cdef bint flat = work.flat
    cdef bytes links_bytes = work.links
    cdef bytes stay_bytes = work.stay
    cdef int32_t *links = <int32_t *><char *>links_bytes
    cdef Py_ssize_t n_links = len(links_bytes) // (3 * sizeof(int32_t))
    cdef Py_ssize_t link = 0, last
    cdef Py_ssize_t n = len(calls), i, first = 0, timed = 0
    cdef bytearray sources = bytearray(n if n_links else 0)   # by position: whether calls need it
    cdef bint mixed = type(work.which) is list
    cdef bint fine = True
    cdef int kinds = 0
    cdef list which = work.which if mixed else None
    current = which[0] if mixed else work.which
    function = functions[current]
    cdef list values = []
    cdef list known = values if n_links == 0 else []
    cdef dict failures = {}
    cdef dict spent = {}
    cdef dict broken = {}
    cdef double begun = now(), flushed = begun, at
    cdef long long tick = ticks()
    cdef Page unseen
    cdef Page *page = &unseen
    cdef bint watched = work.watched is not None
    cdef bint timed_each = work.timed
    cdef bytearray room = bytearray(n * sizeof(Share) if timed_each else 0)
    cdef Share *shares = <Share *><char *>room
    cdef Py_ssize_t n_shares = 0
    cdef double real = time_of_day() if timed_each else 0.0, chunk_begun = begun, stamp = begun
    cdef Py_ssize_t stamped = 0
    cdef uint8_t[::1] buffer
    if status is not None:
        buffer = status
        page = <Page *>&buffer[0]
    for i in range(n_links):
        sources[links[3 * i + 2]] = True
    for i in range(n):
        if mixed and which[i] != current:
            at = now()
            add(spent, current, i - timed, at - begun)
            begun, timed = at, i
            current = which[i]
            function = functions[current]
        if watched:
            page.beat = page.began = now()          # before `at`: who reads both never sees them too old
        page.at = i
        try:
            call = calls[i]
            if link < n_links and links[3 * link] == i:
                last = link
                while last < n_links and links[3 * last] == i:
                    last += 1
                if broken and is_broken(links, link, last, broken):
                    link = last
                    broken[i] = True                # the driver's graph fails it, as it would have
                    known.append(None)
                    values.append(None)
                    continue
                call = fill(<tuple>call, links, link, last, known)
                link = last
            if flat:
                value = PyObject_CallOneArg(function, call)
            elif keywords and i in keywords:
                value = PyObject_Call(function, call, keywords[i])
            else:
                value = PyObject_CallObject(function, call)
            if not is_atom(value):
                if is_unfinished(value):
                    raise cant_return(value)
                kinds |= OBJECTS
            elif type(value) is bytes and len(<bytes>value) >= LARGE:
                kinds |= BLOBS
            handed = value
            if n_links and not is_atom(value) and sources[i]:
                handed, failure = hand_on(value)
                if failure is not None:
                    failures[i] = failure
                    broken[i] = True
                    value = None
        except through:
            raise
        except BaseException as error:
            failures[i] = error
            value = handed = None
            if n_links:
                broken[i] = True
        if n_links:
            known.append(handed)
            values.append(None if stay_bytes[i] else value)
        else:
            values.append(value)
        if fine or ticks() != tick:
            at = now()
            if timed_each:
                shares[n_shares] = share(i + 1 - stamped, at - stamp)
                n_shares += 1
                stamp, stamped = at, i + 1
            tick = ticks()
            fine = flush_after <= 0 or at - begun > SHORT * (i + 1 - timed)
            if flush is not None and at - flushed >= flush_after and i + 1 < n:
                add(spent, current, i + 1 - timed, at - begun)
                if n_links:
                    give_back(links, n_links, link, known, values, first)
                page.at = -1
                flush(first, values, failures, spent, kinds,
                      tell_times(real + chunk_begun, shares, n_shares) if timed_each else b"")
                first, values, failures, spent = i + 1, [], {}, {}
                begun = flushed = chunk_begun = stamp = now()
                n_shares = 0
                timed = i + 1
    page.at = -1
    add(spent, current, n - timed, now() - begun)
    if timed_each and stamped < n:
        shares[n_shares] = share(n - stamped, now() - stamp)
        n_shares += 1
    times = tell_times(real + chunk_begun, shares, n_shares) if timed_each else b""
    return first, values, failures, spent, kinds, times


cdef inline Share share(Py_ssize_t n, double seconds) noexcept nogil:
    cdef Share made
    made.n, made.seconds = <uint32_t>n, <float>(seconds / n)
    return made


cdef object TIMES = Struct("=dq")


cdef bytes tell_times(double begun, Share *shares, Py_ssize_t n):
    return TIMES.pack(begun, get_native_id()) + (<char *>shares)[:n * sizeof(Share)]


cdef bint is_broken(int32_t *links, Py_ssize_t link, Py_ssize_t last, dict broken) except -1:
    while link < last:
        if links[3 * link + 2] in broken:
            return True
        link += 1
    return False


cdef tuple fill(tuple call, int32_t *links, Py_ssize_t link, Py_ssize_t last, list known):
    """The arguments with the values of earlier calls in their places."""
    cdef tuple made = PyTuple_New(len(call))
    cdef Py_ssize_t i
    for i in range(len(call)):
        if link < last and links[3 * link + 1] == i:
            value = known[links[3 * link + 2]]
            if type(value) is HandedOn:
                value = value()
            link += 1
        else:
            value = call[i]
        Py_INCREF(value)
        PyTuple_SET_ITEM(made, i, value)
    return made


cdef int give_back(int32_t *links, Py_ssize_t n_links, Py_ssize_t link, list known, list values,
                   Py_ssize_t first) except -1:
    """Values that later tasks need go back too: if this worker dies, those tasks go on from them."""
    cdef int32_t source
    while link < n_links:
        source = links[3 * link + 2]
        if first <= source < first + len(values):
            value = known[source]
            values[source - first] = value() if type(value) is HandedOn else value
        link += 1
    return 0
