# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: auto_pickle=False, autotestdict=False
"""Passes over the columns of a trace, each one loop in C.

Owns: what has to look at each of a million tasks where people wait for it: the order of a trace that was
read, the span, the levels, the groups of the graph, the times by name, and the codings of the page.

May not know: what a trace is (columns come one by one, as arrays of the types that `trace.record.WIDTHS`
has), files, drawings. Neighbours: `trace.analysis`, `trace.graph`, `trace.files` and `trace.page.packing`.

Nothing is checked here but in `find_disorder`: columns that were read from a file go through that first.
"""

from array import array

from libc.math cimport INFINITY, isfinite
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

cdef enum:
    PLACES = 4096            # keys whose group is at hand
    UNKNOWN = 0xFFFFFFFF     # in place of a tick: no such time


cdef object zeros(str width, Py_ssize_t n):
    """An array of so many numbers, all of them 0."""
    made = array(width)
    made.frombytes(bytes(n * made.itemsize))
    return made


# ---------------------------------------------------------------- what was read

def find_disorder(const int32_t[::1] first, const int32_t[::1] sources, const int32_t[::1] after,
                  const int32_t[::1] run, const int32_t[::1] parents):
    """The first thing that stands before what it needs, in words; None: all is in order.

    `first` begins with 0 and ends with the number of sources; runs are numbers of `parents`, if there are
    any, which are -1 or numbers of tasks.
    """
    cdef Py_ssize_t row, k, begun = 0, n = after.shape[0], edges = sources.shape[0]
    for row in range(n):
        if not 0 <= first[row] <= first[row + 1] <= edges:
            return f"task {row} depends on what is not before it"
        for k in range(first[row], first[row + 1]):
            if not 0 <= sources[k] < row:
                return f"task {row} depends on what is not before it"
        if not -1 <= after[row] < row:
            return f"task {row} comes after one that is not before it"
        while begun < parents.shape[0] and begun <= run[row]:
            if parents[begun] >= row:       # runs stand in the order in which they began
                return f"task {row} is not after the task that run {begun} is"
            begun += 1
    return None


# ---------------------------------------------------------------- what it tells

def span(const double[::1] started, const double[::1] ended, const float[::1] waited,
         const float[::1] queued):
    """The first time that anything was ready or started, and the last that anything ended; infinities the
    wrong way round where there is none."""
    cdef double low = INFINITY, high = -INFINITY, ready
    cdef Py_ssize_t row
    for row in range(started.shape[0]):
        ready = started[row] - queued[row] - waited[row]
        if ready < low:
            low = ready
        if started[row] < low:
            low = started[row]
        if ended[row] > high:
            high = ended[row]
    return low, high


def by_name(Py_ssize_t names, const int32_t[::1] name, const double[::1] started,
            const double[::1] ended, const uint8_t[::1] outcome, const uint16_t[::1] attempts,
            int completed):
    """For each name: how many tasks, failures and retries; and the seconds of those that ended."""
    cdef int32_t[:, ::1] counts
    cdef Py_ssize_t row, i
    cdef double took
    made = [zeros("i", max(1, names)) for _ in range(4)]
    cdef int32_t[::1] tasks = made[0], failures = made[1], retries = made[2], known = made[3]
    for row in range(name.shape[0]):
        i = name[row]
        tasks[i] += 1
        failures[i] += outcome[row] > completed
        if attempts[row] > 1:
            retries[i] += attempts[row] - 1
        known[i] += ended[row] - started[row] >= 0
    cdef int64_t[::1] at = zeros("q", names + 1)
    for i in range(names):
        at[i + 1] = at[i] + known[i]
    ends = list(at)
    seconds = zeros("d", ends[names])
    cdef double[::1] into = seconds
    for row in range(name.shape[0]):
        took = ended[row] - started[row]
        if took >= 0:
            i = name[row]
            into[at[i]] = took
            at[i] += 1
    return [(made[0][i], made[1][i], made[2][i], seconds[ends[i]:ends[i + 1]]) for i in range(names)]


def levels(const int32_t[::1] first, const int32_t[::1] sources, const int32_t[::1] after,
           const int32_t[::1] run, const int32_t[::1] parents):
    """For each task the length of the longest chain of what it had to wait for."""
    made = zeros("i", after.shape[0])
    cdef int32_t[::1] level = made
    cdef int32_t most
    cdef Py_ssize_t row, k
    for row in range(after.shape[0]):
        most = -1
        for k in range(first[row], first[row + 1]):
            if level[sources[k]] > most:
                most = level[sources[k]]
        k = after[row]
        if k < 0 and run[row] < parents.shape[0]:
            k = parents[run[row]]
        if k >= 0 and level[k] > most:
            most = level[k]
        level[row] = most + 1
    return made


# ---------------------------------------------------------------- groups

cdef struct Seen:
    int32_t name
    int32_t level
    int32_t frame
    int32_t parent           # -1: none. What has several is not at hand
    int32_t group            # 0: nothing is here; else the group's number + 1
    uint8_t kind


cdef struct Arrow:
    int64_t key              # 0: nothing is here; else from and to, + 1
    int64_t count


def group(const int32_t[::1] name, const uint8_t[::1] kind, const int32_t[::1] level,
          const int32_t[::1] run, const int32_t[::1] first, const int32_t[::1] sources, int32_t[::1] into,
          frames, enter, add):
    """Tasks of the same name, kind, level, frame and groups of sources are one group; `into` gets each
    task's. Returns a dict of (group, group) and how many sources that arrow stands for.

    Args:
        frames: a list, for each run the number of its frame; `enter()` adds the next.
        add: is called with the first task of each new group and its frame.
    """
    cdef Seen *seen = <Seen *>calloc(PLACES, sizeof(Seen))
    cdef Arrow *arrows = <Arrow *>calloc(PLACES, sizeof(Arrow))
    cdef Seen *one
    cdef Arrow *arrow
    cdef Py_ssize_t row, k, low, high
    cdef int32_t number, parent, frame = 0, of = -1
    cdef int64_t key
    cdef bint several
    cdef dict groups = {}, counts = {}
    if seen == NULL or arrows == NULL:
        free(seen)
        free(arrows)
        raise MemoryError()
    try:
        for row in range(name.shape[0]):
            if run[row] != of:
                of = run[row]
                while len(frames) <= of:
                    enter()
                frame = frames[of]
            low, high = first[row], first[row + 1]
            parent = into[sources[low]] if high > low else -1
            several = False
            for k in range(low + 1, high):
                if into[sources[k]] != parent:
                    several = True
                    break
            one = &seen[(<uint64_t>(name[row] * 31 + kind[row]) * 1000003 + <uint64_t>level[row] * 8191
                         + <uint64_t>frame * 131071 + <uint64_t>(parent + 1) * 524287) % PLACES]
            if (not several and one.group and one.name == name[row] and one.kind == kind[row]
                    and one.level == level[row] and one.frame == frame and one.parent == parent):
                number = one.group - 1
            else:
                parents = tuple(sorted({into[sources[k]] for k in range(low, high)}))
                whole = name[row], kind[row], level[row], frame, parents
                known = groups.get(whole)
                if known is None:
                    known = groups[whole] = len(groups)
                    add(row, frame)
                number = known
                if not several:
                    one.name, one.kind, one.level = name[row], kind[row], level[row]
                    one.frame, one.parent, one.group = frame, parent, number + 1
            into[row] = number
            for k in range(low, high):
                key = (<int64_t>into[sources[k]] << 32 | number) + 1
                arrow = &arrows[<uint64_t>(key * 1000003) >> 20 & (PLACES - 1)]
                if arrow.key != key:
                    flush(arrow, counts)
                    if key not in counts:
                        counts[key] = 0         # here, so that arrows stand in the order of tasks
                    arrow.key = key
                arrow.count += 1
        for k in range(PLACES):
            flush(&arrows[k], counts)
    finally:
        free(seen)
        free(arrows)
    return {(key - 1 >> 32, key - 1 & 0xFFFFFFFF): count for key, count in counts.items()}


cdef int flush(Arrow *arrow, dict counts) except -1:
    if arrow.key:
        counts[arrow.key] += arrow.count
    arrow.key = arrow.count = 0
    return 0


def sums(Py_ssize_t groups, const int32_t[::1] of, const double[::1] started, const double[::1] ended,
         const uint8_t[::1] outcome, const uint16_t[::1] attempts, int opened, int completed):
    """For each group: how many tasks, their seconds, how many failed, how often they were retried, and how
    many are open."""
    made = [zeros(width, groups) for width in "idiii"]
    cdef int32_t[::1] tasks = made[0], failures = made[2], retries = made[3], still = made[4]
    cdef double[::1] seconds = made[1]
    cdef Py_ssize_t row, i
    cdef double took
    for row in range(of.shape[0]):
        i = of[row]
        tasks[i] += 1
        took = ended[row] - started[row]
        if took > 0 and isfinite(took):
            seconds[i] += took
        failures[i] += outcome[row] > completed
        still[i] += outcome[row] == opened
        if attempts[row] > 1:
            retries[i] += attempts[row] - 1
    return list(zip(*made))


# ---------------------------------------------------------------- codings

def ticks(const double[::1] at, const double[::1] base, double since, double tick):
    """`at` less `base` (or less `since` where that is empty) as whole ticks; what is not finite, or does not
    fit, is 0xFFFFFFFF, what is below 0 is 0."""
    made = zeros("I", at.shape[0])
    cdef uint32_t[::1] into = made
    cdef double x, most = (<double>UNKNOWN - 1) * tick
    cdef Py_ssize_t row
    cdef bint pairs = base.shape[0] > 0
    for row in range(at.shape[0]):
        x = at[row] - (base[row] if pairs else since)
        into[row] = 0 if x < 0 else <uint32_t>(x / tick + 0.5) if x < most else <uint32_t>UNKNOWN
    return made


def since(const double[::1] at, const double[::1] base, double began):
    """`at` less `base`, or less `began` where that is empty."""
    made = zeros("d", at.shape[0])
    cdef double[::1] into = made
    cdef Py_ssize_t row
    cdef bint pairs = base.shape[0] > 0
    for row in range(at.shape[0]):
        into[row] = at[row] - (base[row] if pairs else began)
    return made


ctypedef fused Whole:
    int32_t
    int16_t
    uint16_t
    uint8_t


cdef object narrowed(const Whole[::1] values):
    cdef Py_ssize_t i
    cdef Whole most = 0
    cdef uint8_t[::1] small
    cdef uint16_t[::1] middle
    cdef uint32_t[::1] large
    for i in range(values.shape[0]):
        if values[i] > most:
            most = values[i]
    width = "B" if <int64_t>most < 1 << 8 else "H" if <int64_t>most < 1 << 16 else "I"
    made = zeros(width, values.shape[0])
    if width == "B":
        small = made
        for i in range(values.shape[0]):
            small[i] = <uint8_t>values[i]
    elif width == "H":
        middle = made
        for i in range(values.shape[0]):
            middle[i] = <uint16_t>values[i]
    else:
        large = made
        for i in range(values.shape[0]):
            large[i] = <uint32_t>values[i]
    return made


def narrow(values):
    """Numbers from 0 on, in the narrowest type."""
    code = values.typecode
    if code == "i":
        return narrowed[int32_t](values)
    if code == "h":
        return narrowed[int16_t](values)
    return narrowed[uint16_t](values) if code == "H" else narrowed[uint8_t](values)


def differences(const int32_t[::1] values):
    """Each number less the one before it, modulo 2³²."""
    made = zeros("I", values.shape[0])
    cdef uint32_t[::1] into = made
    cdef uint32_t before = 0
    cdef Py_ssize_t i
    for i in range(values.shape[0]):
        into[i] = <uint32_t>values[i] - before
        before = <uint32_t>values[i]
    return made


def back(const int32_t[::1] others):
    """How far before each task another one is; 0: there is none."""
    made = zeros("I", others.shape[0])
    cdef uint32_t[::1] into = made
    cdef Py_ssize_t row
    for row in range(others.shape[0]):
        into[row] = <uint32_t>(row - others[row]) if others[row] >= 0 else 0
    return made


def edges(const int32_t[::1] first, const int32_t[::1] sources):
    """How many sources each task has; and how far before their tasks they are, one after the other."""
    counts, made = zeros("i", first.shape[0] - 1), zeros("I", sources.shape[0])
    cdef int32_t[::1] count = counts
    cdef uint32_t[::1] into = made
    cdef Py_ssize_t row, k
    for row in range(first.shape[0] - 1):
        count[row] = first[row + 1] - first[row]
        for k in range(first[row], first[row + 1]):
            into[k] = <uint32_t>(row - sources[k])
    return counts, made


def rounded(const uint32_t[::1] bits):
    """Floats, as their bits, with half of those of the fraction cut off."""
    made = zeros("I", bits.shape[0])
    cdef uint32_t[::1] into = made
    cdef Py_ssize_t i
    for i in range(bits.shape[0]):
        into[i] = bits[i] & <uint32_t>0xFFFFF000
    return made
