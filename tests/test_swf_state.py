"""The local SWF's state: what `on_change` tells adds up to what `dump` gives, and `load` loses nothing.

Owns: a client that throws the service away before each call and goes on with what was kept of it. All
scenarios are played through it, so whatever they prove holds over restarts as well.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("botocore", reason="the local SWF needs botocore, of the extra `swf`")

from swf_direct import Direct, Kept
from swf_scenarios import SCENARIOS, Bench

from flowy import UsageError
from flowy.testing.swf import Fault, Limits, Service, VirtualClock
from flowy.testing.swf.service import Changes


class Restarting:
    """A service that is made anew, from what was kept of it, before each call."""

    def __init__(self, limits: Limits, permits: Any) -> None:
        self.clock = VirtualClock(auto_advance=False)
        self.kept = Kept()
        self._make: Callable[[VirtualClock], Service] = lambda clock: Service(
            clock=clock, limits=limits, permits=permits, on_change=self.kept
        )
        self.service = self._make(self.clock)

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        before = self.service.dump()
        state = json.loads(json.dumps({"time": before["time"], **self.kept.state()}))
        self.clock = VirtualClock(before["time"], auto_advance=False)
        self.service = self._make(self.clock)
        self.service.load(state)
        after = self.service.dump()
        for dump in (before, after):
            dump["records"] = {table: rows for table, rows in dump["records"].items() if rows}
        assert after == before
        assert before == state
        return self.service.call(operation, request)

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)


# A restart fills the buckets.
STORIES = [name for name in SCENARIOS if "rates" not in name and not name.endswith("open_things")]


@pytest.mark.parametrize("name", STORIES)
def test_a_scenario_over_restarts(name: str) -> None:
    scenario = SCENARIOS[name]
    permits = (lambda action, domain: action not in scenario.denied) if scenario.denied else None
    restarting = Restarting(scenario.limits, permits)
    scenario.play(Bench(Direct(restarting), restarting.advance))


def test_messages_under_way_are_kept() -> None:
    delays = {"start child": 5.0, "child started": 5.0, "child closed": 7.0, "activity task": 3.0}
    kept = Kept()

    def make(clock: VirtualClock) -> Service:
        return Service(
            clock=clock,
            limits=Limits.unthrottled(),
            on_change=kept,
            delays=lambda kind, said: delays.get(kind, 0.0),
        )

    clock = VirtualClock(auto_advance=False)
    bench = Bench(Direct(make(clock)), clock.advance)
    bench.set_up()
    run_id = bench.start("parent")
    start = {"workflowId": "child", "workflowType": {"name": "flow", "version": "1"}}
    attributes = {"startChildWorkflowExecutionDecisionAttributes": start}
    bench.decide({"decisionType": "StartChildWorkflowExecution", **attributes})
    assert list(kept.records["messages"]) != []
    clock = VirtualClock(clock.now(), auto_advance=False)
    service = make(clock)
    service.load({"time": clock.now(), **kept.state()})
    bench.client = Direct(service)
    clock.advance(5)
    assert bench.waiting("Decision") == 1  # the child has started, its parent does not know
    bench.latest("parent", run_id, "StartChildWorkflowExecutionInitiated")
    clock.advance(5)
    bench.latest("parent", run_id, "ChildWorkflowExecutionStarted", "DecisionTaskScheduled")
    assert kept.records["messages"] == {}


def test_a_change_costs_what_changed() -> None:
    kept = Kept()
    clock = VirtualClock(auto_advance=False)
    service = Service(clock=clock, limits=Limits.unthrottled(), on_change=kept)
    bench = Bench(Direct(service), clock.advance)
    bench.set_up()
    bench.start()
    marker = {
        "decisionType": "RecordMarker",
        "recordMarkerDecisionAttributes": {"markerName": "m"},
    }
    costs = []
    for _ in range(200):
        before = kept.written
        bench.decide(*[marker] * 20)
        bench.here("SignalWorkflowExecution", workflowId="one", signalName="s")
        costs.append(kept.written - before)
    assert len(set(costs)) == 1
    assert service.dump()["events"] == kept.events


def test_nothing_is_answered_that_is_not_kept() -> None:
    kept = Kept()
    full = False

    def keep(changes: Changes) -> None:
        if full:
            raise OSError("no space left")
        kept(changes)

    clock = VirtualClock(auto_advance=False)
    service = Service(clock=clock, limits=Limits.unthrottled(), on_change=keep)
    bench = Bench(Direct(service), clock.advance)
    bench.set_up()
    run_id = bench.start()
    bench.decide()
    polling = threading.Event()
    ends: list[Any] = []

    def there() -> bool:
        polling.set()
        return True

    def poll() -> None:
        request = {"domain": bench.domain, "taskList": {"name": "x"}}
        try:
            ends.append(service.call("PollForActivityTask", request, alive=there))
        except Fault as fault:
            ends.append((fault.kind, fault.status))

    poller = threading.Thread(target=poll)
    poller.start()
    assert polling.wait(30)
    full = True
    for kind in ("InternalFailure", "ServiceUnavailable", "ServiceUnavailable"):
        with bench.refused(kind, "no space left"):
            bench.here("SignalWorkflowExecution", workflowId="one", signalName="s")
    with bench.refused("ServiceUnavailable"):
        bench.history("one", run_id)  # which has what is not kept
    poller.join(30)
    assert ends == [("ServiceUnavailable", 503)]
    full = False
    with bench.refused("ServiceUnavailable"):  # or there would be a hole
        bench.here("SignalWorkflowExecution", workflowId="one", signalName="s")
    service.load({"time": clock.now(), **kept.state()})
    assert len(bench.history("one", run_id)) == 4
    bench.here("SignalWorkflowExecution", workflowId="one", signalName="s")
    assert len(kept.events[run_id]) == 6


def test_a_state_is_not_loaded_under_polls() -> None:
    service = Service(clock=VirtualClock(auto_advance=False), limits=Limits.unthrottled())
    bench = Bench(Direct(service), lambda seconds: None)
    bench.set_up()
    state = service.dump()

    def gone() -> bool:
        with pytest.raises(UsageError, match="being polled"):
            service.load(state)
        return False

    request = {"domain": bench.domain, "taskList": {"name": "x"}}
    assert service.call("PollForActivityTask", request, alive=gone) == {"startedEventId": 0}
    service.load(state)
