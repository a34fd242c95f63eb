"""Large values: results, arguments, one array for many tasks, and values from task to task.

Owns: what is 1 MB here and what is 100 MB. Bytes and numpy arrays are apart, because they may go
other ways; where numpy is missing its part is skipped.

May know flowy by its public names only. Its neighbours: `engine` has the small tasks, `workflows`
the shapes.
"""

from __future__ import annotations

import importlib.util
from typing import Any, ClassVar

from benchmarks import tasks
from benchmarks.engine import Shape
from benchmarks.workflows import Arguments, Relay, Share, Sizes, Warm

COUNT = 200
LARGE = 100 * tasks.MEGABYTE
USERS = 20  # an engine that copies the array for each may need so many times its size
MAKERS = {"bytes": tasks.make_bytes, "array": tasks.make_array}


def maker_of(kind: str) -> Any:
    if kind == "array" and importlib.util.find_spec("numpy") is None:
        raise NotImplementedError("numpy is not installed")
    return MAKERS[kind]


class Payload(Shape):
    param_names: ClassVar[list[str]] = ["kind"]
    params: ClassVar[list[list[Any]]] = [["bytes", "array"]]


class Results(Payload):
    def setup(self, kind: str) -> None:
        self.use(Warm(Sizes, (2,), make=maker_of(kind)), COUNT)

    def time_results(self, kind: str) -> None:
        """200 results of 1 MB, looked at."""
        self.go(*self.args)


class Inputs(Payload):
    def setup(self, kind: str) -> None:
        make = maker_of(kind)
        self.use(Warm(Arguments, (make, 2), size_of=tasks.size_of), make, COUNT)

    def time_arguments(self, kind: str) -> None:
        """200 arguments of 1 MB, made in the driver."""
        self.go(*self.args)


class Handed(Payload):
    def setup(self, kind: str) -> None:
        self.use(Warm(Relay, (2,), make=maker_of(kind), size_of=tasks.size_of), COUNT)

    def time_relay(self, kind: str) -> None:
        """200 values of 1 MB, each from one task to the next."""
        self.go(*self.args)


class Shared(Payload):
    repeat = (1, 3, 20.0)
    params: ClassVar[list[list[Any]]] = [["array"]]

    def setup(self, kind: str) -> None:
        maker_of(kind)
        engine = Warm(Share, (tasks.make_array(1), 2), item_of=tasks.item_of)
        self.use(engine, tasks.make_array(7, LARGE), USERS)

    def time_one_array_to_many(self, kind: str) -> None:
        """One array of 100 MB, an argument of 20 tasks."""
        self.go(*self.args)
