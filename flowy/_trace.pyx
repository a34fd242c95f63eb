# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: auto_pickle=False, autotestdict=False
"""What a traced run tells, kept as it came.

Owns: `Tracer`, which hears from all runs of a driver; and how its notes become columns.

While a run goes nothing is done task by task that can be done later. Tasks are numbered by rows, in the
order in which they were asked for; calls that differ by their numbers only are one note (`Calls`), and
what a message tells of its tasks is one too (`Trip`). `columns` puts all notes in the places of their
rows; it changes none, so it can be asked for while the run goes.

May not know: nodes, values, batches, who asks for the columns. Neighbours: `_sched`, which tells;
`_loop`, whose shares of time these are; `flowy.trace`, which has the form that people read.
"""

cimport cython
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from flowy._vectors cimport Ints, discard, dispose, grow, push

from flowy.errors import InternalError, UsageError

cdef extern from "Python.h":
    char *PyByteArray_AsString(object) except NULL
    ctypedef struct PyFrameObject
    PyFrameObject *PyEval_GetFrame()
    ctypedef struct PyCodeObject
    PyCodeObject *PyFrame_GetCode(PyFrameObject *)  # a new reference

cdef extern from *:
    """
    /* Where in its code a frame is, as a number: no line is looked up for it. */
    #if PY_VERSION_HEX >= 0x030b0000
    #define flowy_place(frame) PyFrame_GetLasti(frame)
    #else
    #include <frameobject.h>
    #define flowy_place(frame) ((frame)->f_lasti)
    #endif

    /* A number of bytes in 16 bits: exact below 2048, and else to one in 1024. */
    static uint16_t flowy_rounded(uint64_t n)
    {
        int shift = 0;
        while (n >= 2048) {
            n >>= 1;
            shift++;
        }
        return (uint16_t)(shift > 31 ? 0xFFFF : (shift << 11 | n));
    }
    """
    int place_of "flowy_place"(PyFrameObject *) noexcept
    uint16_t rounded "flowy_rounded"(uint64_t n) noexcept nogil

cdef double NAN = float("nan")
cdef dict COLUMN_SIZES = {
    "name": 4, "call": 4, "index": 4, "run": 4, "after": 4, "worker": 2, "attempts": 2, "line": 2,
    "taken": 2, "made": 2, "kind": 1, "outcome": 1, "started": 8, "ended": 8, "waited": 4, "queued": 4}
cdef dict OUTCOMES = {"failed": 2, "timed out": 3, "cancelled": 4, "worker died": 5}
cdef Py_ssize_t TOLD = 1000      # of so many failures the message, and of so many tasks earlier attempts:
cdef Py_ssize_t TOLD_ATTEMPTS = 20       # the first of each
cdef Py_ssize_t MOST = 0x7FFFFFFF

cdef enum:
    PLACES = 256             # in the code whose line is at hand; and sites

cdef enum:                       # flags of a `Trip`
    SHARED = 1               # several tasks: `took` is how many shares they have
    LISTED = 2               # their rows are in `Tracer.listed`
    STOPPED = 4              # a task that did not come back: it ran as far as is known


@cython.final
cdef class Waits:
    """How often and how long code waited at one line for tasks of one name; and how often nothing else was
    under way meanwhile."""

    cdef int begin(self, bint alone, double clock) noexcept:
        self.times += 1
        self.alone += alone
        self.began = clock
        return 0

    cdef int end(self, double clock) noexcept:
        self.seconds += clock - self.began
        return 0


# ---------------------------------------------------------------- what is told

@cython.final
cdef class Tracer:
    """What all runs of a driver tell.

    Readable: `names`; `runs`, (id, name, row of the task that it is) of each; `aliases` of results that
    stand for others: the rows, None while not known; by row `errors`, `values` in short and, after
    `columns`, `earlier`: (worker, sent, started, ended, outcome, error) of the attempts before the last,
    NaN for what is not known; `places`, "file:line" from number 1 on.
    """

    def __cinit__(self):
        self.at_hand = <Place *>calloc(PLACES, sizeof(Place))
        self.site_at_hand = <int32_t *>calloc(PLACES, sizeof(int32_t))
        if self.at_hand == NULL or self.site_at_hand == NULL:
            raise MemoryError()
        self.call = -1                                  # as no call is
        self.told = []
        self.told_of = {}
        self.earlier = {}
        self.places = []
        self.known_places = {}
        self.waits = {}
        self.codes = {}
        self.names = []
        self.known_names = {}
        self.runs = []
        self.aliases = []
        self.errors = {}
        self.values = {}
        self.workers = {}

    def __dealloc__(self):
        dispose(self.outcomes, self.cap_outcomes)
        dispose(self.sites, self.cap_sites * sizeof(Site))
        dispose(self.calls, self.cap_calls * sizeof(Calls))
        dispose(self.known, self.cap_known * sizeof(Known))
        dispose(self.trips, self.cap_trips * sizeof(Trip))
        dispose(self.shares, self.cap_shares * sizeof(Share))
        dispose(self.turns, self.cap_turns * sizeof(Turn))
        dispose(self.ends, self.cap_ends * sizeof(Ended))
        discard(&self.sources)
        discard(&self.listed)
        free(self.at_hand)
        free(self.site_at_hand)

    def __len__(self):
        return self.n

    @property
    def nbytes(self):
        """Bytes of the notes; texts, of which there are a bounded number, are not counted."""
        return (self.n + self.n_sites * sizeof(Site) + self.n_calls * sizeof(Calls)
                + (self.sources.n + self.listed.n) * sizeof(int32_t) + self.n_known * sizeof(Known)
                + self.n_trips * sizeof(Trip) + self.n_shares * sizeof(Share)
                + self.n_turns * sizeof(Turn) + self.n_ends * sizeof(Ended))

    def add_run(self, id, name, int32_t parent):
        """A run begins; returns its number."""
        self.runs.append((id, name, parent))
        return len(self.runs) - 1

    cdef int32_t number_names(self, tuple names) except -1:
        at = self.known_names.get(names)
        if at is None:
            at = self.known_names[names] = len(self.names)
            self.names.extend(names)
        return at

    cdef uint16_t line_here(self) except? 0xFFFF:
        """The line of the user's code that runs, or that has called what runs."""
        cdef PyFrameObject *frame = PyEval_GetFrame()
        cdef PyObject *code
        cdef int at
        cdef Place *place
        if frame == NULL:
            return 0
        code = <PyObject *>PyFrame_GetCode(frame)
        Py_DECREF(<object>code)                         # the frame has it
        at = place_of(frame)
        place = &self.at_hand[(<size_t>code // 64 ^ <size_t>at * 31) % PLACES]
        if place.code == code and place.at == at:
            return place.line
        user = <object>frame
        while user is not None and user.f_globals.get("__name__", "").startswith("flowy."):
            user = user.f_back
        if user is None:
            return 0
        where = user.f_code.co_filename, user.f_lineno
        number = self.known_places.get(where)
        if number is None:
            number = self.known_places[where] = min(len(self.places) + 1, 0xFFFE)
            if number == len(self.places) + 1:
                self.places.append(f"{where[0]}:{where[1]}")
        if <PyObject *>user == <PyObject *>frame:       # else it depends on who calls that one
            self.codes[<size_t>code] = user.f_code
            place.code, place.at, place.line = code, at, number
        return number

    cdef Waits wait_at(self, str name, uint16_t line):
        cdef Waits w = self.waits.get((name, line))
        if w is None:
            w = self.waits[name, line] = Waits.__new__(Waits)
            w.name, w.line = name, line
        return w

    def waited(self):
        """(name, line, times, alone, seconds) of all waits."""
        return [(w.name, w.line, w.times, w.alone, w.seconds) for w in self.waits.values()]

    cdef str name_of(self, int32_t row):
        """The name of a task: of the last calls that begin there or before."""
        cdef Py_ssize_t low = 0, high = self.n_calls, middle
        while high - low > 1:
            middle = (low + high) >> 1
            if self.calls[middle].row <= row:
                low = middle
            else:
                high = middle
        return self.names[self.sites[self.calls[low].site].name]

    cdef int32_t alias(self) except 0:
        self.aliases.append(None)
        return -1 - <int32_t>len(self.aliases)

    cdef int resolve(self, int32_t alias, rows) except -1:
        if alias <= -2:
            self.aliases[-2 - alias] = tuple(rows)
        return 0

    cdef int make_room(self, Py_ssize_t n) except -1:
        """For the outcomes of `n` more rows, which are open."""
        cdef Py_ssize_t had = self.cap_outcomes
        if self.n + n > MOST:
            raise UsageError("a trace can have 2,147,483,647 tasks: run it without _trace, or in parts")
        grow(<void **>&self.outcomes, &self.cap_outcomes, self.n + n + (self.n >> 1) + 64, 1)
        memset(self.outcomes + had, 0, self.cap_outcomes - had)
        return 0

    cdef int begin_calls(self, Site *site, int32_t call, int32_t index, int32_t after, double clock) except -1:
        """The next row is of other calls than the one before."""
        cdef Calls *c
        if self.n_calls == self.cap_calls:
            grow(<void **>&self.calls, &self.cap_calls, larger(self.cap_calls), sizeof(Calls))
        c = &self.calls[self.n_calls]
        c.site = number_site(self, site)
        c.ready, c.row, c.call, c.index, c.after = clock, <int32_t>self.n, call, index, after
        self.n_calls += 1
        self.site = site[0]
        self.clock, self.call, self.index, self.after = clock, call, index, after
        return 0

    cdef int know(self, int32_t row, double clock) except -1:
        """The arguments of the task are known, which were not when it was asked for."""
        cdef Known *k
        if self.n_known:
            k = &self.known[self.n_known - 1]
            if k.clock == clock and k.row + k.n == row:
                k.n += 1
                return 0
        if self.n_known == self.cap_known:
            grow(<void **>&self.known, &self.cap_known, larger(self.cap_known), sizeof(Known))
        k = &self.known[self.n_known]
        k.clock, k.row, k.n = clock, row, 1
        self.n_known += 1
        return 0

    cdef int tell_trip(self, int32_t row, int32_t *rows, Py_ssize_t n, bytes times, double sent, double taken,
                       double made) except -1:
        """Tasks of one message ran, one after the other: `n` or fewer, with these rows or, where that is NULL,
        with those from `row` on. `times` is as `_loop.run_calls` gives it; `taken` and `made` are the bytes
        of the arguments and of the value of each, on average."""
        cdef char *data = <char *>times
        cdef Share *shares = <Share *>(data + 16)
        cdef Py_ssize_t i, n_shares = (len(times) - 16) // <Py_ssize_t>sizeof(Share), known = 0
        cdef Trip *trip
        for i in range(n_shares):
            known += shares[i].n
        if known > n:
            raise InternalError(f"a message of {n} tasks can't tell of {known}")
        if not known:
            return 0
        trip = next_trip(self, sent, (<double *>data)[0], row if rows == NULL else rows[0])
        trip.worker = number_worker(self, (<int64_t *>(data + 8))[0])
        trip.taken, trip.made = rounded(<uint64_t>taken), rounded(<uint64_t>made)
        if rows != NULL and not is_sequence(rows, known):
            trip.flags = LISTED
            for i in range(known):
                push(&self.listed, rows[i])
        if known == 1:
            trip.took.seconds = shares[0].seconds
        else:
            trip.flags |= SHARED
            trip.took.shares = <int32_t>n_shares
            if self.n_shares + n_shares > self.cap_shares:
                grow(<void **>&self.shares, &self.cap_shares, larger(self.cap_shares) + n_shares, sizeof(Share))
            memcpy(self.shares + self.n_shares, shares, n_shares * sizeof(Share))
            self.n_shares += n_shares
        self.n_trips += 1
        return 0

    cdef int tell_stop(self, int32_t row, double sent, double ended) except -1:
        """The task did not come back: it ran from when it was sent, as far as is known."""
        cdef Trip *trip = next_trip(self, sent, sent, row)
        trip.took.seconds = <float>(ended - sent)
        trip.flags = STOPPED
        self.n_trips += 1
        return 0

    cdef int tell_turn(self, int32_t row, int number, object failure, double sent, double now) except -1:
        """The task goes on with this attempt, counted from 0. If there is a failure, it is how the one before
        ended: that was sent at `sent`, and it is `now`."""
        cdef Turn *turn
        cdef Py_ssize_t told = -1
        if failure is not None:
            so_far = self.told_of.get(row, 0)
            if (so_far or len(self.told_of) < TOLD) and so_far < TOLD_ATTEMPTS:
                self.told_of[row] = so_far + 1
                told = len(self.told)
                self.told.append((row, failure.kind, failure.story))
        if self.n_turns == self.cap_turns:
            grow(<void **>&self.turns, &self.cap_turns, larger(self.cap_turns), sizeof(Turn))
        turn = &self.turns[self.n_turns]
        turn.sent, turn.now, turn.row, turn.number = sent, now, row, <uint16_t>(number + 1)
        turn.trips, turn.told, turn.failed = <int32_t>self.n_trips, <int32_t>told, failure is not None
        self.n_turns += 1
        return 0

    cdef int fail(self, int32_t row, object failure) except -1:
        self.outcomes[row] = OUTCOMES.get(failure.kind, 2)
        if len(self.errors) < TOLD:
            self.errors[row] = failure.story
        return 0

    cdef int end(self, int32_t row, double clock) except -1:
        """A task that no worker times is over."""
        if self.n_ends == self.cap_ends:
            grow(<void **>&self.ends, &self.cap_ends, larger(self.cap_ends), sizeof(Ended))
        self.ends[self.n_ends].clock, self.ends[self.n_ends].row = clock, row
        self.n_ends += 1
        return 0

    def columns(self):
        """The rows by column, as bytes, each of the type that `flowy.trace.record.WIDTHS` has; and `first`
        and `sources`. What has not run, or not by itself, has no times."""
        cdef Into into
        cdef Py_ssize_t n = -1, edges = -1, told = -1, i
        cdef Past *past = NULL
        try:
            while n != self.n or edges != self.sources.n or told != len(self.told):
                n, edges, told = self.n, self.sources.n, len(self.told)     # memory may cost a destructor,
                made = {column: bytearray(n * size) for column, size in COLUMN_SIZES.items()}
                made["first"] = bytearray((n + 1) * sizeof(int32_t))        # and that let other threads on
                made["sources"] = bytearray(edges * sizeof(int32_t))
                free(past)
                past = <Past *>calloc(told + 1, sizeof(Past))
                if past == NULL:
                    raise MemoryError()
            point(&into, made)
            into.past = past
            put_calls(self, &into)
            put_known(self, &into)
            put_trips(self, &into)
            put_ends(self, &into)
            hide_unknown(&into, n)
            earlier = {}
            for i in range(told):
                row, outcome, error = self.told[i]
                one = past[i].worker, past[i].sent, past[i].started, past[i].ended, outcome, error
                earlier[row] = (*earlier.get(row, ()), one)
            self.earlier = earlier
        finally:
            free(past)
        return made


cdef inline Py_ssize_t larger(Py_ssize_t cap) noexcept nogil:
    return cap + (cap >> 1) + 64


cdef inline bint is_sequence(int32_t *rows, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(1, n):
        if rows[i] != rows[0] + i:
            return False
    return True


cdef int32_t number_site(Tracer t, Site *site) except -1:
    """The number of a site: that of an equal one, if it is at hand."""
    cdef size_t hashed = (<size_t>site.name * 31 + <size_t>site.line * 17 + <size_t>site.run * 7
                          + <size_t>site.sources * 5 + site.kind) % PLACES
    cdef int32_t number = t.site_at_hand[hashed]
    if number < t.n_sites and memcmp(&t.sites[number], site, sizeof(Site)) == 0:
        return number
    if t.n_sites == t.cap_sites:
        grow(<void **>&t.sites, &t.cap_sites, larger(t.cap_sites), sizeof(Site))
    t.sites[t.n_sites] = site[0]
    number = t.site_at_hand[hashed] = <int32_t>t.n_sites
    t.n_sites += 1
    return number


cdef int16_t number_worker(Tracer t, int64_t id) except -1:
    number = t.workers.get(id)
    if number is None:
        number = t.workers[id] = min(len(t.workers) + 1, 32767)
    return number


cdef Trip *next_trip(Tracer t, double sent, double began, int32_t row) except NULL:
    """Room for one more, which counts once it is filled."""
    cdef Trip *trip
    if t.n_trips == t.cap_trips:
        grow(<void **>&t.trips, &t.cap_trips, larger(t.cap_trips), sizeof(Trip))
    trip = &t.trips[t.n_trips]
    trip.sent, trip.began, trip.row = sent, began, row
    trip.worker = 0
    trip.taken = trip.made = trip.flags = 0
    return trip


# ---------------------------------------------------------------- into columns

cdef struct Past:                # an attempt before the last
    double sent
    double started
    double ended
    int16_t worker


cdef struct Into:
    int32_t *name
    int32_t *call
    int32_t *index
    int32_t *run
    int32_t *after
    int16_t *worker
    uint16_t *attempts
    uint16_t *line
    uint16_t *taken
    uint16_t *made
    uint8_t *kind                # RAN beside it: `started` is when it started, else when it was ready
    uint8_t *outcome
    double *started
    double *ended
    float *waited
    float *queued
    int32_t *first
    int32_t *sources
    Past *past


cdef int point(Into *into, dict made) except -1:
    into.name = <int32_t *>PyByteArray_AsString(made["name"])
    into.call = <int32_t *>PyByteArray_AsString(made["call"])
    into.index = <int32_t *>PyByteArray_AsString(made["index"])
    into.run = <int32_t *>PyByteArray_AsString(made["run"])
    into.after = <int32_t *>PyByteArray_AsString(made["after"])
    into.worker = <int16_t *>PyByteArray_AsString(made["worker"])
    into.attempts = <uint16_t *>PyByteArray_AsString(made["attempts"])
    into.line = <uint16_t *>PyByteArray_AsString(made["line"])
    into.taken = <uint16_t *>PyByteArray_AsString(made["taken"])
    into.made = <uint16_t *>PyByteArray_AsString(made["made"])
    into.kind = <uint8_t *>PyByteArray_AsString(made["kind"])
    into.outcome = <uint8_t *>PyByteArray_AsString(made["outcome"])
    into.started = <double *>PyByteArray_AsString(made["started"])
    into.ended = <double *>PyByteArray_AsString(made["ended"])
    into.waited = <float *>PyByteArray_AsString(made["waited"])
    into.queued = <float *>PyByteArray_AsString(made["queued"])
    into.first = <int32_t *>PyByteArray_AsString(made["first"])
    into.sources = <int32_t *>PyByteArray_AsString(made["sources"])
    return 0


cdef void put_calls(Tracer t, Into *into) noexcept:
    cdef Py_ssize_t i, row, end
    cdef int32_t edges = 0, up
    cdef Calls *c
    cdef Site *site
    for i in range(t.n_calls):
        c = &t.calls[i]
        site = &t.sites[c.site]
        end = t.calls[i + 1].row if i + 1 < t.n_calls else t.n
        for row in range(c.row, end):
            up = <int32_t>row - c.row
            into.name[row], into.run[row], into.line[row] = site.name, site.run, site.line
            into.call[row] = c.call if c.index >= 0 else c.call + up
            into.index[row] = c.index + up if c.index >= 0 else -1
            into.after[row] = c.after
            into.attempts[row] = 1
            into.kind[row] = site.kind & ~LATER
            into.started[row] = NAN if site.kind & LATER else c.ready
            into.ended[row] = NAN
            into.waited[row] = into.queued[row] = 0 if site.kind & RAN else <float>NAN
            into.first[row] = edges
            edges += site.sources
    into.first[t.n] = edges
    if t.n:
        memcpy(into.outcome, t.outcomes, t.n)
    if edges:
        memcpy(into.sources, t.sources.v, edges * sizeof(int32_t))


cdef void put_known(Tracer t, Into *into) noexcept:
    cdef Py_ssize_t i, row
    for i in range(t.n_known):
        for row in range(t.known[i].row, t.known[i].row + t.known[i].n):
            into.started[row] = t.known[i].clock


cdef void put_trips(Tracer t, Into *into) noexcept:
    """In the order in which they were told, and turns between them."""
    cdef Py_ssize_t i, j, k, turn = 0, share = 0, listed = 0
    cdef int32_t row
    cdef double at                   # since it began: added to the time of day short tasks would vanish
    cdef Trip *trip
    cdef Share one
    for i in range(t.n_trips + 1):
        while turn < t.n_turns and t.turns[turn].trips <= i:
            put_turn(&t.turns[turn], into)
            turn += 1
        if i == t.n_trips:
            break
        trip = &t.trips[i]
        at, k = 0.0, 0
        for j in range(trip.took.shares if trip.flags & SHARED else 1):
            if trip.flags & SHARED:
                one = t.shares[share]
                share += 1
            else:
                one.n, one.seconds = 1, trip.took.seconds
            while one.n:
                row = t.listed.v[listed + k] if trip.flags & LISTED else <int32_t>(trip.row + k)
                put_trip(trip, into, row, at, at + one.seconds)
                at += one.seconds
                k += 1
                one.n -= 1
        if trip.flags & LISTED:
            listed += k


cdef inline void put_trip(Trip *trip, Into *into, int32_t row, double started, double ended) noexcept nogil:
    """A task ran from `started` to `ended`, in seconds since its trip began."""
    cdef double ready = into.started[row]
    if into.kind[row] & RAN:
        if trip.flags & STOPPED:
            return                   # the worker has told more
        ready -= into.queued[row] + into.waited[row]
    elif ready != ready:
        ready = trip.sent            # with what it waited for, so that it had not to wait
    into.started[row] = trip.began + started
    into.ended[row] = trip.began + ended
    into.waited[row] = <float>(trip.sent - ready)
    into.queued[row] = <float>(into.started[row] - trip.sent)
    into.worker[row], into.taken[row], into.made[row] = trip.worker, trip.taken, trip.made
    into.kind[row] |= RAN


cdef void put_turn(Turn *turn, Into *into) noexcept nogil:
    """Another attempt of a task: what it did so far becomes an earlier one, if that is to be kept."""
    cdef int32_t row = turn.row
    cdef bint ran = (into.kind[row] & RAN) != 0
    cdef Past *past
    into.attempts[row] = turn.number
    if not turn.failed:
        return
    if turn.told >= 0:
        past = &into.past[turn.told]
        past.worker = into.worker[row] if ran else 0
        past.sent = into.started[row] - into.queued[row] if ran else turn.sent
        past.started = into.started[row] if ran else turn.sent
        past.ended = into.ended[row] if ran else turn.now
    into.kind[row] &= <uint8_t>~RAN
    into.started[row] = turn.now
    into.ended[row] = NAN
    into.worker[row] = 0


cdef void put_ends(Tracer t, Into *into) noexcept:
    cdef Py_ssize_t i
    cdef int32_t row
    for i in range(t.n_ends):
        row = t.ends[i].row
        into.ended[row] = t.ends[i].clock
        if into.started[row] != into.started[row]:
            into.started[row] = into.ended[row]     # it failed with an argument, and never began
        into.waited[row] = into.queued[row] = 0
        into.kind[row] |= RAN


cdef void hide_unknown(Into *into, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t row
    for row in range(n):
        if not into.kind[row] & RAN:
            into.started[row] = NAN
        into.kind[row] &= <uint8_t>~RAN
