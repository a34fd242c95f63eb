"""Drives runs: applies events to them, one at a time, and carries out what they ask for.

Owns: the loop of one thread, and in it the runs that this thread started: roots and the sub-workflows
under them. All of a run's code and graph stays in this thread.

    ready tasks ─> batches ─> executor ─> replies ─> events ─> runs ─> ready tasks …

May not know: how activities are run (`executors`), how many travel together (`batching`), or who asked
for the run (`engine`).
"""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextvars import Context
from typing import TYPE_CHECKING, Any

from flowy import _sched, _trace, events, serialization
from flowy._sched import Batch, Outbox
from flowy.config import Plan, describe
from flowy.errors import CancelRequested, Failure, UsageError
from flowy.local.attempts import Attempts, overdue
from flowy.local.batch import Outcomes, to_failure
from flowy.local.batching import Batching
from flowy.local.deaths import amend, show_call
from flowy.local.executors import Executor
from flowy.local.interrupts import Terminated, interrupts
from flowy.local.large import Store
from flowy.local.logs import Arrival
from flowy.local.mailbox import Lost, Mailbox, Parcel, Reply, Tracked
from flowy.local.patience import Overdue
from flowy.local.shelf import Shelf
from flowy.local.stopping import Tally, drain, tell

if TYPE_CHECKING:
    from flowy.local.watch import Watch

log = logging.getLogger("flowy")

MAX_LIVE = 10_000
"""Sub-workflows whose code is alive at a time; one that waits for others of its own does not count."""
OVERLAP = 16_384
"""So many new tasks, and some are sent while the workflow's code is still calling;"""
OVERLAP_SECONDS = 0.002
"""or fewer, when it has gone on for so long. Who sends more often only slows the code down: it is what
takes longest where tasks are tiny. So long a lazy map may draw inputs before the first are sent, too."""
FIRST_LOOK = 8
"""After so many new tasks the driver first looks whether that is so; then less and less often,"""
LAST_LOOK = 128
"""at least after so many: code that was fast may be slow from now on."""
HEAVY = 4 << 20
"""So many bytes of large arguments, and the workflow's code waits a little for them to be sent:"""
HEAVY_WAIT = 0.02
"""seconds at most. Memory that comes back is used again; fresh pages cost some twenty times as much."""
LONGEST_WAIT = 3600.0
"""Seconds that one wait for replies lasts at most: poll(2) counts milliseconds in an int."""
SLOW_STEP = 1.0
"""Seconds that a step of workflow code may take before one warning tells of it."""


class Execution:
    """One workflow to its end, through all its restarts."""

    __slots__ = (
        "asked",
        "asked_by",
        "cancel_asked",
        "children",
        "context",
        "depth",
        "label",
        "linger",
        "node",
        "on_end",
        "parent",
        "plan",
        "run",
    )

    def __init__(
        self,
        plan: Plan,
        context: Context,
        *,
        parent: Execution | None = None,
        asked_by: _sched.Run | None = None,
        node: int = -1,
        linger: bool = False,
        label: str = "",
        on_end: Callable[[events.Ending, BaseException | None], None] | None = None,
    ) -> None:
        self.plan = plan
        self.context = context
        self.parent = parent
        self.asked_by = asked_by
        """The run of the parent (it may have restarted since) in which this is the task `node`."""
        self.node = node
        self.linger = linger
        self.label = label
        """What a root is called; see `id`."""
        self.on_end = on_end
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.asked = 0
        """Sub-workflows asked for and not ended; while there are some it does not count as live."""
        self.children: set[Execution] = set()
        """Those of them that have started."""
        self.run: _sched.Run | None = None
        self.cancel_asked = False
        """Its parent has cancelled it."""

    @property
    def id(self) -> str:
        """The name of this run: that of the root, and the way of task keys that leads here from it."""
        way: list[str] = []
        one = self
        while one.parent is not None and one.asked_by is not None:
            if one in one.parent.children:  # else it is over, and its node may be another's
                way.append(one.asked_by.key_of(one.node))
            one = one.parent
        return "/".join([one.label, *reversed(way)])

    def traced_parent(self) -> int:
        """The row of the trace that this is the run of; -1 for a root."""
        return -1 if self.asked_by is None else self.asked_by.traced_row(self.node)


class Drawing:
    """What the inputs of one lazy map are like."""

    __slots__ = ("size", "step")

    def __init__(self) -> None:
        self.size = 0.0
        """Bytes of an input, as far as it is large."""
        self.step = 16
        """So many are drawn at a time; few at first, as they may be large."""

    def learn(self, drawn: int, heavy: int) -> None:
        """Take in that so many inputs came to so many bytes."""
        self.size = max(0, heavy) / max(1, drawn)
        self.step = max(1, int(HEAVY / self.size)) if self.size else sys.maxsize


class Driver:
    """The loop of one thread over one executor.

    Args:
        executor: runs the activities.
        functions: the number under which the executor knows each activity, by plan and name.
        patient: whether signals and cancels may come from other threads, so that a run that waits for
            nothing else is no mistake.
        tracer: what hears when each task ran; None: nobody asked for it.
        watch: what hears of runs; None: nobody watches.
    """

    def __init__(
        self,
        executor: Executor,
        functions: Mapping[tuple[int, str], int],
        batching: Batching,
        *,
        patient: bool = False,
        tracer: _trace.Tracer | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.mailbox = Mailbox()
        self.mailbox.timed = tracer is not None
        self.busy_seconds = 0.0
        self.tasks_done = 0
        self._executor = executor
        self._functions = functions
        self._batching = batching
        self._patient = patient
        self._outbox = Outbox()
        self._outbox.tracer = self._tracer = tracer
        self._watch = watch
        if watch is not None:
            watch.attend(executor, self.mailbox, functions)
        self._outbox.full_at = FIRST_LOOK
        self._outbox.on_full = self._overlap
        self._unsent = 0  # what the last overlap left
        if executor.store is not None and executor.store.places:
            self._outbox.opens = False
            self._outbox.heavy_at = HEAVY
            self._take_shelf(executor.store)
        for number in functions.values():
            self._know_cost(number)
        self._in_flight = 0
        self._attempts = Attempts(executor, batching, self.mailbox)
        self._live = 0
        self._executions: set[Execution] = set()
        self._children: list[tuple[int, int, Batch, int]] = []
        self._wants: list[tuple[_sched.Run, _sched.Map, int]] = []
        self._timers: list[tuple[float, int, _sched.Run, int]] = []
        self._letters: list[tuple[_sched.Run, int, events.SendSignal]] = []
        self._order = itertools.count()
        self._interrupted: BaseException | None = None
        self._warned_slow = False
        self._step_began = 0.0

    def _take_shelf(self, store: Store) -> None:
        outbox = self._outbox
        self.mailbox.shelf = Shelf(store, lambda: outbox.turns)

    # the loop

    def run(self, execution: Execution, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Run `execution` to its end; its `on_end` hears how it ended.

        Raises:
            KeyboardInterrupt, Terminated: a signal stopped it (in the main thread), or its own code.
        """
        attended = interrupts.here()
        if attended:
            interrupts.attach(lambda: self._executor.kill(self.mailbox), self.mailbox.nudge)
        try:
            self._start(execution, args, kwargs)
            self._settle()
            while execution in self._executions:
                self._start_children()
                self._send()
                self._carry_out_orders()
                self._receive()
                self._settle()
            if interrupts.came:
                interrupts.check()
        except (KeyboardInterrupt, Terminated):
            if attended:
                self._stop(execution)
            raise
        finally:
            if attended:
                interrupts.detach()
            self._abandon()
            self._close_mailbox()
            self._let_go(execution)

    def _let_go(self, execution: Execution) -> None:
        """Break the cycles, so that what the run took is free at once and serves the next."""
        self._outbox.close()
        execution.run = None

    def _stop(self, execution: Execution) -> None:
        """A signal has taken effect: nothing more is scheduled; say what became of what was."""
        interrupts.shut()
        children = [e.asked_by.name_of(e.node) for e in execution.children if e.asked_by is not None]
        tally = Tally(execution.run, children)
        self._abandon()
        drain(self._executor, self.mailbox, tally)
        tell(tally)

    def _send(self) -> None:
        """Pack ready tasks into parcels, as far as the executor has room."""
        outbox, batching, executor = self._outbox, self._batching, self._executor
        if self._attempts:
            self._send_attempts()
        while self._may_send():
            function = outbox.next_function()
            left = (function, outbox.waiting, executor.size)
            along = batching.along if executor.ships else 0
            limit = min(batching.limit(*left), executor.largest)
            batch = outbox.take(limit, batching.budget(*left), 0, along)
            if batch is None:
                return
            parcel = Parcel(batch, self.mailbox)
            if executor.pickles:
                if not self._pack(parcel):
                    continue
                batching.learn_size(function, parcel.size, len(parcel.message))
            self._in_flight += parcel.size
            self._submit(parcel)
            if self._attempts:
                self._attempts.take_turn()
                self._send_attempts()

    def _submit(self, parcel: Parcel) -> None:
        if self._tracer is not None:
            parcel.sent_at = time.time()
            large = parcel.hold.nbytes if parcel.hold is not None else 0
            parcel.sent_bytes = len(parcel.message) + large
        self._executor.submit(parcel)

    def _may_send(self) -> bool:
        """Whether a task is ready and there is room for it; one parcel of each driver always fits."""
        waiting = self._outbox.waiting
        if not waiting:
            return False
        depth = self._batching.depth(self._outbox.next_function(), waiting, self._executor.size)
        return self._has_room(depth)

    def _has_room(self, depth: int) -> bool:
        mine = self._in_flight or self._attempts.running
        return not mine or self._executor.room(depth) > 0

    def _send_attempts(self) -> None:
        """Send calls of activities with options, while it is their turn."""
        attempts, executor = self._attempts, self._executor
        while (queue := attempts.choose(self._outbox.waiting)) is not None:
            if not self._has_room(attempts.depth(queue)):
                return
            parcel = attempts.next(queue)
            if executor.pickles:
                try:
                    parcel.pack()
                except Exception as error:
                    self._drop_unpicklable(parcel, error)
                    continue
            attempts.sent(parcel)
            self._submit(parcel)

    def _drop_unpicklable(self, parcel: Tracked, error: Exception) -> None:
        """A parcel that can't be pickled is sent call by call, to find the culprit."""
        failures = {}
        if isinstance(error, Overdue) and self.mailbox.shelf is not None:
            assert self._executor.store is not None
            self._take_shelf(self._executor.store)  # that thread has the other, locked
        if parcel.size == 1:
            first, batch = parcel.first, parcel.batch
            if isinstance(error, Overdue):
                failures[first] = to_failure(overdue(parcel), batch.key(first), batch.name(first))
            else:
                failures[first] = self._unpicklable(batch, first, error)
        self._attempts.fail(parcel, failures)

    def _pack(self, parcel: Parcel) -> bool:
        """Pickle a parcel. If that fails, its good tasks go one by one and the others fail."""
        try:
            parcel.pack()
            return True
        except Exception:
            pass
        self._send_singly(parcel)
        return False

    def _send_singly(self, parcel: Parcel, died: int | None = None) -> None:
        """Send what is open of a parcel task by task; at position `died` a worker died once."""
        batch = parcel.batch
        for i in range(parcel.first + parcel.received, parcel.first + parcel.size):
            if not batch.recall(i):
                continue
            single = Parcel(batch, self.mailbox, i, 1)
            single.deaths = int(i == died)
            try:
                single.pack()
            except Exception as error:
                self.mailbox.put((self._fail_unpicklable, batch, i, error))
            else:
                self._in_flight += 1
                self._submit(single)

    def _recover(self, lost: Lost) -> None:
        """Tasks that went along with others go back to the graph; the others go again."""
        parcel = lost.parcel
        if isinstance(parcel, Tracked):
            self._attempts.lost(lost)
            return
        self._in_flight -= parcel.size - parcel.received
        died = None if lost.at is None else parcel.first + lost.at
        if lost.stopped and died is not None and parcel.batch.wanted(died):
            failure = to_failure(lost.trouble, parcel.batch.key(died), parcel.batch.name(died))
            parcel.batch.complete(died, [None], {died: failure}, time.time())
        self._send_singly(parcel, died if lost.begun else None)

    def _fail_unpicklable(self, batch: Batch, i: int, error: BaseException) -> None:
        batch.complete(i, [None], {i: self._unpicklable(batch, i, error)}, time.time())

    def _unpicklable(self, batch: Batch, i: int, error: BaseException) -> Failure:
        what = f"an argument of {batch.key(i)}"
        args, given = batch.arguments(i)
        roots = [(f"args[{n}]", x) for n, x in enumerate(args)]
        roots += [(f"kwargs[{name!r}]", x) for name, x in given.items()]
        message = serialization.explain(error, args, "args", what)
        for root, value in roots:
            _, _, reason = serialization.find_unpicklable(value, root)
            if reason is not None:
                message = serialization.explain(reason, value, root, what)
                break
        cause = UsageError(message)
        cause.__cause__ = error
        return Failure(message, key=batch.key(i), name=batch.name(i), cause=cause)

    def _overlap(self) -> None:
        """Called while workflow code is calling: move bytes, apply nothing."""
        if not self._overlap_is_due():
            return
        try:
            self._tell_slow_step()
            self._send()
            self._unsent = self._outbox.waiting
            self._executor.move()
            if self._outbox.heavy >= self._outbox.heavy_at:
                self._relieve()
        except (KeyboardInterrupt, Terminated):
            raise  # out of the call that the code makes
        except BaseException as error:
            self._interrupted = error

    def _overlap_is_due(self) -> bool:
        outbox, took = self._outbox, time.monotonic() - self._step_began
        if took > 2 * OVERLAP_SECONDS:
            outbox.full_at = max(1, int(outbox.full_at * OVERLAP_SECONDS / took))
        elif took < OVERLAP_SECONDS and outbox.full_at < LAST_LOOK:
            outbox.full_at *= 2
        self._unsent = min(self._unsent, outbox.waiting)
        many = outbox.waiting - self._unsent >= OVERLAP
        return took >= OVERLAP_SECONDS or many or outbox.heavy >= outbox.heavy_at

    def _relieve(self) -> None:
        """Hold the code for a moment, so that the memory of large arguments can be used again."""
        outbox, end = self._outbox, time.monotonic() + HEAVY_WAIT
        self._send()
        while outbox.waiting:
            left = end - time.monotonic()
            if left <= 0:
                outbox.heavy_at *= 2  # tasks that take long: don't hold the code up for each
                return
            self._executor.move(left)
            self._send()
        outbox.heavy_at = HEAVY

    def _carry_out_orders(self) -> None:
        """Timers, draws and cancels that the runs asked for, and what they ask for then."""
        end = time.monotonic() + OVERLAP_SECONDS
        while self._outbox.restless or self._outbox.broken:
            self._take_orders()
            self._draw()
            if time.monotonic() > end:  # slow inputs: what was drawn is sent, replies are applied
                break
        else:
            self._draw()
        if self._letters:
            self._deliver()

    def _take_orders(self) -> None:
        for run in self._outbox.take_restless():
            for order, target in run.take_orders():
                if isinstance(order, events.StartTimer):
                    due = time.monotonic() + order.seconds
                    heapq.heappush(self._timers, (due, next(self._order), run, target))
                elif isinstance(order, events.WantDraw):
                    self._wants.append((run, target, order.room))
                elif isinstance(order, events.CancelTask):
                    self.mailbox.put((self._cancel_task, run, target, order.key))
                elif isinstance(order, events.SendSignal):
                    self._letters.append((run, target, order))
        for run, node, error in self._outbox.take_broken():
            failure = Failure.of(error, key=run.key_of(node), name=run.name_of(node))
            self.mailbox.put((run.fail_node, node, failure, time.time()))

    def _draw(self) -> None:
        """Draw inputs of lazy maps; large ones only as those before them are done with."""
        wants, self._wants = self._wants, []
        for run, lazy, room in wants:
            if lazy.owner is None:
                lazy.owner = Drawing()
            drawing: Drawing = lazy.owner
            if drawing.size * (self._outbox.waiting + self._in_flight) > HEAVY:
                self._wants.append((run, lazy, room))
                continue
            n, heavy, drawn = min(room, drawing.step), self._outbox.heavy, lazy.drawn
            self._step_began = time.monotonic()
            run.draw(lazy, n, time.time(), time.monotonic, OVERLAP_SECONDS)
            self._tell_slow_step()
            drawing.learn(lazy.drawn - drawn, self._outbox.heavy - heavy)

    def _cancel_task(self, run: _sched.Run, node: int, key: str) -> None:
        """Cancel what has not started; a sub-workflow is asked to cancel, a running activity too."""
        state = run.state_of(node)
        if state not in ("ready", "sent") or run.key_of(node) != key:
            return  # over already, and its place may be another's
        owner: Execution = run.owner
        for child in owner.children:
            if child.asked_by is run and child.node == node and child.run is not None:
                child.cancel_asked = True
                child.run.request_cancel(time.time())
                return
        name = run.name_of(node)
        if state == "ready" or name in owner.plan.workflows:
            failure = Failure("by the workflow", key=key, name=name, kind="cancelled")
            run.fail_node(node, failure, time.time())
        elif not self._attempts.cancel(run, node):
            self._executor.cancel_task(run, node)

    def _deliver(self) -> None:
        """Signals to sub-workflows, once they have started."""
        letters, self._letters = self._letters, []
        for run, node, letter in letters:
            if run.ended or not isinstance(run.owner, Execution):
                continue
            child = next(
                (c for c in run.owner.children if c.asked_by is run and c.node == letter.node), None
            )
            if child is not None and child.run is not None:
                child.run.receive_signal(letter.name, letter.value, time.time())
                run.finish_node(node, None, time.time())
                continue
            message = f"{letter.to} is over, or no workflow"
            if letter.child and run.key_of(letter.node) == letter.to:
                name = run.name_of(letter.node)
                open = run.state_of(letter.node) in ("waiting", "ready", "sent")
                if open and name in run.owner.plan.workflows:
                    self._letters.append((run, node, letter))
                    continue
            elif not letter.child:
                message = f"there is no workflow {letter.to!r} on the local engine"
            run.fail_node(node, Failure(message, key=letter.key, name="@send"), time.time())

    def _receive(self) -> None:
        """Wait for replies, timers or posts, and apply them in the order in which they came."""
        if self._interrupted is not None:
            raise self._interrupted
        if self._outbox.ended or not self._executions:
            return
        if not self.mailbox:
            if self.mailbox.shelf is not None:
                self.mailbox.shelf.tidy()
            self._executor.collect(self.mailbox, self._patience())
        if interrupts.came:
            interrupts.check()
        self._fire_timers()
        for item in self.mailbox.take():
            self._step_began = time.monotonic()
            if type(item) is Reply:
                self._apply(item)
            elif type(item) is Lost:
                self._recover(item)
            elif type(item) is Arrival:
                item.handle()
                continue
            else:
                function, *args = item
                function(*args)
            self._tell_slow_step()

    def _patience(self) -> float | None:
        """How long to wait for the mailbox; raises if nothing can ever come."""
        if self._outbox.children or self._outbox.restless or self._may_send():
            return 0.0
        if self._children and self._live < MAX_LIVE:
            return 0.0
        due = self._attempts.due()
        if self._timers:
            due = self._timers[0][0] if due is None else min(due, self._timers[0][0])
        if due is not None:
            return min(LONGEST_WAIT, max(0.0, due - time.monotonic()))
        if not self._in_flight and not self._attempts and not self._patient:
            self._fail_stuck()
            return 0.0
        return None

    def _apply(self, reply: Reply) -> None:
        """Outcomes become events."""
        parcel, outcomes = reply.parcel, reply.outcomes
        self.tasks_done += len(outcomes.values)
        if self._tracer is not None:
            self._trace(parcel, outcomes)
        self._batching.learn(outcomes.spent)
        for function, (_, seconds) in outcomes.spent.items():
            self.busy_seconds += seconds
            self._know_cost(function)
        if parcel.options is not None:
            self._attempts.apply(reply)
            return
        first = parcel.first + outcomes.first
        batch = parcel.batch
        failures = None
        if outcomes.failures:
            failures = {}
            for i, trouble in outcomes.failures.items():
                at = parcel.first + i
                failures[at] = failure = to_failure(trouble, batch.key(at), batch.name(at))
                if failure.kind == "worker died" and (call := parcel.call(i)) is not None:
                    failure.message = amend(failure.message, f"called with {show_call(*call)}")
        self._in_flight -= len(outcomes.values)
        batch.complete(first, outcomes.values, failures, time.time())

    def _trace(self, parcel: Parcel, outcomes: Outcomes) -> None:
        """Tasks that travelled together share the bytes of their messages evenly."""
        first, n = parcel.first + outcomes.first, len(outcomes.values)
        if outcomes.times:
            taken, made = parcel.sent_bytes / parcel.size, outcomes.size / n if n else 0.0
            parcel.batch.ran(first, outcomes.times, parcel.sent_at, taken, made)
        elif parcel.options is None:
            for i in outcomes.failures:
                parcel.batch.stopped(parcel.first + i, parcel.sent_at, time.time())

    def _know_cost(self, function: int) -> None:
        cost = self._batching.cost(function)
        if cost is not None:
            self._outbox.set_cost(function, cost)

    def _fire_timers(self) -> None:
        now = time.monotonic()
        if self._attempts:
            self._attempts.fire(now)
        while self._timers and self._timers[0][0] <= now:
            _, _, run, node = heapq.heappop(self._timers)
            run.finish_node(node, None, time.time())

    def _tell_slow_step(self) -> None:
        """Warn once when nothing else could move for long because of workflow code."""
        now = time.monotonic()
        took, self._step_began = now - self._step_began, now
        if not self._warned_slow and took > SLOW_STEP:
            self._warned_slow = True
            log.warning(
                "workflow code worked for %.1f s in one step; other runs and replies wait meanwhile: "
                "move the work into an activity",
                took,
            )

    # runs

    def _start(self, execution: Execution, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        plan = execution.plan
        functions = [self._functions[id(plan), name] for name in plan.activities]
        run = _sched.Run(
            plan.factory,
            plan.names,
            self._outbox,
            functions=functions + [-1] * len(plan.workflows),
            lanes=[2 if name in plan.options else 0 for name in plan.activities]
            + [1] * len(plan.workflows),
            args=args,
            kwargs=kwargs,
            context=execution.context,
            seed=int.from_bytes(os.urandom(8), "little"),
            linger=execution.linger,
        )
        run.owner = execution
        execution.run = run
        if self._tracer is not None:
            run.traced_as = self._tracer.add_run(
                execution.id, describe(plan.factory), execution.traced_parent()
            )
        if self._watch is not None:
            above = execution.parent.plan if execution.parent is not None else None
            name = execution.asked_by.name_of(execution.node) if execution.asked_by is not None else ""
            self._watch.begin(run, plan, above, name)
        if execution not in self._executions:
            self._executions.add(execution)
            self._live += 1
        self._step_began = time.monotonic()
        run.start(time.time())
        self._tell_slow_step()

    def _start_children(self) -> None:
        """Start sub-workflows that are asked for, the deepest first."""
        while True:
            self._queue_children()
            if not self._children or self._live >= MAX_LIVE:
                return
            _, _, batch, i = heapq.heappop(self._children)
            if not batch.wanted(i):
                self._child_over(batch.run(i).owner)
                continue
            asked_by = batch.run(i)
            parent: Execution = asked_by.owner
            child = Execution(
                parent.plan.workflows[batch.name(i)],
                asked_by.copy_context(),
                parent=parent,
                asked_by=asked_by,
                node=batch.node(i),
            )
            parent.children.add(child)
            self._start(child, *batch.arguments(i))
            self._settle()

    def _queue_children(self) -> None:
        while self._outbox.children:
            batch = self._outbox.take(1 << 30, lane=1)
            if batch is None:
                return
            for i in range(len(batch)):
                parent: Execution = batch.run(i).owner
                options = parent.plan.options.get(batch.name(i))
                if options is not None:
                    which = batch.which
                    function = which[i] if isinstance(which, list) else which
                    self._attempts.add(batch, i, function, options)
                    continue
                if parent.asked == 0:
                    self._live -= 1
                parent.asked += 1
                entry = (-parent.depth, next(self._order), batch, i)
                heapq.heappush(self._children, entry)

    def _child_over(self, parent: Execution) -> None:
        parent.asked -= 1
        if parent.asked == 0 and parent in self._executions:
            self._live += 1

    def _settle(self) -> None:
        """Ends of runs: restart them, tell their parents, tell who asked."""
        while self._outbox.ended:
            for run in self._outbox.take_ended():
                self._end(run)

    def _end(self, run: _sched.Run) -> None:
        execution: Execution = run.owner
        outcome, exception = run.outcome, run.exception
        if outcome is None:
            return  # it was discarded with its parent, which ended at the same time
        if exception is not None and not isinstance(exception, Exception):
            raise exception
        cancelled = isinstance(exception, CancelRequested)
        unsent = self._attempts.unsent(run) if run.sent and self._attempts else 0
        tell_of_loose_ends(run, run.sent if cancelled else unsent)
        for child in list(execution.children):
            self._discard(child)
        if self._watch is not None:
            self._watch.end(run)
        run.close()
        if cancelled:
            self._executor.cancel_unwanted(self.mailbox)
        if isinstance(outcome, events.Restart):
            self._start(execution, outcome.args, outcome.kwargs)
            return
        self._leave(execution)
        if execution.on_end is not None:
            execution.on_end(outcome, exception)
        parent = execution.asked_by
        if parent is None:
            return
        if isinstance(outcome, events.Complete):
            parent.finish_node(execution.node, outcome.value, time.time())
        else:
            assert exception is not None
            node = execution.node
            key, name = parent.key_of(node), parent.name_of(node)
            if execution.cancel_asked and isinstance(exception, CancelRequested):
                failure = Failure("by the workflow", key=key, name=name, kind="cancelled")
            else:
                failure = Failure.of(exception, key=key, name=name)
            parent.fail_node(node, failure, time.time())

    def _leave(self, execution: Execution) -> None:
        """An execution is over: it counts no more, here and at its parent."""
        self._executions.discard(execution)
        if execution.asked == 0:
            self._live -= 1
        if execution.parent is not None:
            execution.parent.children.discard(execution)
            execution.run = None  # they know each other: only the collector would free it
            self._child_over(execution.parent)

    def _discard(self, execution: Execution) -> None:
        """End an execution whose parent has ended, and all below it; nobody hears of it."""
        doomed = [execution]
        for one in doomed:  # grows while it is walked
            doomed.extend(one.children)
        for one in reversed(doomed):
            if one.run is not None:
                if self._watch is not None:
                    self._watch.end(one.run)
                close(one.run, one.plan)
            self._leave(one)

    def _fail_stuck(self) -> None:
        """Nothing can ever come: end the runs that wait for nothing, the deepest first."""
        execution = max(self._executions, key=lambda e: e.depth)
        run = execution.run
        assert run is not None
        frame = run.waits_in
        where = f", at {frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else ""
        what = ", ".join(run.unknowns()) or run.waiting_for
        error = UsageError(
            f"the workflow {describe(execution.plan.factory)} waits for {what}{where}, and nothing is "
            "running that could ever bring it: signals can only come to a run that was started with "
            "start()"
        )
        execution.linger = False
        run.give_up(error)

    def _abandon(self) -> None:
        """Discard whatever is still running."""
        self.mailbox.stopped = True
        for execution in sorted(self._executions, key=lambda e: -e.depth):
            if execution.run is not None:
                close(execution.run, execution.plan)
                execution.run = None
        self._executions.clear()
        self._attempts.forget()
        self._timers.clear()
        self._letters.clear()
        self._wants.clear()
        self._children.clear()
        if self.mailbox.shelf is not None:
            self.mailbox.shelf.close()

    def _close_mailbox(self) -> None:
        """Take the last log records; what comes later is for others."""
        self.mailbox.closed = True
        for item in self.mailbox.take():
            if type(item) is Arrival:
                item.handle()


def close(run: _sched.Run, plan: Plan) -> None:
    """Discard a run; says so if its code would not leave."""
    if not run.close():
        log.warning(
            "a discarded run of %s would not leave: its code swallows BaseException",
            describe(plan.factory),
        )


def tell_of_loose_ends(run: _sched.Run, unsent: int) -> None:
    """One warning each for failures that nobody looked at, and for tasks left running; `unsent` of them
    wait for their turn."""
    count = run.failures - run.looked
    first = next((failure for failure in run.unlooked if not failure.looked), None)
    if count > 0 and first is not None:
        log.warning(
            "%d failed task%s of an ended run %s never looked at; the first: %r",
            count,
            "" if count == 1 else "s",
            "was" if count == 1 else "were",
            first,
        )
    running = run.sent - unsent
    if running > 0:
        log.warning(
            "a run ended while %d of its tasks %s running, whose results are ignored "
            "(return them, wait for them, or run(…, _wait=True))",
            running,
            "was" if running == 1 else "were",
        )
