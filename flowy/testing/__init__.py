"""The test kit: what workflows are developed and tested against.

Owns only the names: `LocalSWF`, a local Amazon SWF (see `swf`), and `HistoryBuilder`, histories made
by hand (see `histories`). What is behind them is imported when it is asked for, because the local
service needs the extra `swf` (boto3), which flowy itself does not.

May not know: the engines; they don't know it either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowy.testing.histories import HistoryBuilder
    from flowy.testing.swf import LocalSWF

__all__ = ["HistoryBuilder", "LocalSWF"]


def __getattr__(name: str) -> Any:
    if name == "HistoryBuilder":
        from flowy.testing.histories import HistoryBuilder

        return HistoryBuilder
    if name == "LocalSWF":
        from flowy.testing.swf import LocalSWF

        return LocalSWF
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
