"""Arrays that grow, in C: of any items, and of numbers.

Owns: how the core's arrays get their memory. Nothing here touches an object.

May not know: what is in them. Its neighbours are `_sched` and `_trace`, which are built with it.
"""

from libc.stdint cimport int32_t
from libc.string cimport memmove

cdef extern from *:
    """
    #include <stdint.h>
    #include <stdlib.h>
    #include <string.h>
    #ifdef __linux__
    #include <sys/mman.h>
    #define FLOWY_MAPPED ((size_t)1 << 20)
    #else
    #define FLOWY_MAPPED SIZE_MAX
    #endif

    /* An array of a megabyte or more has a mapping of its own: to grow it moves pages instead of bytes,
       and leaves no holes in the heap, which were a fifth of the driver's memory. */
    static void *flowy_resize(void *old, size_t had, size_t wanted)
    {
    #ifdef __linux__
        void *made;
        if (wanted >= FLOWY_MAPPED) {
            if (had >= FLOWY_MAPPED)
                made = mremap(old, had, wanted, MREMAP_MAYMOVE);
            else
                made = mmap(NULL, wanted, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (made == MAP_FAILED)
                return NULL;
            if (had < FLOWY_MAPPED) {
                if (had)
                    memcpy(made, old, had);
                free(old);
            }
            return made;
        }
    #endif
        return realloc(old, wanted);
    }

    static void flowy_dispose(void *old, size_t had)
    {
    #ifdef __linux__
        if (had >= FLOWY_MAPPED) {
            munmap(old, had);
            return;
        }
    #endif
        free(old);
    }
    """
    void *resize "flowy_resize"(void *old, size_t had, size_t wanted) noexcept nogil
    size_t FLOWY_MAPPED
    void dispose "flowy_dispose"(void *old, size_t had) noexcept nogil


cdef inline int grow(void **array, Py_ssize_t *cap, Py_ssize_t wanted, size_t size) except -1:
    """Room for `wanted` items of `size` bytes, which are more than there is room for."""
    cdef void *made = resize(array[0], cap[0] * size, wanted * size)
    if made == NULL:
        raise MemoryError()
    array[0] = made
    cap[0] = wanted
    return 0


cdef struct Ints:
    int32_t *v
    Py_ssize_t n
    Py_ssize_t cap
    Py_ssize_t head          # first index in use, for vectors used as queues


cdef inline int push(Ints *a, int32_t x) except -1:
    if a.n == a.cap:
        if a.head > 64 and a.head * 2 > a.n:     # a queue: reuse the room of what was taken
            memmove(a.v, a.v + a.head, (a.n - a.head) * sizeof(int32_t))
            a.n -= a.head
            a.head = 0
        else:
            grow(<void **>&a.v, &a.cap, a.cap + (a.cap >> 1) + 8, sizeof(int32_t))
    a.v[a.n] = x
    a.n += 1
    return 0


cdef inline void fit(Ints *a) noexcept nogil:
    """Give the room back that a vector does not use."""
    cdef void *made
    if a.n and a.cap - a.n > 64 and a.cap * sizeof(int32_t) < FLOWY_MAPPED:
        made = resize(a.v, a.cap * sizeof(int32_t), a.n * sizeof(int32_t))
        if made != NULL:
            a.v = <int32_t *>made
            a.cap = a.n


cdef inline Py_ssize_t count(Ints *a) noexcept nogil:
    return a.n - a.head


cdef inline int32_t shift_out(Ints *a) noexcept nogil:
    cdef int32_t x = a.v[a.head]
    a.head += 1
    if a.head == a.n:
        a.head = a.n = 0
    return x


cdef inline void discard(Ints *a) noexcept nogil:
    dispose(a.v, a.cap * sizeof(int32_t))
    a.v = NULL
    a.n = a.cap = a.head = 0
