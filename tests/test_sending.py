"""Signals from one run to another, changes of the code, and when to continue, on the local engine.

Owns: what `send_signal`, `changed` and `continue_suggested` mean without Amazon SWF.

May not know: how runs are driven. What they mean on SWF is in `test_swf_decide`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import flowy

Body = Callable[..., Any]


def listener() -> Body:
    def body(*given: Any) -> Any:
        return [*given, flowy.wait(flowy.signal("hello"))]

    return body


def parent(body: Callable[[Any, Any], Any], **options: Any) -> flowy.LocalWorkflow:
    def factory(sub: Any, inc: Any) -> Body:
        return lambda: body(sub, inc)

    made = flowy.LocalWorkflow(factory, executor="inline", **options)
    made.conf_workflow("sub", flowy.LocalWorkflow(listener, executor="inline"))
    made.conf_activity("inc", lambda n: n + 1)
    return made


def test_a_sub_workflow_gets_a_signal() -> None:
    def body(sub: Any, inc: Any) -> Any:
        child = sub()
        sent = flowy.send_signal(child, "hello", [inc(1)])
        return [flowy.wait(child), flowy.wait(sent)]

    assert parent(body).run() == [[[2]], None]


def test_a_signal_waits_until_the_sub_workflow_has_what_it_needs() -> None:
    def body(sub: Any, inc: Any) -> Any:
        children = [sub(inc(inc(n))) for n in range(20)]
        for n, child in enumerate(children):
            flowy.send_signal(child, "hello", n)
        return flowy.wait(children)

    assert parent(body).run() == [[n + 2, n] for n in range(20)]


@pytest.mark.parametrize("to", ["over", "activity", "elsewhere"])
def test_a_signal_that_nobody_can_get_fails(to: str) -> None:
    def body(sub: Any, inc: Any) -> Any:
        child = sub()
        flowy.wait([child, flowy.send_signal(child, "hello")])
        target = {"over": child, "activity": inc(1), "elsewhere": "some id"}[to]
        with pytest.raises(flowy.TaskError, match=r"some id|is over, or no workflow"):
            flowy.wait(flowy.send_signal(target, "hello"))
        return to

    assert parent(body).run() == to


def test_without_an_engine_no_other_run_can_be_reached() -> None:
    with pytest.raises(flowy.UsageError, match="use an engine"):
        flowy.send_signal("x", "hello")


def test_new_runs_are_past_all_changes_and_have_no_reason_to_continue() -> None:
    def body(sub: Any, inc: Any) -> Any:
        return [flowy.changed("a"), flowy.continue_suggested(), flowy.changed("a")]

    assert parent(body).run() == [True, False, True]
    assert flowy.plain(
        lambda inc: lambda: [flowy.changed("a"), flowy.continue_suggested()], inc=abs
    )() == [True, False]
