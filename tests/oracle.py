"""The oracle: what a program of `programs` must do, by the law, written as naively as can be.

Owns: a second meaning of the programs, independent of the core: (program, events) -> the commands
of each event. The code is a generator that yields the nodes it waits for; the graph is a list of
nodes, searched from end to end whenever something finishes.

May not know: `flowy._sched`, or anything of flowy but the words `flowy.events` and `flowy.errors`.

The order inside an event: a node that finishes in the graph takes its place in the order of
finishing when its users are served, which is by creation number; one that finishes while the code
runs (a call of something failed, a cancelled call) takes its place there and then.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import programs as p

from flowy import errors
from flowy.errors import Failure
from flowy.events import (
    CancelRequested,
    CancelTask,
    Command,
    Complete,
    Event,
    Fail,
    Note,
    Restart,
    Schedule,
    SignalReceived,
    StartTimer,
    TaskCancelled,
    TaskCompleted,
    TaskFailed,
    TaskTimedOut,
    TimerFired,
)

Code = Generator["list[Node]", None, Any]
Function = Callable[[Any, Any], Any]
Choose = Callable[[int], int]
EFFECT = 50  # the answer of the first side effect; each further one gives one more


@dataclass(eq=False)
class Node:
    """What a result stands for. It has come when it has its `place` in the order of finishing."""

    number: int
    key: str = ""
    call: tuple[Any, ...] = ()  # name, args, kwargs
    state: str = "pending"  # or 'waiting' for arguments, 'done', 'failed'
    outcome: Any = None  # the value or the Failure
    place: int | None = None


@dataclass(eq=False)
class Watcher:
    """Who follows the order in which the sources finish (the same source may be there twice)."""

    sources: list[Node]
    advance: Callable[[Node], None]


class Failed(Exception):
    """The code looked at something failed."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure


@dataclass
class Ending:
    """What the code returned; `restart`: it is the input of the next turn."""

    value: Any
    restart: bool = False


def items_of(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    if dataclasses.is_dataclass(value):
        return [getattr(value, each.name) for each in dataclasses.fields(value)]
    return list(value) if isinstance(value, (list, tuple)) else []


def nodes_in(value: Any) -> list[Node]:
    if type(value) is Node:
        return [value]
    return [node for item in items_of(value) for node in nodes_in(item)]


def filled(value: Any) -> Any:
    """The value with the values of its nodes in place."""
    if type(value) is Node:
        return value.outcome
    items = [filled(item) for item in items_of(value)]
    if isinstance(value, dict):
        return dict(zip(value, items, strict=True))
    if isinstance(value, (p.Pair, p.Point, p.Spot)):
        return type(value)(*items)
    return type(value)(items) if isinstance(value, (list, tuple)) else value


def come(value: Any) -> bool:
    return all(node.place is not None for node in nodes_in(value))


def first_failed(nodes: list[Node]) -> Node | None:
    failed = [node for node in nodes if node.state == "failed" and node.place is not None]
    return min(failed, key=lambda node: node.place or 0, default=None)


class Graph:
    """The law: nodes, who watches them, and what each event does to them."""

    def __init__(self, code: Generator[list[Node], None, None]) -> None:
        self.code = code
        self.waits: list[Node] | None = []  # what the code waits for; None when it has ended
        self.stop = False  # the code is to be told that the run is cancelled
        self.time = 0.0
        self.out: list[Command] = []
        self.nodes: list[Node] = []
        self.places = 0
        self.numbers: Counter[str] = Counter()
        self.watchers: list[Watcher] = []
        self.fresh: list[Node] = []  # finished, but their users don't know
        self.moved: list[tuple[Watcher, Node]] = []  # who is still to be told of whom
        self.signals: defaultdict[str, list[Any]] = defaultdict(list)  # not taken yet
        self.askers: defaultdict[str, list[Node]] = defaultdict(list)

    @property
    def ended(self) -> bool:
        return self.waits is None

    def start(self) -> list[Command]:
        return self.settle()

    def feed(self, event: Event) -> list[Command]:
        self.out = []
        self.time = max(self.time, event.time)
        if isinstance(event, SignalReceived):
            self.signals[event.name].append(event.value)
            if self.askers[event.name]:
                asker = self.askers[event.name].pop(0)
                self.finish(asker, "done", self.signals[event.name].pop(0))
        elif isinstance(event, CancelRequested):
            self.stop = True
        else:
            node = next(node for node in self.nodes if node.key == event.key)
            if isinstance(event, TaskCompleted):
                self.finish(node, "done", event.value)
            elif isinstance(event, TaskCancelled):
                self.finish(node, "failed", cancelled(node))
            elif isinstance(event, (TaskFailed, TaskTimedOut)):
                self.finish(node, "failed", event.failure)
            else:
                self.finish(node, "done", None)
        return self.settle()

    def settle(self) -> list[Command]:
        while self.waits is not None:
            if self.fresh:  # step 1
                node = min(self.fresh, key=lambda node: node.number)
                self.fresh.remove(node)
                self.serve_users(node)
            elif self.moved:  # step 2
                watcher, node = self.moved.pop(0)
                watcher.advance(node)
            elif come(self.waits) or self.stop:  # step 3
                self.waits = next(self.code, None)
            else:
                break
        return sorted(self.out, key=lambda command: not isinstance(command, Schedule))

    def serve_users(self, node: Node) -> None:
        if node.place is None:
            self.take_place(node)
        for user in list(self.nodes):
            if user.state == "waiting" and node in nodes_in(user.call):
                if node.state == "failed":
                    self.finish(user, "failed", node.outcome)
                else:
                    self.send_if_known(user)
        for watcher in self.watchers:
            self.moved += [(watcher, node)] * watcher.sources.count(node)

    def finish(self, node: Node, state: str, outcome: Any) -> None:
        node.state, node.outcome = state, outcome
        self.fresh.append(node)

    def take_place(self, node: Node) -> None:
        node.place = self.places
        self.places += 1

    def node(self, key: str = "", call: tuple[Any, ...] = (), state: str = "pending") -> Node:
        self.nodes.append(Node(len(self.nodes), key, call, state))
        return self.nodes[-1]

    def number(self, name: str) -> int:
        self.numbers[name] += 1
        return self.numbers[name] - 1

    def call(self, name: str, args: Any, kwargs: Any, member: str = "") -> Node:
        node = self.node(f"{name}-{member or self.number(name)}-0", (name, args, kwargs), "waiting")
        failed = first_failed(nodes_in(node.call))
        if failed:
            node.state, node.outcome = "failed", failed.outcome
            self.take_place(node)
        else:
            self.send_if_known(node)
        return node

    def send_if_known(self, node: Node) -> None:
        if come(node.call):
            node.state = "pending"
            self.out.append(Schedule(node.key, *filled(node.call)))

    def in_order(self, items: list[Any]) -> Iterator[Any]:
        """The k-th stands for the k-th of `items` to finish."""
        nodes = [item for item in items if type(item) is Node]
        known = sorted(filter(come, nodes), key=lambda node: node.place or 0)
        stock = [*(item for item in items if type(item) is not Node), *known]
        slots: list[Node] = []

        def advance(node: Node) -> None:
            if slots:
                self.finish(slots.pop(0), node.state, node.outcome)
            else:
                stock.append(node)

        def iterate() -> Iterator[Any]:
            for _ in items:
                if not stock:
                    slots.append(self.node())
                    yield slots[-1]
                else:
                    yield stock.pop(0)

        self.watchers.append(Watcher([node for node in nodes if not come(node)], advance))
        return iterate()

    def reduce(self, function: Function, items: list[Any]) -> Any:
        if not items:
            raise ValueError("nothing to reduce")
        failed = first_failed(nodes_in(items))
        if failed:
            return failed
        if len(items) == 1 and come(items):
            return items[0]
        result = self.node()
        ready = [filled(item) for item in items if come(item)]
        sources = [item for item in items if not come(item)]
        calls = 0

        def advance(node: Node | None) -> None:
            nonlocal calls
            if result.state != "pending":
                return
            if node and node.state == "failed":
                self.finish(result, "failed", node.outcome)
                return
            if node:
                ready.append(node.outcome)
            while len(ready) >= 2:
                made = function(ready.pop(0), ready.pop(0))
                calls += 1
                (ready if come(made) else sources).append(made)
            if calls == len(items) - 1 and ready and node:
                self.finish(result, "done", ready[0])

        advance(None)
        self.watchers.append(Watcher(sources, advance))
        return ready[0] if calls == len(items) - 1 and ready else result

    def signal(self, name: str) -> Node:
        node = self.node(f"@signal-{name}")
        if self.signals[name]:
            node.state, node.outcome = "done", self.signals[name].pop(0)
            self.take_place(node)
        else:
            self.askers[name].append(node)
        return node

    def cancel(self, node: Node) -> None:
        if node.state == "waiting":
            self.finish(node, "failed", cancelled(node))
            self.take_place(node)
        elif node.state == "pending":
            self.out.append(CancelTask(node.key))


class Oracle(Graph):
    """One turn of a run: `start` it, `feed` it events; each gives commands."""

    def __init__(self, program: p.Program, args: Any, kwargs: Any, draws: Sequence[float] = ()) -> None:
        super().__init__(self.run())
        self.program = program
        self.turn = kwargs.get("turn", 0)
        self.names = [*args, *(value for name, value in kwargs.items() if name != "turn")]
        self.called: set[int] = set()
        self.maps: list[Any] = []
        self.fuel = p.FUEL
        self.draws = iter(draws)  # what `flowy.random` gives
        self.effects = itertools.count()

    def run(self) -> Code:
        try:
            ending = yield from self.block(self.program.body)
            if ending is None:
                ending = Ending((yield from self.value(self.program.result)))
            value = yield from self.look(ending.value)
            if ending.restart:
                self.end(Restart(value, {"turn": self.turn + 1}))
            else:
                self.end(Complete(value))
        except Failed as error:
            self.end(Fail(error.failure))
        except (ValueError, TypeError) as error:
            self.end(Fail(Failure.of(error)))

    def end(self, command: Command) -> None:
        """Calls not yet sent are never sent."""
        self.out = [*(each for each in self.out if not isinstance(each, Schedule)), command]

    def look(self, value: Any) -> Code:
        nodes = nodes_in(value)
        if not come(nodes):
            yield nodes
        if self.stop:
            self.stop = False
            raise Failed(Failure.of(errors.CancelRequested()))
        failed = first_failed(nodes)
        if failed:
            raise Failed(failed.outcome)
        return filled(value)

    def read(self, back: int) -> Any:
        return p.pick(self.names, back) if self.names else 0

    def whole(self, back: int) -> Any:
        return p.pick(self.maps, back) if self.maps else []

    def value(self, expr: p.Expr) -> Code:
        if isinstance(expr, p.Const):
            return expr.value
        if isinstance(expr, p.Var):
            return self.read(expr.back)
        if isinstance(expr, p.Whole):
            return self.whole(expr.back)[expr.skip :]
        items = yield from self.values(expr.items)
        if "set" in expr.kind:
            for number, item in enumerate(items):
                items[number] = yield from self.look(item)
                hash(items[number])
        return p.build(expr.kind, items)

    def values(self, exprs: tuple[p.Expr, ...]) -> Code:
        found = []
        for expr in exprs:
            found.append((yield from self.value(expr)))
        return found

    def sources(self, exprs: tuple[p.Expr, ...]) -> Code:
        found: list[Any] = []
        for expr in exprs:
            value = yield from self.value(expr)
            found += value if isinstance(expr, p.Whole) else [value]
        return found[: p.WIDTH]

    def dep(self, name: str) -> Callable[..., Node]:
        real = "inc" if name == "sub" and self.program.sub is None else name
        return lambda *args, **kwargs: self.call(real, args, kwargs)

    def block(self, statements: p.Block) -> Code:
        for statement in statements:
            self.fuel -= 1
            if self.fuel < 0:
                return None
            ending = yield from self.statement(statement)
            if ending is not None:
                return ending
        return None

    def each(self, items: Iterable[Any], body: p.Block) -> Code:
        for item in items:
            self.names.append(item)
            ending = yield from self.block(body)
            if ending is not None:
                return ending
        return None

    def statement(self, s: p.Statement) -> Code:
        if isinstance(s, p.Call):
            args = yield from self.values(s.args)
            values = yield from self.values(tuple(expr for _, expr in s.kwargs))
            kwargs = dict(zip((name for name, _ in s.kwargs), values, strict=True))
            self.called.add(len(self.names))
            self.names.append(self.dep(s.dep)(*args, **kwargs))
        elif isinstance(s, p.Wait):
            self.names.append((yield from self.look((yield from self.value(s.value)))))
        elif isinstance(s, p.If):
            seen = yield from self.look(self.read(s.back))
            yes = p.odd(seen) if s.with_wait else p.odd_by_looking(seen)
            return (yield from self.block(s.then if yes else s.other))
        elif isinstance(s, p.First):
            sources = yield from self.sources(s.sources)
            if not sources:
                raise ValueError("first of nothing")
            self.names.append(next(self.in_order(sources)))
        elif isinstance(s, p.Order):
            items = self.in_order((yield from self.sources(s.sources)))
            return (yield from self.each(itertools.islice(items, s.take), s.body))
        elif isinstance(s, p.Reduce):
            yield from self.reduction(s)
        elif isinstance(s, p.Map):
            yield from self.map(s)
        elif isinstance(s, p.Item):
            found = self.whole(s.back)
            self.names.append(found[s.index % len(found)] if found else 0)
        elif isinstance(s, p.Each):
            return (yield from self.each(self.whole(s.back), s.body))
        elif isinstance(s, p.Try):
            try:
                return (yield from self.block(s.body))
            except Failed as error:
                self.names.append(error.failure.key if s.named else -1)
            return (yield from self.block(s.handler))
        elif isinstance(s, p.Return):
            return Ending((yield from self.value(s.value)))
        elif isinstance(s, p.Restart):
            if self.turn < p.TURNS:
                return Ending(tuple((yield from self.values(s.inputs))), restart=True)
        else:
            self.outside(s)
        return None

    def reduction(self, s: p.Reduce) -> Code:
        sources = yield from self.sources(s.sources)
        if s.initial is not None:
            sources.insert(0, (yield from self.value(s.initial)))
        plain = p.REDUCERS.get(s.function)
        deps = {"add": self.dep("add"), "inc": self.dep("inc")}
        self.names.append(self.reduce(plain(deps) if plain else self.dep(s.function), sources))

    def map(self, s: p.Map) -> Code:
        columns = []
        for column in s.columns:
            columns.append((yield from self.sources(column)))
        rows = list(zip(*columns, strict=False))  # the shortest counts
        if s.function == "plain":
            self.maps.append([self.dep("inc")(*row) for row in rows])
            return
        name = "inc" if s.function == "sub" and self.program.sub is None else s.function
        call = self.number(name)
        self.maps.append([self.call(name, r, {}, f"{call}.{i}") for i, r in enumerate(rows)])

    def outside(self, s: p.Outside) -> None:
        if isinstance(s, p.Cancel):
            if self.names and p.pick(range(len(self.names)), s.back) in self.called:
                self.cancel(self.read(s.back))
        elif isinstance(s, p.Timer):
            node = self.node(f"@timer-{self.number('@timer')}-0")
            self.names.append(node)
            self.out.append(StartTimer(node.key, float(s.seconds)))
        elif isinstance(s, p.Signal):
            self.names.append(self.signal(s.name))
        elif isinstance(s, p.Now):
            self.names.append(int(self.time))
        elif isinstance(s, p.Chance):
            self.names.append(int(10 * next(self.draws)))
        else:
            number = next(self.effects)
            self.names.append(EFFECT + number)
            self.out.append(Note(number, EFFECT + number))


def cancelled(node: Node) -> Failure:
    return Failure("cancelled", key=node.key, kind="cancelled")


# Whole runs.


def oldest(count: int) -> int:
    """Of `count` open tasks the one that was asked for first finishes next."""
    return 0


def answer(program: p.Program, command: Command, time: float = 0.0, choose: Choose = oldest) -> Event:
    """What the world says to a command."""
    if isinstance(command, StartTimer):
        return TimerFired(command.key, time)
    assert isinstance(command, Schedule)
    key, name, args, kwargs = command
    if name == "sub" and program.sub is not None:
        end = play(program.sub, args, kwargs, choose)
        if isinstance(end, Complete):
            return TaskCompleted(key, end.value, time)
        return TaskFailed(key, Failure("failed", key=key, name=name), time)
    try:
        return TaskCompleted(key, p.ACTIVITIES[name](*args, **kwargs), time)
    except ValueError as error:
        return TaskFailed(key, Failure.of(error, key=key, name=name), time)


def play(program: p.Program, args: Any, kwargs: Any, choose: Choose) -> Command:
    """How a run ends when `choose` says which of so many open tasks finishes next."""
    while True:
        oracle = Oracle(program, args, kwargs)
        commands = oracle.start()
        running: list[Command] = []
        while not oracle.ended:
            running += commands
            command = running.pop(choose(len(running)))
            commands = oracle.feed(answer(program, command, choose=choose))
        if not isinstance(commands[-1], Restart):
            return commands[-1]
        args, kwargs = commands[-1]


@dataclass
class Script:
    """Choices to repeat; the oldest after those."""

    plan: list[int]
    made: list[tuple[int, int]] = field(default_factory=list)  # (choice, of how many)

    def choose(self, count: int) -> int:
        number = len(self.made)
        self.made.append((self.plan[number] if number < len(self.plan) else 0, count))
        return self.made[-1][0]


def all_ends(program: p.Program, args: Any, limit: int) -> list[Command] | None:
    """The ends under every order of completion; None if there are more than `limit` orders."""
    ends: list[Command] = []
    script = Script([])
    while len(ends) < limit:
        ends.append(play(program, args, {}, script.choose))
        made = script.made
        while made and made[-1][0] == made[-1][1] - 1:
            made.pop()
        if not made:
            return ends
        plan = [choice for choice, _ in made]
        script = Script([*plan[:-1], plan[-1] + 1])
    return None
