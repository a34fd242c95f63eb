from typing import final

@final
class Waits:
    name: str
    line: int
    times: int
    alone: int
    seconds: float

@final
class Tracer:
    names: list[str]
    runs: list[tuple[str, str, int]]
    aliases: list[tuple[int, ...] | None]
    errors: dict[int, str]
    values: dict[int, str]
    earlier: dict[int, tuple[tuple[int, float, float, float, str, str], ...]]
    places: list[str]
    def __len__(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    def waited(self) -> list[tuple[str, int, int, int, float]]: ...
    def add_run(self, id: str, name: str, parent: int) -> int: ...
    def columns(self) -> dict[str, bytes | bytearray]: ...
