from array import array
from collections.abc import Callable
from typing import TypeAlias

_Ints: TypeAlias = array[int] | memoryview
_Floats: TypeAlias = array[float]

def find_disorder(
    first: _Ints, sources: _Ints, after: _Ints, run: _Ints, parents: _Ints
) -> str | None: ...
def span(started: _Floats, ended: _Floats, waited: _Floats, queued: _Floats) -> tuple[float, float]: ...
def by_name(
    names: int,
    name: _Ints,
    started: _Floats,
    ended: _Floats,
    outcome: _Ints,
    attempts: _Ints,
    completed: int,
) -> list[tuple[int, int, int, array[float]]]: ...
def levels(first: _Ints, sources: _Ints, after: _Ints, run: _Ints, parents: _Ints) -> array[int]: ...
def group(
    name: _Ints,
    kind: _Ints,
    level: _Ints,
    run: _Ints,
    first: _Ints,
    sources: _Ints,
    into: _Ints,
    frames: list[int],
    enter: Callable[[], None],
    add: Callable[[int, int], None],
) -> dict[tuple[int, int], int]: ...
def sums(
    groups: int,
    of: _Ints,
    started: _Floats,
    ended: _Floats,
    outcome: _Ints,
    attempts: _Ints,
    opened: int,
    completed: int,
) -> list[tuple[int, float, int, int, int]]: ...
def ticks(at: _Floats, base: _Floats, since: float, tick: float) -> array[int]: ...
def since(at: _Floats, base: _Floats, began: float) -> array[float]: ...
def narrow(values: array[int]) -> array[int]: ...
def differences(values: _Ints) -> array[int]: ...
def back(others: _Ints) -> array[int]: ...
def edges(first: _Ints, sources: _Ints) -> tuple[array[int], array[int]]: ...
def rounded(bits: _Ints) -> array[int]: ...
