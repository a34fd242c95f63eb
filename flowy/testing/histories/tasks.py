"""Activities, timers, markers and Lambda functions in a history.

Owns: which of them are open, and the events that each may have next.

May not know: the execution itself or others. Its neighbour `ledger` adds the events and puts the
decision tasks between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowy.testing.histories.ledger import Ledger, Seconds, Type, seconds, type_of

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass
class Task:
    """An open activity or Lambda function, by event ids; 0 for what has not been."""

    scheduled: int
    started: int = 0
    cancel_requested: int = 0


class Tasks(Ledger):
    """A history with what a workflow has done by others under its own name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._activities: dict[str, Task] = {}
        self._lambdas: dict[str, Task] = {}
        self._timers: dict[str, int] = {}

    def activity_scheduled(
        self,
        activity_id: str,
        activity_type: Type = "Activity",
        input: str | None = None,
        *,
        control: str | None = None,
        task_list: str | None = None,
        priority: int | None = None,
        schedule_to_close_timeout: Seconds = "NONE",
        schedule_to_start_timeout: Seconds = "NONE",
        start_to_close_timeout: Seconds = "NONE",
        heartbeat_timeout: Seconds = "NONE",
    ) -> Self:
        """A decision scheduled an activity."""
        self._not_open("activity_scheduled", "activity", activity_id, self._activities)
        completed = self._decided("activity_scheduled")
        self._activities[activity_id] = Task(
            self._add(
                "ActivityTaskScheduled",
                activityType=type_of(activity_type),
                activityId=activity_id,
                input=input,
                control=control,
                scheduleToStartTimeout=seconds(schedule_to_start_timeout),
                scheduleToCloseTimeout=seconds(schedule_to_close_timeout),
                startToCloseTimeout=seconds(start_to_close_timeout),
                taskList={"name": self.task_list if task_list is None else task_list},
                taskPriority=seconds(priority),
                decisionTaskCompletedEventId=completed,
                heartbeatTimeout=seconds(heartbeat_timeout),
            )
        )
        return self

    def schedule_activity_failed(
        self,
        activity_id: str,
        activity_type: Type = "Activity",
        cause: str = "ACTIVITY_TYPE_DOES_NOT_EXIST",
    ) -> Self:
        """The service refused to schedule an activity."""
        return self._part_failed(
            "schedule_activity_failed",
            "ScheduleActivityTaskFailed",
            activityType=type_of(activity_type),
            activityId=activity_id,
            cause=cause,
        )

    def activity_started(self, activity_id: str, identity: str | None = "worker") -> Self:
        """A worker took the activity. The events of its end imply this."""
        where = "activity_started"
        task = self._open(where, "activity", activity_id, self._activities)
        if task.started:
            self._refuse(where, f"activity {activity_id!r} was started in event {task.started}")
        self._begin(where)
        task.started = self._add(
            "ActivityTaskStarted", identity=identity, scheduledEventId=task.scheduled
        )
        return self

    def activity_completed(self, activity_id: str, result: str | None = None) -> Self:
        """The activity returned."""
        return self._end_activity(
            "activity_completed", "ActivityTaskCompleted", activity_id, result=result
        )

    def activity_failed(
        self, activity_id: str, reason: str | None = None, details: str | None = None
    ) -> Self:
        """The activity failed."""
        return self._end_activity(
            "activity_failed", "ActivityTaskFailed", activity_id, reason=reason, details=details
        )

    def activity_timed_out(
        self,
        activity_id: str,
        timeout_type: str = "START_TO_CLOSE",
        details: str | None = None,
    ) -> Self:
        """The activity was not done in time.

        Args:
            timeout_type: `"SCHEDULE_TO_START"` (must not have started), `"SCHEDULE_TO_CLOSE"` (started
                or not), `"START_TO_CLOSE"` or `"HEARTBEAT"` (have it started, if it is not).
            details: of its last heartbeat.
        """
        where = "activity_timed_out"
        task = self._open(where, "activity", activity_id, self._activities)
        if timeout_type == "SCHEDULE_TO_START" and task.started:
            self._refuse(where, f"activity {activity_id!r} was started in event {task.started}")
        return self._end_activity(
            where,
            "ActivityTaskTimedOut",
            activity_id,
            start=timeout_type in ("START_TO_CLOSE", "HEARTBEAT"),
            timeoutType=timeout_type,
            details=details,
        )

    def activity_cancel_requested(self, activity_id: str) -> Self:
        """A decision asked to cancel the activity; its worker hears of it at the next heartbeat.

        One that no worker has taken is canceled by the service itself: follow with
        `activity_canceled`.
        """
        task = self._open("activity_cancel_requested", "activity", activity_id, self._activities)
        completed = self._decided("activity_cancel_requested")
        task.cancel_requested = self._add(
            "ActivityTaskCancelRequested",
            decisionTaskCompletedEventId=completed,
            activityId=activity_id,
        )
        return self

    def request_cancel_activity_failed(
        self, activity_id: str, cause: str = "ACTIVITY_ID_UNKNOWN"
    ) -> Self:
        """The service refused to cancel an activity."""
        where = "request_cancel_activity_failed"
        if cause == "ACTIVITY_ID_UNKNOWN":
            self._not_open(where, "activity", activity_id, self._activities)
        return self._part_failed(
            where, "RequestCancelActivityTaskFailed", activityId=activity_id, cause=cause
        )

    def activity_canceled(self, activity_id: str, details: str | None = None) -> Self:
        """The activity was canceled: by its worker, or by the service if none had it yet."""
        where = "activity_canceled"
        task = self._open(where, "activity", activity_id, self._activities)
        if not task.cancel_requested:
            self._refuse(where, f"nobody asked to cancel activity {activity_id!r}")
        attributes = {
            "details": details,
            "scheduledEventId": task.scheduled,
            "startedEventId": task.started,
            "latestCancelRequestedEventId": task.cancel_requested,
        }
        if task.started:
            self._news(where, "ActivityTaskCanceled", **attributes)
        else:
            self._decided(where)
            self._add("ActivityTaskCanceled", **attributes)
            self._owed = True
        del self._activities[activity_id]
        return self

    def _end_activity(
        self, where: str, event_type: str, activity_id: str, start: bool = True, **attributes: Any
    ) -> Self:
        task = self._open(where, "activity", activity_id, self._activities)
        if start and not task.started:
            self.activity_started(activity_id)
        self._news(
            where,
            event_type,
            **attributes,
            scheduledEventId=task.scheduled,
            startedEventId=task.started,
        )
        del self._activities[activity_id]
        return self

    def timer_started(self, timer_id: str, delay: int = 1, control: str | None = None) -> Self:
        """A decision started a timer of `delay` whole seconds."""
        self._not_open("timer_started", "timer", timer_id, self._timers)
        completed = self._decided("timer_started")
        self._timers[timer_id] = self._add(
            "TimerStarted",
            timerId=timer_id,
            control=control,
            startToFireTimeout=str(delay),
            decisionTaskCompletedEventId=completed,
        )
        return self

    def start_timer_failed(self, timer_id: str, cause: str = "TIMER_ID_ALREADY_IN_USE") -> Self:
        """The service refused to start a timer."""
        if cause == "TIMER_ID_ALREADY_IN_USE":
            self._open("start_timer_failed", "timer", timer_id, self._timers)
        return self._part_failed("start_timer_failed", "StartTimerFailed", timerId=timer_id, cause=cause)

    def timer_fired(self, timer_id: str) -> Self:
        """The timer fired."""
        started = self._open("timer_fired", "timer", timer_id, self._timers)
        self._news("timer_fired", "TimerFired", timerId=timer_id, startedEventId=started)
        del self._timers[timer_id]
        return self

    def timer_canceled(self, timer_id: str) -> Self:
        """A decision canceled the timer."""
        started = self._open("timer_canceled", "timer", timer_id, self._timers)
        completed = self._decided("timer_canceled")
        self._add(
            "TimerCanceled",
            timerId=timer_id,
            startedEventId=started,
            decisionTaskCompletedEventId=completed,
        )
        del self._timers[timer_id]
        return self

    def cancel_timer_failed(self, timer_id: str, cause: str = "TIMER_ID_UNKNOWN") -> Self:
        """The service refused to cancel a timer."""
        if cause == "TIMER_ID_UNKNOWN":
            self._not_open("cancel_timer_failed", "timer", timer_id, self._timers)
        return self._part_failed(
            "cancel_timer_failed", "CancelTimerFailed", timerId=timer_id, cause=cause
        )

    def marker_recorded(self, marker_name: str, details: str | None = None) -> Self:
        """A decision recorded a marker."""
        completed = self._decided("marker_recorded")
        self._add(
            "MarkerRecorded",
            markerName=marker_name,
            details=details,
            decisionTaskCompletedEventId=completed,
        )
        return self

    def record_marker_failed(self, marker_name: str, cause: str = "OPERATION_NOT_PERMITTED") -> Self:
        """The service refused to record a marker."""
        return self._part_failed(
            "record_marker_failed", "RecordMarkerFailed", markerName=marker_name, cause=cause
        )
