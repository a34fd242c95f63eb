from collections.abc import Callable, Mapping
from functools import partial
from mmap import mmap
from typing import Any

_Spent = dict[int, tuple[int, float]]

class HandedOn(partial[Any]): ...

def run_calls(
    functions: Mapping[int, Callable[..., Any]],
    work: Any,
    flush: Callable[[int, list[Any], dict[int, Any], _Spent, int, bytes], None] | None,
    flush_after: float,
    through: tuple[type[BaseException], ...],
    hand_on: Callable[[Any], tuple[Any, Any]],
    status: bytearray | memoryview | mmap | None = None,
) -> tuple[int, list[Any], dict[int, Any], _Spent, int, bytes]: ...
