"""Markers in a history of Amazon SWF: what they keep, and what they mean for a run.

Owns: how the answers of side effects and the changes of the code come back from markers, before the code
asks for them; and the meanings of the two types of events that are about markers.

May not know: how markers are asked for (`asking`). Its other neighbour is `meanings`.
"""

from __future__ import annotations

import logging
from typing import Any

from flowy.errors import UsageError
from flowy.swf import decisions as d
from flowy.swf import serialization
from flowy.swf.asking import CHANGE, NOTE
from flowy.swf.execution import Execution
from flowy.swf.history import Event

__all__ = ["know_marker", "marker", "marker_refused"]

log = logging.getLogger("flowy.swf")

Says = dict[str, Any]


def know_marker(x: Execution, says: Says) -> None:
    """What a marker keeps, before the code asks for it.

    Raises:
        UsageError: it can't be read.
    """
    name = str(says.get("markerName") or "")
    ordinal = _ordinal(name)
    if ordinal is not None:
        try:
            value = serialization.loads(x.open_text(says.get("details") or "null"))
        except (ValueError, KeyError) as error:
            raise UsageError(f"the marker {name!r} can't be read: {error}") from error
        x.notes.setdefault(ordinal, value)
    elif name.startswith(CHANGE):
        x.changes.add(str(says.get("details") or name[len(CHANGE) :]))


def _ordinal(name: str) -> int | None:
    """The number of the side effect that a marker keeps."""
    number = name[len(NOTE) :] if name.startswith(NOTE) else ""
    return int(number) if number.isdecimal() else None


def marker(x: Execution, id: int, says: Says, event: Event) -> None:
    """A marker was recorded."""
    name = str(says.get("markerName") or "")
    ordinal = _ordinal(name)
    if x.ledger.expects(d.MARKER, name):
        x.ledger.recorded(d.MARKER, name, id).state = d.OVER
    elif ordinal is not None and ordinal >= x.notes_seen:
        what = f"the history has the side effect {ordinal}, which the code did not ask for"
        raise x.diverged(what, None, id)


def marker_refused(x: Execution, id: int, says: Says, event: Event) -> None:
    """A marker could not be recorded."""
    name, cause = str(says.get("markerName") or ""), says.get("cause")
    x.ledger.recorded(d.MARKER, name, id).state = d.OVER
    log.error(
        "%s: SWF refused the marker %s (%s): if this run is rebuilt, its side effect runs again",
        x.workflow_id,
        name,
        cause,
    )
