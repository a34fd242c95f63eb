from collections.abc import Callable
from typing import Any, final

@final
class Again:
    before: Callable[[Any], Any]
    raised: int
    swallowed: bool
    def __init__(self, *kinds: type[BaseException]) -> None: ...
    def __call__(self, unraisable: Any) -> None: ...
