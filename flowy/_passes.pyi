from array import array
from collections.abc import Callable
from typing import TypeAlias

Ints: TypeAlias = array[int] | memoryview
Floats: TypeAlias = array[float]

def find_disorder(first: Ints, sources: Ints, after: Ints, run: Ints, parents: Ints) -> str | None: ...
def span(started: Floats, ended: Floats, waited: Floats, queued: Floats) -> tuple[float, float]: ...
def by_name(
    names: int,
    name: Ints,
    started: Floats,
    ended: Floats,
    outcome: Ints,
    attempts: Ints,
    completed: int,
) -> list[tuple[int, int, int, array[float]]]: ...
def levels(first: Ints, sources: Ints, after: Ints, run: Ints, parents: Ints) -> array[int]: ...
def group(
    name: Ints,
    kind: Ints,
    level: Ints,
    run: Ints,
    first: Ints,
    sources: Ints,
    into: Ints,
    frames: list[int],
    enter: Callable[[], None],
    add: Callable[[int, int], None],
) -> dict[tuple[int, int], int]: ...
def sums(
    groups: int,
    of: Ints,
    started: Floats,
    ended: Floats,
    outcome: Ints,
    attempts: Ints,
    opened: int,
    completed: int,
) -> list[tuple[int, float, int, int, int]]: ...
def ticks(at: Floats, base: Floats, since: float, tick: float) -> array[int]: ...
def since(at: Floats, base: Floats, began: float) -> array[float]: ...
def narrow(values: array[int]) -> array[int]: ...
def differences(values: Ints) -> array[int]: ...
def back(others: Ints) -> array[int]: ...
def edges(first: Ints, sources: Ints) -> tuple[array[int], array[int]]: ...
def rounded(bits: Ints) -> array[int]: ...
