# cython: language_level=3, auto_pickle=False, autotestdict=False
"""The end of a driver, noticed by its workers whatever they are doing.

Owns: how a worker tells that its driver is gone, and a thread below Python that ends the worker then,
also while an activity holds the GIL for minutes (a regular expression, a sum over 10**8 digits).

    driver gone ─> the watcher in Python tidies up and leaves, with its process group
                └> `seconds` later, if it could not: SIGKILL to the group, from here

Two things tell: the end of the lifeline, a pipe that nobody writes to; and the process's own end, for
a copy of the lifeline may live on in a process that the driver forked.

May not know: what there is to tidy up. Its neighbour is `local.worker`.
"""

from libc.stdlib cimport free, malloc

cdef extern from * nogil:
    """
    #include <poll.h>
    #include <pthread.h>
    #include <signal.h>
    #include <sys/stat.h>
    #include <time.h>
    #include <unistd.h>
    #ifdef __linux__
    #include <sys/syscall.h>
    #endif
    #if defined(__linux__) && defined(SYS_pidfd_open)
    #define flowy_pidfd(pid) ((int)syscall(SYS_pidfd_open, (pid), 0))
    #else
    #define flowy_pidfd(pid) (-1)
    #endif
    """
    ctypedef int pid_t
    ctypedef unsigned long pthread_t
    ctypedef struct sigset_t:
        pass
    ctypedef struct pthread_attr_t:
        pass
    struct pollfd:
        int fd
        short events
        short revents
    struct stat_t "stat":
        unsigned long st_ino
    struct timespec:
        long tv_sec
        long tv_nsec
    enum:
        POLLIN
        POLLHUP
        SIGKILL
        SIG_SETMASK
        PTHREAD_CREATE_DETACHED
    int poll(pollfd *descriptors, unsigned long n, int timeout)
    int fstat(int descriptor, stat_t *found)
    int nanosleep(const timespec *wanted, timespec *left)
    pid_t getpid()
    pid_t getppid()
    pid_t getpgrp()
    int kill(pid_t pid, int number)
    int close(int descriptor)
    int flowy_pidfd(pid_t pid)
    int sigfillset(sigset_t *signals)
    int pthread_sigmask(int how, const sigset_t *signals, sigset_t *before)
    int pthread_attr_init(pthread_attr_t *attributes)
    int pthread_attr_setdetachstate(pthread_attr_t *attributes, int state)
    int pthread_attr_destroy(pthread_attr_t *attributes)
    int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                       void *(*start)(void *) noexcept nogil, void *argument)


cdef struct Watch:
    int lifeline
    pid_t driver
    double seconds


cdef void wait_until_gone(int lifeline, pid_t driver) noexcept nogil:
    """Come back when the driver is gone. An activity may have closed descriptors that aren't its own,
    and they may be other files now: a lifeline that is not the same any more tells nothing."""
    cdef pollfd watched[2]
    cdef stat_t first, now
    cdef int own = flowy_pidfd(driver)
    fstat(lifeline, &first)
    watched[0].fd = lifeline
    watched[1].fd = own
    watched[0].events = watched[1].events = POLLIN
    while getppid() == driver:
        watched[0].revents = watched[1].revents = 0
        poll(watched, 2, -1 if own >= 0 else 500)
        if watched[0].revents:
            if fstat(lifeline, &now) == 0 and now.st_ino == first.st_ino:
                break
            watched[0].fd = -1
        if watched[1].revents:
            watched[1].fd = own = -1             # `getppid` has the last word
    if own >= 0:
        close(own)


cdef void *end_with_driver(void *given) noexcept nogil:
    cdef Watch watch = (<Watch *>given)[0]
    cdef timespec patience
    free(given)
    wait_until_gone(watch.lifeline, watch.driver)
    patience.tv_sec = <long>watch.seconds
    patience.tv_nsec = <long>((watch.seconds - patience.tv_sec) * 1e9)
    nanosleep(&patience, NULL)
    kill(0 if getpgrp() == getpid() else getpid(), SIGKILL)
    return NULL


def wait_for_end(int lifeline, pid_t driver):
    """Wait until the driver, the parent of this process, is gone."""
    with nogil:
        wait_until_gone(lifeline, driver)


def guard(int lifeline, pid_t driver, double seconds):
    """From now on kill this process and its group when the driver has been gone for so many seconds.

    Raises:
        OSError: there can be no further thread.
    """
    cdef pthread_t thread
    cdef pthread_attr_t attributes
    cdef sigset_t every, before
    cdef Watch *watch = <Watch *>malloc(sizeof(Watch))
    if watch == NULL:
        raise MemoryError
    watch.lifeline, watch.driver, watch.seconds = lifeline, driver, seconds
    pthread_attr_init(&attributes)
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED)
    sigfillset(&every)                           # signals are for the threads of Python
    pthread_sigmask(SIG_SETMASK, &every, &before)
    error = pthread_create(&thread, &attributes, end_with_driver, watch)
    pthread_sigmask(SIG_SETMASK, &before, NULL)
    pthread_attr_destroy(&attributes)
    if error:
        free(watch)
        raise OSError(error, "no thread to watch the driver")
