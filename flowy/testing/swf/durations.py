"""Numbers that SWF takes as text: time-outs and priorities; and the names it forbids.

Owns: their checks, and what a type's defaults add to what was said.

May not know: where they come from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flowy.testing.swf.faults import Fault
from flowy.testing.swf.model import broken, invalid_values

_DIGITS = re.compile(r"[0-9]+")
_IN_NO_ID = re.compile("[/|\u0000-\u001f\u007f-\u009f]")
"""The documents forbid the colon too; the real service was seen to take it in ids."""
_IN_NO_NAME = re.compile(f"{_IN_NO_ID.pattern}|:|^\\s|\\s$")

# Of a decision or a start; the default of the type; the end of the cause if there is neither.
ACTIVITY_SETTINGS = (
    ("scheduleToCloseTimeout", "defaultTaskScheduleToCloseTimeout", "SCHEDULE_TO_CLOSE_TIMEOUT"),
    ("taskList", "defaultTaskList", "TASK_LIST"),
    ("scheduleToStartTimeout", "defaultTaskScheduleToStartTimeout", "SCHEDULE_TO_START_TIMEOUT"),
    ("startToCloseTimeout", "defaultTaskStartToCloseTimeout", "START_TO_CLOSE_TIMEOUT"),
    ("heartbeatTimeout", "defaultTaskHeartbeatTimeout", "HEARTBEAT_TIMEOUT"),
    ("taskPriority", "defaultTaskPriority", ""),
)
WORKFLOW_SETTINGS = (
    (
        "executionStartToCloseTimeout",
        "defaultExecutionStartToCloseTimeout",
        "EXECUTION_START_TO_CLOSE_TIMEOUT",
    ),
    ("taskList", "defaultTaskList", "TASK_LIST"),
    ("taskStartToCloseTimeout", "defaultTaskStartToCloseTimeout", "TASK_START_TO_CLOSE_TIMEOUT"),
    ("childPolicy", "defaultChildPolicy", "CHILD_POLICY"),
    ("taskPriority", "defaultTaskPriority", ""),
    ("lambdaRole", "defaultLambdaRole", ""),
)


class Undefined(Exception):
    """A setting was not given and has no default."""

    def __init__(self, name: str, cause: str) -> None:
        super().__init__(name)
        self.name = name
        self.cause = f"DEFAULT_{cause}_UNDEFINED"


def settle(
    table: tuple[tuple[str, str, str], ...], given: Mapping[str, Any], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """The settings that hold: what is given, else the default of the type.

    Raises:
        Undefined: there is neither, for one that must be.
    """
    settings = {}
    for name, default, cause in table:
        value = given.get(name)
        if value is None:
            value = defaults.get(default)
        if value is not None:
            settings[name] = value
        elif cause:
            raise Undefined(name, cause)
    return settings


def check_text(said: Mapping[str, Any], where: str = "", *, longest: float) -> None:
    """Check the durations, priorities and names among the members of a request or a decision.

    Args:
        longest: seconds that an execution may take.

    Raises:
        Fault: ValidationException.
    """
    problems: list[str] = []
    for name, value in said.items():
        place = f"{where}{name}"
        if isinstance(value, Mapping):
            check_text(value, f"{place}.", longest=longest)
        elif not isinstance(value, str):
            pass
        elif name.endswith("Timeout"):
            _check_duration(name, value, place, problems, longest)
        elif name in ("taskPriority", "defaultTaskPriority"):
            if not re.fullmatch(r"-?[0-9]+", value) or not -(2**31) <= int(value) < 2**31:
                problems.append(broken(value, place, "be an integer from -2147483648 to 2147483647"))
        elif name in _IDS and (_IN_NO_ID.search(value) or value == "arn"):
            problems.append(broken(value, place, "not contain / | or control characters or be arn"))
        elif name in _NAMES and (_IN_NO_NAME.search(value) or value == "arn"):
            rule = "not contain : / | or control characters, begin or end with white space, or be arn"
            problems.append(broken(value, place, rule))
    if problems:
        raise invalid_values(problems)


_IDS = frozenset({"activityId", "timerId", "workflowId"})
_NAMES = frozenset({"domain", "name", "version"})
_ALWAYS_LIMITED = frozenset(
    {
        "executionStartToCloseTimeout",
        "defaultExecutionStartToCloseTimeout",
        "startToFireTimeout",
        "taskListScheduleToStartTimeout",
    }
)


def _check_duration(name: str, value: str, place: str, problems: list[str], longest: float) -> None:
    if value == "NONE" and name not in _ALWAYS_LIMITED:
        return
    if not _DIGITS.fullmatch(value):
        none = "" if name in _ALWAYS_LIMITED else " or NONE"
        problems.append(broken(value, place, f"be a number of seconds from 0 on{none}"))
    elif name.endswith("ecutionStartToCloseTimeout") and int(value) > longest:
        problems.append(broken(value, place, f"have value less than or equal to {longest:.0f}"))


def undefined_fault(missing: Undefined) -> Fault:
    """The fault of a start that lacks a setting."""
    return Fault("DefaultUndefinedFault", f"{missing.name} is not given, and its type has no default")
