"""What `_sched` may ask of `_trace`, which tells about it."""

from cpython.object cimport PyObject
from libc.stdint cimport int16_t, int32_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memset

from flowy._vectors cimport Ints

cdef enum:
    SHOWN = 500              # of so many tasks the values are kept in short: more are drawn by groups

cdef enum:
    COMPLETED = 1            # an outcome, as in `flowy.trace.record.OUTCOMES`; 0 is open

cdef enum:
    WORKFLOW = 1             # a kind of task, as in `flowy.trace.record.KINDS`; 0 is an activity
    LATER = 0x40           # its arguments are not known yet, and
    RAN = 0x80               # it is on its way from the start: flags beside the kind


cdef struct Site:                # 16 bytes: what is the same for all calls made at one place
    int32_t run
    int32_t name
    int32_t sources          # how many each of them has
    uint16_t line
    uint8_t kind             # and the flags
    uint8_t unused           # 0


cdef packed struct Calls:        # 28 bytes: tasks one after the other, of one site
    double ready             # NaN while it is not known
    int32_t row              # of the first; the next `Calls` tell how many there are
    int32_t call             # of the first: it goes up by one
    int32_t index            # -1; or of the first member of a map: this goes up then
    int32_t site
    int32_t after


cdef union Took:
    float seconds            # of the only task
    int32_t shares           # or how many of `Tracer.shares` tell of several tasks


cdef struct Trip:                # 32 bytes: what one message told of tasks that ran one after the other
    double sent
    double began
    int32_t row              # of the first of them
    Took took
    int16_t worker
    uint16_t taken           # bytes of the arguments, and of what it came to: see `rounded`
    uint16_t made
    uint16_t flags


cdef struct Share:               # 8 bytes, as `_loop` has it: so many tasks took so long each
    uint32_t n
    float seconds


cdef struct Known:               # 16 bytes: the arguments of rows one after the other were known
    double clock
    int32_t row
    int32_t n


cdef packed struct Ended:        # 12 bytes: what no worker times
    double clock
    int32_t row


cdef struct Turn:                # 32 bytes: another attempt of a task
    double sent              # of the one before
    double now
    int32_t trips            # how many had been told of before
    int32_t row
    int32_t told             # where in `Tracer.told`, or -1
    uint16_t number
    bint failed              # whether there is anything to keep of the one before


cdef struct Place:
    PyObject *code
    int at
    uint16_t line


cdef class Waits:
    cdef readonly str name
    cdef readonly uint16_t line
    cdef readonly Py_ssize_t times
    cdef readonly Py_ssize_t alone
    cdef readonly double seconds
    cdef double began

    cdef int begin(self, bint alone, double clock) noexcept
    cdef int end(self, double clock) noexcept


cdef class Tracer:
    cdef Py_ssize_t n                    # rows
    cdef uint8_t *outcomes               # of each row
    cdef Py_ssize_t cap_outcomes
    cdef Site site                       # of the last calls, and
    cdef double clock                    # what would make another one of them
    cdef int32_t call, index, after
    cdef Site *sites
    cdef Py_ssize_t n_sites, cap_sites
    cdef int32_t *site_at_hand           # by a hash of what it has
    cdef Calls *calls
    cdef Py_ssize_t n_calls, cap_calls
    cdef Ints sources                    # of all rows, one after the other: rows, or aliases
    cdef Known *known
    cdef Py_ssize_t n_known, cap_known
    cdef Trip *trips
    cdef Py_ssize_t n_trips, cap_trips
    cdef Ints listed                     # rows of trips whose rows are not one after the other
    cdef Share *shares
    cdef Py_ssize_t n_shares, cap_shares
    cdef Turn *turns
    cdef Py_ssize_t n_turns, cap_turns
    cdef Ended *ends
    cdef Py_ssize_t n_ends, cap_ends
    cdef list told                       # (row, outcome, error) of attempts before the last
    cdef dict told_of                    # row -> how many of these
    cdef readonly list names
    cdef dict known_names                # names of a run -> where they begin
    cdef readonly list runs
    cdef readonly list aliases
    cdef readonly dict errors
    cdef readonly dict values
    cdef readonly dict earlier
    cdef readonly list places
    cdef dict known_places               # (file, line) -> its number
    cdef dict waits                      # (name, line) -> Waits
    cdef dict workers
    cdef Place *at_hand                  # by a hash of where in which code
    cdef dict codes                      # by address: keeps those alive that `at_hand` has

    cdef int32_t number_names(self, tuple names) except -1
    cdef uint16_t line_here(self) except? 0xFFFF
    cdef Waits wait_at(self, str name, uint16_t line)
    cdef str name_of(self, int32_t row)
    cdef int32_t alias(self) except 0
    cdef int resolve(self, int32_t alias, rows) except -1
    cdef int make_room(self, Py_ssize_t n) except -1
    cdef int begin_calls(self, Site *site, int32_t call, int32_t index, int32_t after, double clock) except -1
    cdef int know(self, int32_t row, double clock) except -1
    cdef int tell_trip(self, int32_t row, int32_t *rows, Py_ssize_t n, bytes times, double sent, double taken,
                       double made) except -1
    cdef int tell_stop(self, int32_t row, double sent, double ended) except -1
    cdef int tell_turn(self, int32_t row, int number, object failure, double sent, double now) except -1
    cdef int fail(self, int32_t row, object failure) except -1
    cdef int end(self, int32_t row, double clock) except -1


# In the hot path of single calls: these are built into `_sched`.

cdef inline bint is_same(Site *one, Site *other) noexcept:
    """By field: what was written field by field a moment ago is slow to be read as a whole."""
    return (one.line == other.line and one.name == other.name and one.run == other.run
            and one.sources == other.sources and one.kind == other.kind)


cdef inline int32_t add_rows(Tracer t, Site *site, int32_t call, int32_t index, int32_t after, double clock,
                             Py_ssize_t n) except -1:
    """Rows for `n` calls, or members of a map from this one on; returns the first. The sources of each have
    been pushed, in order."""
    cdef int32_t row = <int32_t>t.n
    site.unused = 0
    if t.n + n > t.cap_outcomes:
        t.make_room(n)
    if (t.call != call or t.index != index or t.after != after or t.clock != clock
            or not is_same(&t.site, site)):
        t.begin_calls(site, call, index, after, clock)
    t.n += n
    if index < 0:
        t.call = call + <int32_t>n
    else:
        t.index = index + <int32_t>n
    return row


cdef inline int note_completed(Tracer t, int32_t row, Py_ssize_t n) noexcept:
    """Tasks one after the other have come to values."""
    if n == 1:
        t.outcomes[row] = COMPLETED
    else:
        memset(t.outcomes + row, COMPLETED, n)
    return 0
