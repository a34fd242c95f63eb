"""What SWF limits, with AWS's figures: sizes, counts and rates.

Owns: `Limits`, which is settable, and the token buckets that throttle.

May not know: what is limited. The lengths that are written in botocore's model are not here: they are
checked as the model says (see `model`).

Where the figures come from: "Amazon SWF quotas" of the developer guide; a page of history is what the
real service was seen to give.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType


@dataclass(frozen=True)
class Bucket:
    """How many at once, and how many more each second."""

    burst: float
    refill: float


_OPERATIONS = {
    "CountClosedWorkflowExecutions": Bucket(2000, 6),
    "CountOpenWorkflowExecutions": Bucket(2000, 6),
    "CountPendingActivityTasks": Bucket(200, 6),
    "CountPendingDecisionTasks": Bucket(200, 6),
    "DeleteActivityType": Bucket(200, 6),
    "DeleteWorkflowType": Bucket(200, 6),
    "DeprecateActivityType": Bucket(200, 6),
    "DeprecateDomain": Bucket(100, 6),
    "DeprecateWorkflowType": Bucket(200, 6),
    "DescribeActivityType": Bucket(2000, 6),
    "DescribeDomain": Bucket(200, 6),
    "DescribeWorkflowExecution": Bucket(2000, 6),
    "DescribeWorkflowType": Bucket(2000, 6),
    "GetWorkflowExecutionHistory": Bucket(2000, 60),
    "ListActivityTypes": Bucket(200, 6),
    "ListClosedWorkflowExecutions": Bucket(200, 6),
    "ListDomains": Bucket(100, 6),
    "ListOpenWorkflowExecutions": Bucket(200, 48),
    "ListTagsForResource": Bucket(50, 30),
    "ListWorkflowTypes": Bucket(200, 6),
    "PollForActivityTask": Bucket(2000, 200),
    "PollForDecisionTask": Bucket(2000, 200),
    "RecordActivityTaskHeartbeat": Bucket(2000, 160),
    "RegisterActivityType": Bucket(200, 60),
    "RegisterDomain": Bucket(100, 6),
    "RegisterWorkflowType": Bucket(200, 60),
    "RequestCancelWorkflowExecution": Bucket(2000, 30),
    "RespondActivityTaskCanceled": Bucket(2000, 200),
    "RespondActivityTaskCompleted": Bucket(2000, 200),
    "RespondActivityTaskFailed": Bucket(2000, 200),
    "RespondDecisionTaskCompleted": Bucket(2000, 200),
    "SignalWorkflowExecution": Bucket(2000, 30),
    "StartWorkflowExecution": Bucket(2000, 200),
    "TagResource": Bucket(50, 30),
    "TerminateWorkflowExecution": Bucket(2000, 60),
    "UndeprecateActivityType": Bucket(200, 6),
    "UndeprecateDomain": Bucket(100, 6),
    "UndeprecateWorkflowType": Bucket(200, 6),
    "UntagResource": Bucket(50, 30),
}
_DECISIONS = {
    "RequestCancelExternalWorkflowExecution": Bucket(1200, 120),
    "ScheduleActivityTask": Bucket(1000, 200),
    "SignalExternalWorkflowExecution": Bucket(1200, 120),
    "StartChildWorkflowExecution": Bucket(500, 12),
    "StartTimer": Bucket(2000, 200),
}
_NO_BUCKETS: Mapping[str, Bucket] = MappingProxyType({})


@dataclass(frozen=True)
class Limits:
    """What the service allows. `dataclasses.replace` makes others.

    Sizes are in bytes, times in seconds. An operation or decision without a bucket is not throttled.
    """

    domains: int = 100
    types: int = 10_000
    """Activity types of a domain, and as many workflow types; deprecated ones count."""
    open_executions: int = 100_000
    """Of a domain, children included."""
    events: int = 25_000
    """Of an execution; with the last one it is terminated."""
    open_activities: int = 1_000
    open_timers: int = 1_000
    open_children: int = 1_000
    pollers: int = 1_000
    """That wait at one task list."""
    history_page: int = 100
    """Events given at once, whatever was asked for."""
    list_page: int = 100
    """Types, domains or executions given at once, whatever was asked for."""
    page_token_life: float = 24 * 3600.0
    long_poll: float = 60.0
    execution_time: float = 365 * 86400.0
    """The longest execution start-to-close time-out: a year."""
    request: int = 1_048_576
    """Bytes of a request: 1 MB. The faces that see bytes check it."""
    resource_tags: int = 50
    operations: Mapping[str, Bucket] = field(default_factory=lambda: MappingProxyType(_OPERATIONS))
    decisions: Mapping[str, Bucket] = field(default_factory=lambda: MappingProxyType(_DECISIONS))
    history_of_workflow: Bucket | None = Bucket(400, 200)
    """GetWorkflowExecutionHistory, for each workflow id."""

    @classmethod
    def unthrottled(cls) -> Limits:
        """AWS's sizes and counts, and as many requests a second as come."""
        return cls().without_throttling()

    def without_throttling(self) -> Limits:
        """These, without any rate."""
        return replace(self, operations=_NO_BUCKETS, decisions=_NO_BUCKETS, history_of_workflow=None)


class Throttle:
    """Token buckets by name, filled as time passes."""

    def __init__(self, buckets: Mapping[str, Bucket]) -> None:
        self._buckets = buckets
        self._levels: dict[str, tuple[float, float]] = {}  # name: (tokens, at this time)

    def take(self, name: str, now: float, *, each: str = "") -> bool:
        """Take a token from the bucket `name`, or from that of `each` in it; False if it is empty."""
        bucket = self._buckets.get(name)
        if bucket is None:
            return True
        key = name + each
        level, then = self._levels.get(key, (bucket.burst, now))
        level = min(bucket.burst, level + (now - then) * bucket.refill)
        if level < 1.0:
            self._levels[key] = level, now
            return False
        self._levels[key] = level - 1.0, now
        return True
