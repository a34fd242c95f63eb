"""Heartbeats of a task that runs here, and when its time is up.

Owns: `Beats`, which tells SWF that a task is alive and hears whether it was cancelled or is over;
`Terms`, the time-outs of one task; `Overdue`, the clock that speaks while SWF does not.

May not know: processes, or how an activity is run. Its neighbours are `activities`, which has one for
each task, and `slots`, which ends what is over.

Who ends a task? SWF does, and says so to whoever beats for it. That is the rule, as only SWF knows for
sure. A clock of ours speaks when SWF can't be heard: a time-out has passed since SWF last said that the
task runs, and the question after its end got no answer. Then SWF has given the task up, and perhaps to
another worker. A task does not bring its time-outs, and a workflow may give others than the type has:
those of a task that runs for long are read from its history, once; until then the type's count. An
answer of SWF after an end that we thought to know shows that it was none.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from flowy import activity as running
from flowy.swf.history import attributes_of, time_of
from flowy.swf.performing import details_text

__all__ = ["Beats", "Overdue", "Terms", "registered", "terms_of"]

log = logging.getLogger("flowy.swf")

BEAT = 10.0
"""Seconds between heartbeats where nothing is known of a heartbeat time-out: so cancels arrive."""
LATE = 1.0
"""Seconds after which SWF has surely noticed that a time is up."""
ANSWER = 5.0
"""Seconds that SWF has to say whether a task runs on, when its time should be up."""
LEARN = 30.0
"""Seconds after which a task's own time-outs are read, or half of the shortest that its type has: tasks
that take less cost no read of their history."""
JOIN = 2.0
"""Seconds that the answer of a task waits for a heartbeat under way."""


class Terms(NamedTuple):
    """After how many seconds SWF ends a task; infinity: it does not."""

    close: float = math.inf
    """Since its start."""
    heartbeat: float = math.inf
    """Since the last heartbeat, or its start."""


NONE = Terms()


def registered(defaults: Mapping[str, Any]) -> Terms:
    """What holds for tasks of a type with these defaults, if workflows say nothing else."""
    start, close, heartbeat = (
        _seconds(defaults.get(f"defaultTask{name}Timeout"))
        for name in ("StartToClose", "ScheduleToClose", "Heartbeat")
    )
    return Terms(min(start, close), heartbeat)


def terms_of(events: Iterable[dict[str, Any]], started: int) -> Terms | None:
    """What holds for the task that was started by event `started`, from events in any order, no more of
    which are read than needed; None: they don't say."""
    scheduled: dict[int, dict[str, Any]] = {}
    start = None
    for event in events:
        if event["eventType"] == "ActivityTaskScheduled":
            scheduled[event["eventId"]] = event
        elif event["eventId"] == started:
            start = event
        if start is None:
            continue
        asked = scheduled.get(attributes_of(start)["scheduledEventId"])
        if asked is not None:
            said = attributes_of(asked)
            waited = time_of(start) - time_of(asked)
            close = _seconds(said.get("scheduleToCloseTimeout")) - waited
            return Terms(
                min(_seconds(said.get("startToCloseTimeout")), close),
                _seconds(said.get("heartbeatTimeout")),
            )
    return None


def _seconds(said: Any) -> float:
    return math.inf if said in (None, "NONE", "0") else float(said)


class Overdue:
    """When a task must be over for SWF, as far as can be known here. Times are of the monotonic clock.

    Args:
        terms: those of its type, or its own, which may be put in later.
        now: when it was started, or later.
    """

    def __init__(self, terms: Terms, now: float) -> None:
        self.terms = terms
        self._began = self._heard = now
        self._asked: float | None = None
        """When SWF was first asked since it last answered. A process that was stopped for a while has
        heard nothing either, and is no reason to give up."""

    def asked(self, now: float) -> None:
        """SWF is asked."""
        if self._asked is None:
            self._asked = now

    def heard(self, now: float) -> None:
        """SWF has said that it runs."""
        self._heard = now
        self._asked = None

    def ask(self, now: float) -> float:
        """When SWF should be asked because of an end of it that is still to come."""
        end = self._began + self.terms.close + LATE
        return end if end > now else math.inf

    def why(self, now: float) -> str:
        """Which time is up, for people; '' if none is, or SWF may still say that it is not."""
        if self._asked is None or now <= self._asked + ANSWER:
            return ""
        silent = now - self._heard
        told = f"and Amazon SWF has not answered for {silent:.0f} s"
        # An answer from behind the end has shown that it was none.
        end = self._began + self.terms.close + LATE
        if self._heard < end and now > end + ANSWER:
            return f"its time is up, {self.terms.close:g} s from its start, {told}"
        if silent > self.terms.heartbeat + LATE + ANSWER:
            return f"its heartbeat time-out of {self.terms.heartbeat:g} s is over, {told}"
        return ""


class Beats:
    """Tells SWF that a task is alive, from a thread of its own, and hears whether it was cancelled.

    Args:
        interval: seconds between two heartbeats.
        terms: the time-outs of its type.
        learn: reads its own time-outs; None: it can't tell. Called at most once with success.
        name: of the task, for the log.
    """

    def __init__(
        self,
        client: Any,
        token: str,
        interval: float,
        terms: Terms = NONE,
        learn: Callable[[], Terms | None] | None = None,
        name: str = "a task",
    ) -> None:
        self.why = ""
        """Why it is over, for people; '' while it is not."""
        self._stopped = False
        self._client = client
        self._token = token
        self._interval = interval
        self._details: str | None = None
        self._ended = False
        self._wake = threading.Event()
        now = time.monotonic()
        self._overdue = Overdue(terms, now)
        self._learn = learn
        self._name = name
        self._learn_at = now + min(LEARN, min(terms) / 2)
        self._learning: threading.Thread | None = None
        self._thread = threading.Thread(target=self._run, name="flowy-swf-heartbeat", daemon=True)
        self._thread.start()

    def __enter__(self) -> Beats:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    @property
    def over(self) -> bool:
        """The task is over for SWF: it timed out, or its workflow has ended. Once it is, it stays so."""
        if not self.why:
            self.why = self._overdue.why(time.monotonic())
        return bool(self.why)

    @property
    def cancelled(self) -> bool:
        """A cancel was requested, or the task is over for SWF."""
        return self._stopped or self.over

    def beat(self, details: Any) -> None:
        """What `flowy.heartbeat` does."""
        if details is not None:
            self.note(details_text(details))
        if self.cancelled:
            raise running.cancelled()

    def note(self, details: str) -> None:
        """What the next heartbeat says."""
        self._details = details

    def last(self) -> Any:
        """SWF does not tell an attempt of the one before."""
        return None

    def end(self) -> None:
        """The task is not running any more. A heartbeat under way is waited for, so that it does not
        come behind the answer, but no longer than a moment: it may be on its way to nowhere."""
        self._ended = True
        self._wake.set()
        self._thread.join(JOIN)

    # ------------------------------------------------------------ the thread

    def _pause(self) -> float:
        now = time.monotonic()
        interval = min(self._interval, self._overdue.terms.heartbeat / 3)
        return max(0.0, min(interval, self._overdue.ask(now) - now))

    def _run(self) -> None:
        while not (self._wake.wait(self._pause()) and self._ended):
            self._wake.clear()
            if not self._beat():
                return
            self._learn_in_time()

    def _beat(self) -> bool:
        """Send one; whether there is any sense in further ones."""
        from flowy.swf.client import Refused, Unreachable

        self._overdue.asked(time.monotonic())
        try:
            said = self._client.record_activity_task_heartbeat(self._token, self._details)
        except Refused as error:
            if self._ended:
                return False  # it came behind the answer
            if error.kind == "UnknownResourceFault":
                log.warning("%s runs here, and is over for SWF: %s", self._name, str(error))
                self.why = self.why or "it is over for SWF"
                return False
            log.error("a heartbeat of %s was refused: %s", self._name, str(error))
        except Unreachable as error:
            log.warning("a heartbeat of %s did not arrive: %s", self._name, str(error))
        except Exception:
            log.exception("a heartbeat of %s could not be sent", self._name)
        else:
            self._overdue.heard(time.monotonic())
            self._stopped = self._stopped or bool(said.get("cancelRequested"))
        return not self._ended

    def _learn_in_time(self) -> None:
        """Have the task's own time-outs read if it runs for long: by another thread, as that may take
        its time, and heartbeats have none."""
        if self._learn is None or time.monotonic() < self._learn_at:
            return
        if self._learning is None or not self._learning.is_alive():
            self._learning = threading.Thread(
                target=self._read, args=(self._learn,), name="flowy-swf-terms", daemon=True
            )
            self._learning.start()

    def _read(self, learn: Callable[[], Terms | None]) -> None:
        from flowy.swf.client import Refused, Unreachable

        try:
            terms = learn()
        except Unreachable as error:
            log.info("the time-outs of %s could not be read for now: %s", self._name, str(error))
            return
        except Refused as error:
            told = "the time-outs of %s can't be read, those of its type count: %s"
            log.info(told, self._name, str(error))
        except Exception:
            log.exception("the time-outs of %s could not be read, those of its type count", self._name)
        else:
            self._overdue.terms = terms or self._overdue.terms
        self._learn = None
        self._wake.set()  # its next heartbeat may be due sooner
