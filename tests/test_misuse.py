"""Every misuse gives an error that names the culprit and the way out, and breaks nothing.

Owns: one test for each way to use flowy wrongly that was thought of, before a run, in workflow
code, on the way to a worker and on the way back; and what a failing activity looks like from
workflow code on each executor.

May not know: how a misuse is found. Each test looks at the class of the error and at the names in
its message, then runs a good workflow on the same warm engine (`still_good`).
Its neighbours are test_result.py (results that behave) and test_leftovers.py (nothing stays).
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import flowy

Body = Callable[["Open"], Any]


class Open:
    """A workflow that lets a function, its argument, be its code."""

    def __init__(self, square: Callable[..., Any], do: Callable[..., Any]) -> None:
        self.square = square
        self.do = do

    def __call__(self, body: Body) -> Any:
        return body(self)


def square(n: Any) -> Any:
    return n * n


def do(f: Callable[..., Any], *args: Any) -> Any:
    return f(*args)


def still_good(w: flowy.LocalWorkflow) -> None:
    """The engine runs a good workflow as if nothing had happened."""
    assert w.run(lambda d: [d.square(n) for n in range(5)]) == [0, 1, 4, 9, 16]


def message(error: pytest.ExceptionInfo[BaseException]) -> str:
    """The text of an error, in one line."""
    return " ".join(str(error.value).split())


@pytest.fixture
def w(engine: Callable[..., flowy.LocalWorkflow]) -> Iterator[flowy.LocalWorkflow]:
    """A warm engine of each kind that must still be good after the test."""
    with engine(Open, square=square, do=do) as made:
        yield made
        still_good(made)


@pytest.fixture
def inline(build: Callable[..., flowy.LocalWorkflow]) -> Iterator[flowy.LocalWorkflow]:
    """The same on the inline executor only, for what executors have no part in."""
    with build(Open, "inline", square=square, do=do) as made:
        yield made
        still_good(made)


@pytest.fixture(params=["spawn", "fork"])
def processes(request: pytest.FixtureRequest) -> Iterator[flowy.LocalWorkflow]:
    """The same on worker processes only, for what has to do with pickling."""
    w = flowy.LocalWorkflow(Open, activity_workers=2, start_method=request.param)
    w.conf_activity("square", square)
    w.conf_activity("do", do)
    with w:
        yield w
        still_good(w)


# -- before anything runs ---------------------------------------------------------------------


@pytest.mark.parametrize("activity", [3, None, "square", [square]], ids=repr)
def test_an_activity_that_is_not_callable(activity: Any) -> None:
    w = flowy.LocalWorkflow(Open, executor="inline")
    with pytest.raises(flowy.UsageError, match="callable") as error:
        w.conf_activity("square", activity)
    assert "'square'" in message(error)
    assert repr(activity) in message(error)
    w.conf_activity("square", square)
    w.conf_activity("do", do)
    still_good(w)


@pytest.mark.parametrize("name", ["3x", "a b", "", "a-b", "class", "None", "x.y", 3, None], ids=repr)
def test_a_name_that_is_no_identifier(name: Any, inline: flowy.LocalWorkflow) -> None:
    with pytest.raises(flowy.UsageError) as error:
        inline.conf_activity(name, square)
    assert repr(name) in message(error)
    with pytest.raises(flowy.UsageError) as error:
        inline.conf_workflow(name, Open)
    assert repr(name) in message(error)


def test_a_name_configured_twice(inline: flowy.LocalWorkflow) -> None:
    with pytest.raises(flowy.UsageError, match="'square'"):
        inline.conf_activity("square", do)
    with pytest.raises(flowy.UsageError, match="'square'"):
        inline.conf_workflow("square", Open)
    assert inline.run(lambda d: d.square(3)) == 9


def test_a_missing_dependency(build: Any) -> None:
    w = build(Open, square=square)
    with pytest.raises(flowy.UsageError) as error:
        w.run(lambda d: d.square(3))
    assert "'do'" in message(error)
    assert "Open(" in message(error)
    assert "square" in message(error)
    w.conf_activity("do", do)
    still_good(w)


def test_an_unknown_dependency(build: Any) -> None:
    with pytest.raises(flowy.UsageError) as error:
        build(Open, square=square, do=do, cube=square).run(lambda d: d.square(3))
    assert "'cube'" in message(error)
    assert "Open(" in message(error)


def test_unknown_and_missing_dependencies_are_told_together(build: Any) -> None:
    """A misspelt name is both; nothing has run by then."""
    ran: list[int] = []
    with pytest.raises(flowy.UsageError) as error:
        build(Open, sqare=ran.append, do=do).run(ran.append)
    assert "sqare" in message(error)
    assert "square" in message(error)
    assert ran == []


def test_a_sub_workflow_whose_dependencies_do_not_match(build: Any) -> None:
    w = build(Open, square=square)
    w.conf_workflow("do", build(Open, square=square))
    with pytest.raises(flowy.UsageError) as error:
        w.run(lambda d: d.square(3))
    assert "'do'" in message(error)


def test_a_factory_that_takes_any_dependency_is_fine(build: Any) -> None:
    def factory(**dependencies: Callable[..., Any]) -> Callable[..., Any]:
        return lambda n: dependencies["square"](n)

    assert build(factory, square=square, other=do).run(3) == 9


def test_a_dependency_with_a_default_may_be_left_out(build: Any) -> None:
    def factory(square: Callable[..., Any], do: Any = None) -> Callable[..., Any]:
        return lambda n: (square(n), do)

    assert build(factory, square=square).run(3) == (9, None)


@pytest.mark.parametrize("factory", [3, None, "Open"], ids=repr)
def test_a_factory_that_is_not_callable(factory: Any) -> None:
    with pytest.raises(flowy.UsageError, match="callable") as error:
        flowy.LocalWorkflow(factory, executor="inline")
    assert repr(factory) in message(error)


def test_a_factory_whose_product_is_not_callable(build: Any) -> None:
    with pytest.raises(flowy.UsageError, match="callable"):
        build(lambda square: 3, square=square).run(3)


@pytest.mark.parametrize(
    ("options", "culprit"),
    [
        ({"executor": "proceses"}, "proceses"),
        ({"executor": 3}, "3"),
        ({"start_method": "spwan"}, "spwan"),
        ({"activity_workers": 0}, "0"),
        ({"activity_workers": -1}, "-1"),
        ({"activity_workers": "two"}, "two"),
    ],
    ids=str,
)
def test_an_option_of_the_engine_that_makes_no_sense(options: dict[str, Any], culprit: str) -> None:
    with pytest.raises(flowy.UsageError) as error:
        flowy.LocalWorkflow(Open, **options)
    assert culprit in message(error)
    assert next(iter(options)) in message(error)


def test_an_unknown_option_of_an_activity(inline: flowy.LocalWorkflow) -> None:
    with pytest.raises(flowy.UsageError, match="retyr"):
        inline.conf_activity("other", square, retyr=(0,))
    assert inline.run(lambda d: d.square(3)) == 9


def test_a_run_option_misspelt(inline: flowy.LocalWorkflow) -> None:
    with pytest.raises(flowy.UsageError) as error:
        inline.run(lambda d: d.square(3), _wiat=True)
    assert "_wiat" in message(error)
    assert "_wait" in message(error)
    with pytest.raises(flowy.UsageError, match="_wiat"):
        inline.start(lambda d: d.square(3), _wiat=True)
    assert inline.run(lambda d: d.square(3), _wait=True) == 9


# -- results where they don't belong ----------------------------------------------------------

TOUCHES: dict[str, Callable[[Any], Any]] = {
    "an operator": lambda r: r + 1,
    "bool": bool,
    "len": len,
    "str": str,
    "wait": flowy.wait,
    "wait on a list": lambda r: flowy.wait([r]),
    "an attribute": lambda r: r.real,
    "hash": hash,
}


@pytest.mark.parametrize("known", [False, True], ids=["unknown", "known"])
@pytest.mark.parametrize("touch", TOUCHES)
def test_a_result_used_after_its_run_ended(touch: str, known: bool, inline: flowy.LocalWorkflow) -> None:
    kept: list[Any] = []

    def body(d: Open) -> None:
        kept.append(d.square(3))
        if known:
            flowy.wait(kept[0])

    inline.run(body)
    with pytest.raises(flowy.UsageError, match="square-0-0") as error:
        TOUCHES[touch](kept[0])
    assert "ended" in message(error)
    assert isinstance(repr(kept[0]), str)


@pytest.mark.parametrize("known", [False, True], ids=["unknown", "known"])
def test_a_result_used_in_another_run(known: bool, inline: flowy.LocalWorkflow) -> None:
    """As a look, as an argument, as a returned value; in the same thread, the other run living."""
    kept: list[Any] = []
    told: list[str] = []

    class Other:
        def __init__(self, square: Callable[..., Any]) -> None:
            self.square = square

        def __call__(self, use: Callable[..., Any]) -> Any:
            with pytest.raises(flowy.UsageError) as error:
                use(self.square, kept[0])
            told.append(message(error))

    class Main:
        def __init__(self, square: Callable[..., Any], other: Callable[..., Any]) -> None:
            self.square = square
            self.other = other

        def __call__(self) -> Any:
            kept.append(self.square(7))
            if known:
                flowy.wait(kept[0])
            for use in (
                lambda square, r: r + 1,
                lambda square, r: flowy.wait(r),
                lambda square, r: square(r),
                lambda square, r: square([{"a": r}]),
                lambda square, r: flowy.wait(flowy.first(r)),
            ):
                flowy.wait(self.other(use))
            return kept[0]

    other = flowy.LocalWorkflow(Other, executor="inline")
    other.conf_activity("square", square)
    w = flowy.LocalWorkflow(Main, executor="inline")
    w.conf_activity("square", square)
    w.conf_workflow("other", other)
    assert w.run() == 49
    assert len(told) == 5
    for text in told:
        assert "square-0-0" in text
        assert "run" in text


@pytest.mark.parametrize("known", [False, True], ids=["unknown", "known"])
@pytest.mark.parametrize("touch", TOUCHES)
def test_a_result_used_in_another_thread(touch: str, known: bool, inline: flowy.LocalWorkflow) -> None:
    caught: list[BaseException] = []

    def elsewhere(r: Any) -> None:
        try:
            TOUCHES[touch](r)
        except BaseException as error:
            caught.append(error)

    def body(d: Open) -> Any:
        r = d.square(3)
        if known:
            flowy.wait(r)
        thread = threading.Thread(target=elsewhere, args=(r,))
        thread.start()
        thread.join()
        return r

    assert inline.run(body) == 9
    [error] = caught
    assert isinstance(error, flowy.UsageError)
    assert "square-0-0" in str(error)
    assert "thread" in str(error)


def test_a_dependency_called_in_another_thread(inline: flowy.LocalWorkflow) -> None:
    caught: list[BaseException] = []

    def elsewhere(d: Open) -> None:
        try:
            d.square(3)
        except BaseException as error:
            caught.append(error)

    def body(d: Open) -> None:
        thread = threading.Thread(target=elsewhere, args=(d,))
        thread.start()
        thread.join()

    inline.run(body)
    [error] = caught
    assert isinstance(error, flowy.UsageError)
    assert "square" in str(error)
    assert "thread" in str(error)


def test_a_dependency_called_after_its_run_ended(inline: flowy.LocalWorkflow) -> None:
    kept: list[Open] = []
    inline.run(kept.append)
    with pytest.raises(flowy.UsageError, match="square"):
        kept[0].square(3)


@pytest.mark.parametrize(
    "argument", [lambda d: d.do, lambda d: [d.do], lambda d: {"a": (1, d.do)}], ids=["", "[]", "{}"]
)
def test_a_dependency_as_an_argument(
    argument: Callable[[Open], Any], inline: flowy.LocalWorkflow
) -> None:
    with pytest.raises(flowy.UsageError) as error:
        inline.run(lambda d: d.square(argument(d)))
    assert "'do'" in message(error)
    assert "square" in message(error)


def test_a_workflow_that_waits_for_nothing(w: flowy.LocalWorkflow) -> None:
    with pytest.raises(flowy.UsageError, match="never"):
        w.run(lambda d: flowy.wait(flowy.signal("never")))
    with pytest.raises(flowy.UsageError, match="never"):
        w.run(lambda d: [d.square(1) + 1, flowy.signal("never")])


def test_a_sub_workflow_that_waits_for_nothing(build: Any) -> None:
    w = build(Open, square=square)
    w.conf_workflow("do", lambda: lambda: flowy.wait(flowy.signal("never")))
    with w:
        with pytest.raises(flowy.UsageError, match="never"):
            w.run(lambda d: d.do() + 1)
        assert w.run(lambda d: d.square(3)) == 9


def test_a_workflow_that_waits_for_a_signal_gets_it(w: flowy.LocalWorkflow) -> None:
    """The way out of the above: `start` it, and send the signal."""
    run = w.start(lambda d: d.square(flowy.signal("number")) + 1)
    run.signal("number", 3)
    assert run.result(timeout=60) == 10


# -- arguments --------------------------------------------------------------------------------


class Db:
    def __init__(self) -> None:
        self.lock = threading.Lock()


@dataclass
class Holder:
    held: Any


class Box:
    """Nothing that is looked into."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (lambda: (({"db": Db()},), {}), "args[0]['db'].lock"),
        (lambda: ((1, [2, (3, threading.Lock())]), {}), "args[1][1][1]"),
        (lambda: ((Holder(Box([Db()])),), {}), "args[0].held.inner[0].lock"),
        (lambda: ((), {"n": {"db": Db()}}), "kwargs['n']['db'].lock"),
    ],
    ids=["in a dict", "in a tuple", "in a dataclass", "in a keyword argument"],
)
def test_an_argument_that_can_not_be_pickled(
    arguments: Callable[[], Any], path: str, processes: flowy.LocalWorkflow
) -> None:
    def body(d: Open) -> Any:
        args, kwargs = arguments()
        before, bad, after = d.square(2), d.square(*args, **kwargs), d.square(3)
        with pytest.raises(flowy.TaskUsageError) as error:
            flowy.wait(bad)
        return before + after, error.value

    total, error = processes.run(body)
    assert total == 13
    assert isinstance(error, flowy.TaskError)
    assert isinstance(error, flowy.UsageError)
    assert (error.key, error.name, error.attempt) == ("square-1-0", "square", 0)
    for part in (path, "square-1-0", "lock"):
        assert part in str(error)


def test_an_activity_that_can_not_be_pickled() -> None:
    lock = threading.Lock()

    def locked(n: int) -> int:
        with lock:
            return n

    w = flowy.LocalWorkflow(lambda locked: locked, activity_workers=2)
    w.conf_activity("locked", locked)
    for _ in range(2):
        with pytest.raises(flowy.UsageError) as error:
            w.run(1)
        for part in ("'locked'", "locked.lock", "threads"):
            assert part in message(error)


@pytest.mark.parametrize("known", [False, True], ids=["unknown", "known"])
def test_a_result_hidden_in_an_opaque_object(known: bool, processes: flowy.LocalWorkflow) -> None:
    def body(d: Open) -> None:
        r = d.square(2)
        if known:
            flowy.wait(r)
        flowy.wait(d.square([Box(r)]))

    with pytest.raises(flowy.UsageError) as error:
        processes.run(body)
    for part in ("args[0][0].inner", "square-0-0"):
        assert part in message(error)


def _own_list() -> Any:
    itself: list[Any] = [1]
    itself.append(itself)
    return itself


def _own_dict() -> Any:
    itself: dict[str, Any] = {}
    itself["a"] = [itself]
    return itself


def _own_dataclass() -> Any:
    itself = Holder(None)
    itself.held = (itself,)
    return itself


@pytest.mark.parametrize("make", [_own_list, _own_dict, _own_dataclass])
def test_a_container_that_contains_itself(make: Callable[[], Any], w: flowy.LocalWorkflow) -> None:
    with pytest.raises(flowy.UsageError, match=r"itself|themselves") as error:
        w.run(lambda d: d.do(do, make()))
    for part in ("do-0-0", "args[1]"):
        assert part in message(error)


@pytest.mark.parametrize("make", [_own_list, _own_dict, _own_dataclass])
def test_waiting_for_a_container_that_contains_itself(
    make: Callable[[], Any], inline: flowy.LocalWorkflow
) -> None:
    def holding(d: Open) -> Any:
        itself = make()
        held = itself if isinstance(itself, list) else [itself]
        held.append(d.square(2))
        return held

    with pytest.raises(flowy.UsageError, match=r"itself|themselves"):
        inline.run(lambda d: flowy.wait(holding(d)))
    with pytest.raises(flowy.UsageError, match=r"itself|themselves"):
        inline.run(holding)


def test_a_container_that_is_held_twice_is_fine(w: flowy.LocalWorkflow) -> None:
    def body(d: Open) -> Any:
        shared = [d.square(2)]
        return d.do(list, [shared, shared, {"a": shared}])

    assert w.run(body) == [[4], [4], {"a": [4]}]


def nested(depth: int, core: Any = 0) -> Any:
    value = core
    for _ in range(depth):
        value = [value]
    return value


def depth_of(value: Any) -> int:
    depth = 0
    while isinstance(value, list):
        [value] = value
        depth += 1
    return depth


@pytest.mark.parametrize("hidden", [False, True], ids=["in lists", "in objects"])
def test_containers_nested_too_deep(hidden: bool, processes: flowy.LocalWorkflow) -> None:
    def body(d: Open) -> Any:
        value = nested(5000)
        return d.do(depth_of, Box(value) if hidden else value)

    with pytest.raises(flowy.UsageError) as error:
        processes.run(body)
    assert "args[1]" in message(error)
    assert "do-0-0" in message(error)
    assert len(message(error)) < 20_000


def test_a_result_in_containers_nested_too_deep(processes: flowy.LocalWorkflow) -> None:
    with pytest.raises(flowy.UsageError, match=r"args\[1\]"):
        processes.run(lambda d: d.do(depth_of, nested(5000, d.square(2))))


def test_a_value_nested_too_deep(processes: flowy.LocalWorkflow) -> None:
    with pytest.raises(flowy.UsageError, match="do-0-0"):
        processes.run(lambda d: d.do(nested, 5000))


def test_containers_nested_deep_are_fine(w: flowy.LocalWorkflow) -> None:
    assert w.run(lambda d: d.do(depth_of, nested(300, d.square(2)))) == 300
    assert depth_of(w.run(lambda d: d.do(nested, 250))) == 250


@pytest.mark.parametrize("executor", ["inline", "threads"])
def test_containers_nested_too_deep_do_not_crash_other_executors(build: Any, executor: str) -> None:
    with build(Open, executor, square=square, do=do) as w:
        try:
            told = str(w.run(lambda d: d.do(depth_of, nested(5000))))
        except flowy.UsageError as error:
            told = str(error)
        assert told == "5000" or "args[1]" in told
        still_good(w)


# -- values, exceptions -----------------------------------------------------------------------


def make_db() -> Any:
    return {"db": Db()}


def test_a_value_that_can_not_be_pickled(processes: flowy.LocalWorkflow) -> None:
    def body(d: Open) -> Any:
        good, bad = d.square(2), d.do(make_db)
        with pytest.raises(flowy.TaskUsageError) as error:
            flowy.wait(bad)
        return good, error.value

    good, error = processes.run(body)
    assert good == 4
    assert (error.key, error.name) == ("do-0-0", "do")
    assert "['db'].lock" in str(error)


class Locked(Exception):
    """Can't be pickled."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


class Picky(Exception):
    """Can be pickled, but not brought back: its `__init__` wants more than its `args`."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}")


def raise_locked() -> None:
    raise Locked("a locked error")


def raise_picky() -> None:
    raise Picky("this", "that")


@pytest.mark.parametrize(
    ("activity", "kind", "text"),
    [(raise_locked, "Locked", "a locked error"), (raise_picky, "Picky", "this and that")],
)
def test_an_exception_that_can_not_be_brought_back(
    activity: Callable[..., Any], kind: str, text: str, w: flowy.LocalWorkflow
) -> None:
    """It fails its task like any other; what can't come is the `__cause__`, not its story."""

    def body(d: Open) -> Any:
        with pytest.raises(flowy.TaskError) as error:
            flowy.wait(d.do(activity))
        return d.square(3), error.value

    nine, error = w.run(body)
    assert nine == 9
    assert not isinstance(error, flowy.UsageError)
    assert error.key == "do-0-0"
    for part in (kind, text, activity.__name__):
        assert part in error.remote_traceback
    assert kind in str(error)
    assert text in str(error)


def generate() -> Iterator[int]:
    yield 1


def test_a_generator_returned_by_an_activity(w: flowy.LocalWorkflow) -> None:
    with pytest.raises(flowy.TaskUsageError, match="generator") as error:
        w.run(lambda d: d.do(generate) or 1)
    assert "do-0-0" in message(error)
    assert "list" in message(error)


class GeneratorWorkflow:
    def __init__(self, square: Callable[..., Any]) -> None:
        self.square = square

    def __call__(self, n: int) -> Any:
        yield self.square(n)


def test_a_generator_workflow(engine: Any) -> None:
    with pytest.raises(flowy.UsageError, match="generator") as error:
        engine(GeneratorWorkflow, square=square).run(3)
    assert "GeneratorWorkflow" in message(error)


def test_a_generator_returned_by_a_workflow(inline: flowy.LocalWorkflow) -> None:
    with pytest.raises(flowy.UsageError, match="generator"):
        inline.run(lambda d: (d.square(n) for n in range(3)))


# -- an activity that fails, on each executor -------------------------------------------------


def bad(n: int) -> None:
    raise ValueError(f"bad {n}")


def test_a_failed_task_that_is_handled(w: flowy.LocalWorkflow) -> None:
    def body(d: Open) -> Any:
        good, failed = d.square(3), d.do(bad, 7)
        with pytest.raises(flowy.TaskError) as error:
            failed + 1
        return good, error.value

    good, error = w.run(body)
    assert good == 9
    assert type(error) is flowy.TaskError
    assert (error.key, error.name, error.attempt) == ("do-0-0", "do", 0)
    assert "ValueError: bad 7" in error.remote_traceback
    assert "in bad" in error.remote_traceback
    assert "do-0-0" in str(error)
    assert isinstance(error.__cause__, ValueError)
    assert error.__cause__.args == ("bad 7",)


def test_a_failed_task_that_is_not_handled_fails_the_run(w: flowy.LocalWorkflow) -> None:
    with pytest.raises(flowy.TaskError, match="bad 7"):
        w.run(lambda d: d.do(bad, 7) + 1)
    with pytest.raises(flowy.TaskError, match="bad 8"):
        w.run(lambda d: {"deep": [d.do(bad, 8)]})
    run = w.start(lambda d: d.do(bad, 9))
    with pytest.raises(flowy.TaskError, match="bad 9"):
        run.result(timeout=60)
    assert run.status == "failed"


def test_an_error_of_the_workflow_itself(w: flowy.LocalWorkflow) -> None:
    """Comes to the caller as it is, as in plain Python."""

    def body(d: Open) -> Any:
        d.square(2) + 1
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        w.run(body)
    with pytest.raises(TypeError):
        w.run()
    with pytest.raises(TypeError, match="extra"):
        w.run(lambda d: 1, extra=2)


@pytest.mark.parametrize("leave", [SystemExit, KeyboardInterrupt, GeneratorExit])
@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_an_exit_raised_by_an_activity_fails_its_task_only(
    leave: type[BaseException], executor: str, build: Any
) -> None:
    def body(d: Open) -> Any:
        with pytest.raises(flowy.TaskError, match=leave.__name__) as error:
            flowy.wait(d.do(_raise, leave))
        return d.square(3), error.value.key

    with build(Open, executor, square=square, do=do) as w:
        assert w.run(body) == (9, "do-0-0")
        still_good(w)


def test_an_interrupt_of_an_inline_activity_is_one_of_the_program(
    inline: flowy.LocalWorkflow,
) -> None:
    """There the activity runs where `run` was called, so Control-C can't be told apart."""
    with pytest.raises(KeyboardInterrupt):
        inline.run(lambda d: d.do(_raise, KeyboardInterrupt) or 1)
    with pytest.raises(flowy.TaskError, match="SystemExit"):
        inline.run(lambda d: d.do(_raise, SystemExit) or 1)


def _raise(kind: type[BaseException]) -> None:
    raise kind(3)


def test_sys_exit_in_an_activity_fails_its_task_only(w: flowy.LocalWorkflow) -> None:
    with pytest.raises(flowy.TaskError, match="SystemExit"):
        w.run(lambda d: d.do(sys.exit, 3) or 1)


def test_a_worker_that_dies_fails_its_task_only(processes: flowy.LocalWorkflow) -> None:
    def body(d: Open) -> Any:
        others = [d.square(n) for n in range(10)]
        with pytest.raises(flowy.TaskError) as error:
            flowy.wait(d.do(os._exit, 3))
        return others, error.value.key, d.square(7)

    assert processes.run(body) == ([n * n for n in range(10)], "do-0-0", 49)


def test_an_unlucky_worker_s_other_tasks_are_not_lost(
    processes: flowy.LocalWorkflow, tmp_path: Any
) -> None:
    """A task that kills its worker the first time only may be run again, or fail: not hang."""
    once = str(tmp_path / "once")

    def body(d: Open) -> Any:
        try:
            return flowy.wait(d.do(_die_once, once))
        except flowy.TaskError as error:
            return error.key

    assert processes.run(body) in ("survived", "do-0-0")


def _die_once(path: str) -> str:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return "survived"
    os._exit(3)
