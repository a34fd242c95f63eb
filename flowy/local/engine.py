"""The face of the local engine: configure a workflow, run it, keep its workers.

Owns: `LocalWorkflow` and `Run`, the handle of a run in the background; the life of the executor that
runs share; the numbers of functions.

May not know: graphs, pipes, batches. Its neighbour is `driver`, of which each run gets one, in the
thread that runs it.
"""

from __future__ import annotations

import copy
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from flowy import _trace, events
from flowy._record import Record
from flowy.config import (
    Factory,
    Plan,
    check_activity,
    check_factory,
    check_fit,
    check_name,
    describe,
)
from flowy.errors import UsageError
from flowy.local.batch import unpacking
from flowy.local.batching import Batching
from flowy.local.driver import Driver, Execution
from flowy.local.executors import (
    Executor,
    ExecutorChoice,
    check_choice,
    check_workers,
    make_executor,
)
from flowy.local.logs import Habits, OutputChoice
from flowy.local.process import StartMethod
from flowy.local.stopping import attended
from flowy.options import PLAIN, Options, make_options

if TYPE_CHECKING:
    import inspect
    from concurrent import futures

    from flowy.progress import Choice as ProgressChoice
    from flowy.settings import Settings
    from flowy.trace import Trace

log = logging.getLogger("flowy.trace")
TraceChoice = bool | str | os.PathLike[str]

__all__ = ["LocalWorkflow", "Progress", "Run", "Usage"]

Status = Literal["running", "completed", "failed", "cancelled"]


class Progress(Record):
    """How far the calls of one dependency are; failed ones are not counted as done."""

    asked: int
    done: int
    failed: int


class Usage(Record):
    """What a run took: seconds by the clock, seconds in activities over all workers."""

    elapsed: float
    busy: float
    workers: int
    tasks: int


class Asked(Record):
    """What was asked of one run besides its value."""

    wait: bool
    path: str | os.PathLike[str] | None
    """Where its picture goes; None with a tracer: to be opened."""
    tracer: _trace.Tracer | None
    progress: ProgressChoice

    @classmethod
    def check(cls, wait: bool, trace: Any, progress: Any) -> Asked:
        """Raises `UsageError` for what can't be done."""
        if progress is not False:
            from flowy.progress import check_choice

            check_choice(progress)
        if not trace:
            return cls(wait, None, None, progress)
        from flowy import pictures  # only here: most runs have no picture

        path = None if isinstance(trace, bool) else trace
        if path is not None:
            if not isinstance(path, (str, os.PathLike)):
                raise UsageError(f"_trace is True or the name of a file, not {path!r}")
            pictures.check_target(path)
        return cls(wait, path, _trace.Tracer(), progress)


class LocalWorkflow:
    """A workflow and its dependencies, to be run on this machine.

    Args:
        factory: a class, or any callable, that takes the dependencies by name and returns the workflow.
        activity_workers: how many activities run at a time; the CPUs that this process may use if None.
        workflow_workers: accepted for flowy 0.4; sub-workflows need no workers.
        executor: 'processes', 'threads', 'inline' (the same thread, for pdb), or any
            `concurrent.futures.Executor` class, factory or instance.
        start_method: how worker processes start: 'spawn' (a clean interpreter that never imports
            `__main__`), or 'fork'.
        memory_limit: bytes that each worker process may use, or (up to 1) a share of the memory that
            this program may use, for all workers together. A worker that uses most of it is replaced
            between two tasks; one that uses more is killed, and its task fails with `WorkerDied`.
        max_tasks_per_worker: a worker process is replaced after so many tasks.
        logs: whether log records and warnings of worker processes come into this process's logging, as
            far as its levels let them through, with the attributes `flowy_run`, `flowy_task`,
            `flowy_attempt` and `flowy_worker`. A level (30, 'INFO'): only those from it on.
        output: 'lines': what worker processes print comes out whole lines at a time; 'inherit': as
            Python does it.

    Raises:
        UsageError: an argument can't be used.

    As a context manager it keeps the workers between runs. It may be run many times, and from several
    threads.

    >>> class Twice:
    ...     def __init__(self, double): self.double = double
    ...     def __call__(self, n): return self.double(self.double(n))
    >>> w = LocalWorkflow(Twice, executor='inline')
    >>> w.conf_activity('double', lambda n: 2 * n)
    >>> w.run(5)
    20
    """

    def __init__(
        self,
        factory: Factory,
        activity_workers: int | None = None,
        workflow_workers: int | None = None,
        executor: ExecutorChoice = "processes",
        *,
        start_method: StartMethod = "spawn",
        memory_limit: float | None = None,
        max_tasks_per_worker: int | None = None,
        logs: bool | int | str = True,
        output: OutputChoice = "lines",
    ) -> None:
        check_factory(factory)
        check_choice(executor, start_method, activity_workers)
        check_workers(executor, memory_limit, max_tasks_per_worker)
        self._habits = Habits.of(logs, output)
        self._factory = factory
        self._fitting: tuple[str, ...] | None = None  # names that it was found to take
        self._activities: dict[str, Callable[..., Any]] = {}
        self._options: dict[str, Options] = {}
        self._workflows: dict[str, LocalWorkflow] = {}
        self._workers = activity_workers
        self._memory_limit = memory_limit
        self._max_tasks = max_tasks_per_worker
        self._choice = executor
        self._start_method: StartMethod = start_method
        self._lock = threading.Lock()
        self._executor: Executor | None = None
        self._users = 0
        self._batching = Batching()
        self._traced: tuple[_trace.Tracer, int] | None = None
        self._trace: Trace | None = None
        self._undrawn: Exception | None = None
        """Why the picture of the latest run could not be written."""

    def __repr__(self) -> str:
        names = ", ".join([*self._activities, *self._workflows])
        return f"<LocalWorkflow {describe(self._factory)}({names})>"

    def _repr_html_(self) -> str:
        from flowy.local.notebook import workflow_html  # only notebooks ask

        inner = {name: workflow._factory for name, workflow in self._workflows.items()}
        return workflow_html(self._factory, self._activities, self._options, inner)

    # configuration

    def conf_activity(self, name: str, activity: Callable[..., Any], **options: Any) -> None:
        """Give the dependency `name` an activity: any callable.

        Args:
            name: as the workflow's factory calls it.
            activity: called with what the workflow calls the dependency with.
            retry: `flowy.Retry(…)`, or a tuple of delays in seconds, one before each attempt, of which
                the further ones follow time-outs only. `(0,)` by default: one attempt.
            schedule_to_start: seconds that a task may wait for a worker.
            start_to_close: seconds that one attempt may run.
            schedule_to_close: seconds from when it could start to its end.
            heartbeat: seconds that may pass between two calls of `flowy.heartbeat` in it.
            max_concurrency: so many run at a time.
            priority: higher ones go first; 0 by default.
            rerun_on_worker_death: whether it may run again if its worker died while it ran; True by
                default.

        What passes a limit fails with `TaskTimedout`. A worker process is killed for it, and only that
        one is replaced; a thread can't be: it goes on, and its result is ignored.

        Raises:
            UsageError: the name, the activity or an option can't be used.
        """
        self._check_name(name)
        check_activity(name, activity)
        made = make_options(name, options)
        self._activities[name] = activity
        if made != PLAIN:
            self._options[name] = made

    def conf_workflow(self, name: str, workflow: LocalWorkflow | Factory) -> None:
        """Give the dependency `name` another workflow: a `LocalWorkflow`, or a factory that needs no
        dependencies. It runs on the workers of this one.

        Raises:
            UsageError: the name or the workflow can't be used.
        """
        self._check_name(name)
        if not isinstance(workflow, LocalWorkflow):
            check_factory(workflow)
            workflow = LocalWorkflow(workflow, executor="inline")
        self._workflows[name] = workflow

    def _check_name(self, name: str) -> None:
        check_name(name, {**self._activities, **self._workflows}, self._factory)

    def _plan(self, made: dict[int, Plan]) -> Plan:
        """The checked configuration of this workflow and of those below it (they may be recursive)."""
        if id(self) in made:
            return made[id(self)]
        plan = made[id(self)] = Plan(self._factory, dict(self._activities), dict(self._options))
        names = (*self._activities, *self._workflows)
        if names != self._fitting:
            check_fit(self._factory, names)
            self._fitting = names
        for name, workflow in self._workflows.items():
            plan.workflows[name] = workflow._plan(made)
        return plan

    # running

    def _prepare(self, kwargs: dict[str, Any]) -> dict[int, Plan]:
        """All plans that a run with these keyword arguments needs, checked."""
        unknown = [name for name in kwargs if name.startswith("_")]
        if unknown:
            raise UsageError(
                f"unknown option {', '.join(unknown)}: names that start with an underscore are options "
                "of the run; there are _wait, _trace and _progress"
            )
        made: dict[int, Plan] = {}
        self._plan(made)
        return made

    def run(
        self,
        *args: Any,
        _wait: bool = False,
        _trace: TraceChoice = False,
        _progress: ProgressChoice = False,
        **kwargs: Any,
    ) -> Any:
        """Run the workflow with this input and return its value.

        Args:
            _wait: at the end also wait for the calls that the value does not need.
            _trace: True: make a page of what was done, and open it. A file: write it there, in the form
                that its ending tells: `.html`, `.svg` (drawn by Graphviz), `.dot`, `.mmd`,
                `.chrome.json` (for Perfetto), or `.json`, the trace itself. Also where the run fails.
                See `trace`.
            _progress: True: show how far it is, by dependency: at the foot of the terminal that stderr
                is, in the notebook, or as a line now and then (to the logger `flowy.progress` if it is
                on, else to stderr). A function: it is called with a `flowy.progress.Snapshot` now and
                then, from another thread, and at the end.

        Raises:
            UsageError: the configuration does not fit, or flowy was misused in the workflow.
            TaskError: a task failed and the workflow did not handle it.
            KeyboardInterrupt: Control-C came; running tasks had two seconds to end, and stderr tells
                what was done. A second Control-C kills them at once. SIGTERM does the same if nothing
                else handles it, and then ends the process.
            Exception: whatever the workflow raised itself.
        """
        made = self._prepare(kwargs)
        asked = Asked.check(_wait, _trace, _progress)
        try:
            return self._run(made, args, kwargs, asked)
        finally:
            self._draw(asked)

    def with_options(
        self,
        workers: int | None,
        executor: ExecutorChoice | None,
        settings: Settings | None = None,
    ) -> LocalWorkflow:
        """The same workflow with other workers, where None leaves what there is, and with other options
        of its activities and of those in its sub-workflows.

        Raises:
            UsageError: they can't be used.
        """
        choice = self._choice if executor is None else executor
        check_choice(choice, self._start_method, workers)
        check_workers(choice, self._memory_limit, self._max_tasks)
        copies: dict[int, LocalWorkflow] = {}
        made = self._copy_all(copies) if settings else self._copy()
        for way, options in (settings or {}).items():
            if way:
                made._set_options(way, options, ".".join(way))
                continue
            for workflow in copies.values():
                for name in workflow._activities:
                    workflow._set_options((name,), options, name)
        made._choice = choice
        made._workers = self._workers if workers is None else workers
        return made

    def _copy(self) -> LocalWorkflow:
        """Another with the same configuration, and workers of its own."""
        made = copy.copy(self)
        made._lock = threading.Lock()
        made._executor, made._users = None, 0
        return made

    def _copy_all(self, copies: dict[int, LocalWorkflow]) -> LocalWorkflow:
        """The same for the sub-workflows, which may be recursive."""
        if id(self) not in copies:
            made = copies[id(self)] = self._copy()
            made._options = dict(self._options)
            made._workflows = {name: w._copy_all(copies) for name, w in self._workflows.items()}
        return copies[id(self)]

    def _set_options(self, way: tuple[str, ...], options: dict[str, Any], whole: str) -> None:
        """Change options of the activity that these names lead to; the others stay."""
        name, *rest = way
        if rest and name in self._workflows:
            self._workflows[name]._set_options(tuple(rest), options, whole)
            return
        if rest or name not in self._activities:
            there = ", ".join([*self._activities, *(f"{name}.…" for name in self._workflows)])
            raise UsageError(f"there is no activity {whole!r}; there are {there or 'none'}")
        given = make_options(name, options)
        changed = {option: getattr(given, option) for option in options}
        self._options[name] = self._options.get(name, PLAIN)._replace(**changed)

    def signature(self) -> inspect.Signature | None:
        """What the workflow takes as input; None where that can't be told without running it."""
        import inspect  # here, because it takes some milliseconds to import

        call = vars(self._factory).get("__call__") if isinstance(self._factory, type) else None
        if call is None:
            return None
        try:
            signature = inspect.signature(call)
        except (TypeError, ValueError):
            return None
        return signature.replace(parameters=list(signature.parameters.values())[1:])

    @property
    def trace(self) -> Trace | None:
        """What the latest run with `_trace` did; None if there was none."""
        with self._lock:
            if self._traced is not None:
                from flowy.local.tracing import take  # most runs have no trace

                self._trace = take(*self._traced)
                self._traced = None
            return self._trace

    def _note(self, asked: Asked, executor: Executor) -> None:
        """What is traced from now on is the latest."""
        if asked.tracer is not None:
            with self._lock:
                self._traced = asked.tracer, executor.size

    def _draw(self, asked: Asked) -> None:
        """The picture that was asked for, if the run has begun. That a disk is full costs no value, and
        hides no failure of the run: it is logged, and the trace is there to be written elsewhere."""
        self._undrawn = None
        if asked.tracer is None or not asked.tracer.runs:
            return
        from flowy import pictures  # only here: most runs have no picture
        from flowy.local.tracing import take

        with self._lock:
            traced = self._traced
        is_latest = traced is not None and traced[0] is asked.tracer
        trace = self.trace if is_latest else take(asked.tracer, 0)
        try:
            if trace is not None and asked.path is not None:
                pictures.write(trace, asked.path)
            elif trace is not None:
                pictures.show(trace)
        except (OSError, UsageError) as error:
            self._undrawn = error
            log.warning(
                "the trace could not be written (it is still in the attribute `trace`): %s", error
            )

    def _run(
        self, made: dict[int, Plan], args: tuple[Any, ...], kwargs: dict[str, Any], asked: Asked
    ) -> Any:
        outcome: list[tuple[events.Ending, BaseException | None]] = []
        with (
            attended("when no task had started", "when all was done"),
            self._borrowed() as executor,
            self._driver(executor, made, asked, patient=False) as driver,
        ):
            self._note(asked, executor)
            execution = Execution(
                made[id(self)],
                copy_context(),
                linger=asked.wait,
                label=os.urandom(16).hex(),
                on_end=lambda *how: outcome.append(how),
            )
            driver.run(execution, args, kwargs)
        command, exception = outcome[0]
        del outcome[:]
        if isinstance(command, events.Complete):
            return command.value
        assert exception is not None
        try:
            raise exception
        finally:
            del exception, command  # a traceback that holds its own exception is a cycle

    def start(
        self,
        *args: Any,
        _wait: bool = False,
        _trace: TraceChoice = False,
        _progress: ProgressChoice = False,
        **kwargs: Any,
    ) -> Run:
        """Start a run in the background and return its handle.

        `_wait`, `_trace` and `_progress` are as in `run`. The picture is there when the result is; what
        has been done so far is in the handle's `trace`.

        Raises:
            UsageError: the configuration does not fit.
        """
        made = self._prepare(kwargs)
        asked = Asked.check(_wait, _trace, _progress)
        handle = Run()
        execution = Execution(
            made[id(self)], copy_context(), linger=_wait, label=handle.id, on_end=handle._ended
        )
        ready = threading.Event()

        def work() -> None:
            try:
                with (
                    self._borrowed() as executor,
                    self._driver(executor, made, asked, patient=True) as driver,
                ):
                    self._note(asked, executor)
                    handle._begin(driver, execution, executor.size, asked.tracer)
                    ready.set()
                    driver.run(execution, args, kwargs)
                self._draw(asked)
            except BaseException as error:
                handle._broke(error)
            finally:
                ready.set()
                handle._finish()

        handle._thread = threading.Thread(target=work, name=f"flowy-{handle.id}", daemon=True)
        handle._thread.start()
        ready.wait()
        return handle

    @contextmanager
    def _driver(
        self,
        executor: Executor,
        made: dict[int, Plan],
        asked: Asked,
        *,
        patient: bool,
    ) -> Iterator[Driver]:
        """A driver whose functions the executor knows."""
        functions: dict[tuple[int, str], int] = {}
        options: dict[str, Any] = {"patient": patient, "tracer": asked.tracer}
        try:
            executor.begin()
            for plan in made.values():
                for name, activity in plan.activities.items():
                    functions[id(plan), name] = executor.register(name, activity)
            if not asked.progress:
                yield Driver(executor, functions, self._batching, **options)
                return
            from flowy.local.watch import Watch  # most runs are not watched
            from flowy.progress import reporting

            watch = Watch(list(made.values()))
            driver = Driver(executor, functions, self._batching, watch=watch, **options)
            with reporting(asked.progress, watch.look):
                yield driver
        finally:
            for number in functions.values():
                executor.release(number)

    # the executor, shared by all runs that are under way

    def __enter__(self) -> LocalWorkflow:
        borrowed = False
        try:
            with attended():
                self._borrow()
                borrowed = True
        except BaseException:
            if borrowed:
                self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with attended():
            self._give_back()

    @contextmanager
    def _borrowed(self) -> Iterator[Executor]:
        shared = self._executor
        if shared is not None and shared.serves():
            # An activity that runs its own workflow must not wait for the workers that wait for it.
            executor = self._make_executor()
            try:
                yield executor
            finally:
                executor.close()
            return
        executor = self._borrow()
        try:
            yield executor
        finally:
            self._give_back()

    def _make_executor(self) -> Executor:
        if unpacking.on:
            raise UsageError(
                "a module starts a run when it is imported, and a worker imports it for an activity: "
                "each worker would start workers, without end. Put the run under if __name__ == "
                "'__main__'"
            )
        return make_executor(
            self._choice,
            self._workers,
            self._start_method,
            self._habits,
            self._memory_limit,
            self._max_tasks,
        )

    def _borrow(self) -> Executor:
        with self._lock:
            if self._executor is None:
                self._executor = self._make_executor()
            self._users += 1
            return self._executor

    def _give_back(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users:
                return
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.close()


class Run:
    """The handle of a run in the background."""

    def __init__(self) -> None:
        from concurrent import futures  # here, because `import flowy` should be quick

        self.id = os.urandom(16).hex()
        self._outcome: futures.Future[Any] = futures.Future()
        self._thread: threading.Thread | None = None
        self._driver: Driver | None = None
        self._execution: Execution | None = None
        self._cancelled = False
        self._progress: dict[str, Progress] = {}
        self._final: dict[str, Progress] = {}
        self._began = time.monotonic()
        self._workers = 0
        self._usage: Usage | None = None
        self._tracer: _trace.Tracer | None = None

    def __repr__(self) -> str:
        return f"<Run {self.id}, {self.status}>"

    def _repr_html_(self) -> str:
        from flowy.local.notebook import run_html  # only notebooks ask

        usage = self.usage()
        title = f"run {self.id}: {self.status}"
        return run_html(title, self.progress().items(), usage.elapsed, usage.workers)

    @property
    def status(self) -> Status:
        """'running', 'completed', 'failed' or 'cancelled'."""
        if not self._outcome.done():
            return "running"
        if self._outcome.exception() is None:
            return "completed"
        return "cancelled" if self._cancelled else "failed"

    def result(self, timeout: float | None = None) -> Any:
        """The workflow's value; waits for it, at most `timeout` seconds.

        Raises:
            TimeoutError: it is not there in time.
            Exception: what the run failed with, as from `LocalWorkflow.run`.
        """
        from concurrent import futures

        try:
            value = self._outcome.result(timeout)
        except futures.TimeoutError:
            if self._outcome.done():
                raise
            raise TimeoutError(f"run {self.id} is not done after {timeout} s") from None
        finally:
            if self._outcome.done() and self._thread is not None:
                self._thread.join()
        return value

    def signal(self, name: str, value: Any = None) -> None:
        """Send the run the signal `name`; `flowy.signal(name)` in the workflow stands for it.

        Raises:
            UsageError: the run has ended.
        """
        self._post("signal", lambda run, now: run.receive_signal(name, value, now))

    def cancel(self) -> None:
        """Ask the run to cancel: `CancelRequested` is raised where its workflow waits.

        A workflow that has returned, and whose value is waited for, is over then. Tasks that still run
        are told by their heartbeat, and killed some seconds later. Does nothing when the run has ended.
        """
        if not self._outcome.done():
            self._cancelled = True
            self._post("cancel", lambda run, now: run.request_cancel(now))

    def progress(self) -> dict[str, Progress]:
        """How far the run is, by dependency; calls of sub-workflows are in their own runs."""
        execution = self._execution  # may be gone at once: another thread ends the run
        run = execution.run if execution is not None else None
        if run is None:
            return self._final or self._progress
        self._progress = {name: Progress(*counts) for name, counts in run.progress().items()}
        return self._progress

    @property
    def trace(self) -> Trace | None:
        """What was done so far; None if the run was started without `_trace`."""
        if self._tracer is None:
            return None
        from flowy.local.tracing import take  # most runs have no trace

        return take(self._tracer, self._workers)

    def usage(self) -> Usage:
        """What the run took, so far or in all."""
        if self._usage is not None:
            return self._usage
        driver = self._driver
        elapsed = time.monotonic() - self._began
        if driver is None:
            return Usage(elapsed, 0.0, self._workers, 0)
        return Usage(elapsed, driver.busy_seconds, self._workers, driver.tasks_done)

    def _post(self, what: str, tell: Callable[[Any, float], None]) -> None:
        driver, execution = self._driver, self._execution
        if driver is None or execution is None or self._outcome.done():
            raise UsageError(f"{what}: run {self.id} has ended")

        def deliver() -> None:
            if execution.run is not None:
                tell(execution.run, time.time())

        driver.mailbox.put((deliver,))

    # what the thread of the run tells

    def _begin(
        self, driver: Driver, execution: Execution, workers: int, tracer: _trace.Tracer | None
    ) -> None:
        self._driver = driver
        self._tracer = tracer
        self._execution = execution
        self._workers = workers

    def _ended(self, command: events.Ending, exception: BaseException | None) -> None:
        self._final = self.progress()
        if isinstance(command, events.Complete):
            self._value: Any = command.value
        self._exception = exception

    def _broke(self, error: BaseException) -> None:
        self._exception = error

    def _finish(self) -> None:
        """Publish the outcome, once the workers are back where they were."""
        self._usage = self.usage()
        self._driver = self._execution = None
        exception = getattr(self, "_exception", None)
        if exception is not None:
            self._outcome.set_exception(exception)
        else:
            self._outcome.set_result(getattr(self, "_value", None))
