# cython: language_level=3, auto_pickle=False, autotestdict=False
"""A signal whose exception Python swallowed comes again.

Owns: `Again`, which stands in for `sys.unraisablehook` while flowy attends to signals. What is raised
in a finalizer, in the callback of a weak reference or of the collector goes to that hook and nowhere
else: a Control-C that comes at such a moment would be lost, with a message at best.

It is compiled because a handler written in Python runs as soon as any Python code does. In a hook
written in Python it would raise inside the hook, to be swallowed once more; from here the signal takes
effect in the code that the finalizer had interrupted.

May not know: what a signal means. Its neighbour is `local.interrupts`.
"""

cimport cython

cdef extern from "Python.h":
    int PyErr_SetInterruptEx(int number)


@cython.final
cdef class Again:
    """The hook. `before` is the one it stands in for."""

    cdef public object before
    cdef public int raised
    cdef public bint swallowed
    cdef tuple _kinds

    def __init__(self, *kinds):
        self._kinds = kinds

    def __call__(self, unraisable):
        if self.raised and unraisable.exc_type in self._kinds:
            self.swallowed = True
            PyErr_SetInterruptEx(self.raised)
            self.raised = 0
        else:
            self.before(unraisable)
