"""What tests of workflows need: a local Amazon SWF, and histories made by hand.

Owns only the names. What is behind them is imported when it is asked for, because the local service
needs the extra `swf` (boto3), which flowy itself does not.
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
