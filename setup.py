"""Builds the compiled extensions of flowy; all else is in pyproject.toml.

`FLOWY_DEBUG=1` builds it with line tracing (slow; for coverage of the `.pyx`). To go there and
back, `touch setup.py` before `make`.
"""

import os

from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = os.environ.get("FLOWY_DEBUG") == "1"

setup(
    ext_modules=cythonize(
        [
            Extension(
                f"flowy.{name}",
                [f"flowy/{name}.pyx"],
                define_macros=[("CYTHON_TRACE_NOGIL", "1")] if DEBUG else [],
            )
            for name in ("_sched", "_trace", "_passes", "_loop", "_lifeline", "_swallowed", "_replay")
        ],
        compiler_directives={"language_level": 3, "linetrace": DEBUG},
        force=DEBUG,
    )
)
