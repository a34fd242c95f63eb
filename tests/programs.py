"""Random workflow programs: a small language as plain data, and what gives it a meaning in flowy.

Owns: the words of the language (frozen dataclasses, so that a failing example can be pasted), the
activities its programs call (pure functions of their arguments), the Hypothesis strategies that
write programs, and `workflow`, which turns a program into an ordinary workflow class.

May not know: how flowy works. It uses the public names only, as a user would.

Its neighbour is `oracle`, which gives the same programs their meaning without flowy.

A variable is named by how far back it was bound (`Var(0)` is the latest, `Var(-1)` the first),
counted round, so that any part can be taken out of a program and what is left is still a program.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from hypothesis import strategies as st

import flowy

BASE = 97
FUEL = 30  # statements that one turn of a program executes at most
TURNS = 2  # restarts of a run at most
WIDTH = 5  # sources of one statement at most


class Pair(NamedTuple):
    """A container of the programs: a named tuple."""

    left: Any
    right: Any


@dataclass
class Point:
    """A container of the programs: a dataclass."""

    x: Any
    y: Any


@dataclass(frozen=True, slots=True)
class Spot:
    """A container of the programs: a dataclass that can't be changed."""

    x: Any
    y: Any


# The language: expressions.


@dataclass(frozen=True)
class Const:
    """A plain value."""

    value: int


@dataclass(frozen=True)
class Var:
    """The variable bound `back` bindings ago."""

    back: int


@dataclass(frozen=True)
class Whole:
    """A whole map (the one made `back` maps ago), less its first `skip` items."""

    back: int
    skip: int


@dataclass(frozen=True)
class Box:
    """A container of the kind `kind`: see `build`."""

    kind: str
    items: tuple[Expr, ...]


Expr = Const | Var | Whole | Box


# The language: statements. Each says what it binds.


@dataclass(frozen=True)
class Call:
    """Call a dependency: binds its result."""

    dep: str
    args: tuple[Expr, ...]
    kwargs: tuple[tuple[str, Expr], ...]


@dataclass(frozen=True)
class Wait:
    """Wait for all of a value: binds it, known."""

    value: Expr


@dataclass(frozen=True)
class If:
    """Look at a variable, with `wait` or without: binds nothing."""

    back: int
    with_wait: bool
    then: Block
    other: Block


@dataclass(frozen=True)
class First:
    """Bind the first of some. `spread`: as arguments, else as one iterable."""

    sources: tuple[Expr, ...]
    spread: bool


@dataclass(frozen=True)
class Order:
    """Bind each of the first `take` to finish (all, if None), and do `body` with each."""

    sources: tuple[Expr, ...]
    spread: bool
    take: int | None
    body: Block


@dataclass(frozen=True)
class Reduce:
    """Bind a parallel reduction with a dependency, or with one of the plain `REDUCERS`."""

    function: str
    sources: tuple[Expr, ...]
    initial: Expr | None


@dataclass(frozen=True)
class Map:
    """Make a map of a dependency, or of a plain function that calls `inc` ('plain')."""

    function: str
    columns: tuple[tuple[Expr, ...], ...]


@dataclass(frozen=True)
class Item:
    """Bind one item of a map (0 if it is empty)."""

    back: int
    index: int


@dataclass(frozen=True)
class Each:
    """Bind each item of a map, and do `body` with each."""

    back: int
    body: Block


@dataclass(frozen=True)
class Try:
    """Do `body`; if a task failed or the run is cancelled, do `handler`.

    What it binds before is the key of the task that failed, or -1 if not `named`.
    """

    body: Block
    handler: Block
    named: bool


@dataclass(frozen=True)
class Return:
    """End with this value."""

    value: Expr


@dataclass(frozen=True)
class Restart:
    """End by restarting with these inputs, if not restarted `TURNS` times before."""

    inputs: tuple[Expr, ...]


@dataclass(frozen=True)
class Cancel:
    """Cancel a call, if the variable stands for one."""

    back: int


@dataclass(frozen=True)
class Timer:
    """Bind a timer's result."""

    seconds: int


@dataclass(frozen=True)
class Signal:
    """Bind the result of the next signal of this name."""

    name: str


@dataclass(frozen=True)
class Now:
    """Bind the run's time, in whole seconds."""


@dataclass(frozen=True)
class Chance:
    """Bind a random number below 10."""


@dataclass(frozen=True)
class Effect:
    """Bind the answer of a side effect, which is another one each time that it is asked."""


Outside = Cancel | Timer | Signal | Now | Chance | Effect
Inside = Call | Wait | First | Reduce | Map | Item
Statement = Outside | Inside | If | Order | Each | Try | Return | Restart
Block = tuple[Statement, ...]


@dataclass(frozen=True)
class Program:
    """A workflow: statements, what it returns, and the workflow that its dependency `sub` is."""

    body: Block
    result: Expr
    sub: Program | None


# The activities: pure, and total but for `flaky`.


def digest(value: object) -> int:
    """A number below `BASE` for any value of the programs; small integers are their own."""
    if value is None:
        return 0
    if isinstance(value, int):
        return value % BASE
    if isinstance(value, str):
        return sum(map(ord, value)) % BASE
    if isinstance(value, (set, frozenset)):
        return (31 + sum(map(digest, value))) % BASE
    if isinstance(value, Mapping):
        value = list(value.items())
    elif dataclasses.is_dataclass(value):
        value = [getattr(value, field.name) for field in dataclasses.fields(value)]
    assert isinstance(value, (list, tuple)), value
    number = len(value) + 7
    for item in value:
        number = (number * 5 + digest(item)) % BASE
    return number


def add(*args: object, **kwargs: object) -> int:
    """The sum modulo `BASE`: associative and commutative."""
    return (sum(map(digest, args)) + sum(map(digest, kwargs.values()))) % BASE


def inc(*args: object, **kwargs: object) -> int:
    """One more than the sum."""
    return (add(*args, **kwargs) + 1) % BASE


def join(*args: object, **kwargs: object) -> list[object]:
    """What it was given, as a list."""
    return [*args, kwargs] if kwargs else [*args]


def flaky(*args: object, **kwargs: object) -> int:
    """The sum; fails on every fourth."""
    number = add(*args, **kwargs)
    if number % 4 == 0:
        raise ValueError(f"flaky {number}")
    return number


ACTIVITIES: dict[str, Callable[..., Any]] = {"inc": inc, "add": add, "join": join, "flaky": flaky}
Deps = Mapping[str, Callable[..., Any]]
# Plain reducers, given the dependencies: without a call, with one, with two, and with one at times.
REDUCERS: dict[str, Callable[[Deps], Callable[[Any, Any], Any]]] = {
    "plain": lambda deps: lambda x, y: add(x, y),
    "calls": lambda deps: lambda x, y: deps["add"](x, y),
    "chain": lambda deps: lambda x, y: deps["add"](deps["inc"](x), y),
    "mixed": lambda deps: lambda x, y: add(x, y) if odd(x) else deps["add"](x, y),
}


def odd(value: Any) -> bool:
    """What conditions ask of a known value."""
    return digest(value) % 2 == 1


def odd_by_looking(value: Any) -> bool:
    """`odd` by operators that a result forwards; for what is no number: whether it is empty."""
    return bool(value % 2) if isinstance(value, int) else not value


def pick(sequence: list[Any] | range, back: int) -> Any:
    """The item `back` from the end, counted round (so -1 is the first)."""
    return sequence[-1 - back % len(sequence)]


def build(kind: str, items: list[Any]) -> Any:
    """The container of a `Box`. A set looks at its items, in order."""
    if kind in ("set", "frozenset"):
        members: set[Any] = set()
        for item in items:
            members.add(item)
        return members if kind == "set" else frozenset(members)
    if kind == "dict":
        return {f"k{number}": item for number, item in enumerate(items)}
    if kind in ("list", "tuple"):
        return items if kind == "list" else tuple(items)
    two = [*items, 0, 0][:2]
    return {"pair": Pair, "point": Point, "spot": Spot}[kind](*two)


# The strategies.


@dataclass(frozen=True)
class Grammar:
    """Which programs are written."""

    orders: bool = True  # what depends on the order in which tasks finish
    fails: bool = True  # tasks that fail, and restarts
    outside: bool = False  # cancels, timers, signals, the time, chance, side effects


BACK = st.integers(-5, 4)
MAPS = st.integers(0, 1)
CONSTS = st.builds(Const, st.integers(0, 9))
VARS = st.builds(Var, BACK)
WHOLES = st.builds(Whole, MAPS, MAPS)
KINDS = st.sampled_from(["list", "tuple", "dict", "pair", "point", "spot"])
SETS = st.sampled_from(["set", "frozenset"])


def often(usual: st.SearchStrategy[Any], *rare: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Three times in four the usual. (`one_of` drops what it is given twice.)"""
    return st.integers(0, 3).flatmap(lambda n: st.one_of(rare) if n == 3 else usual)


def tuples(items: st.SearchStrategy[Any], low: int, high: int) -> st.SearchStrategy[Any]:
    return st.lists(items, min_size=low, max_size=high).map(tuple)


LEAVES = often(VARS, CONSTS, WHOLES)
BOXES = st.recursive(
    often(st.builds(Box, KINDS, tuples(LEAVES, 1, 3)), st.builds(Box, SETS, tuples(VARS, 0, 2))),
    lambda inner: st.builds(Box, KINDS, tuples(LEAVES | inner, 1, 3)),
    max_leaves=3,
)
EXPRS = often(LEAVES, BOXES)
ARGS = tuples(EXPRS, 1, 3)
KWARGS = st.dictionaries(st.sampled_from(["p", "q"]), EXPRS).map(lambda d: tuple(d.items()))
SOURCES = often(tuples(LEAVES, 1, 4), tuples(VARS, 2, 4), tuples(LEAVES, 0, 2))
COLUMNS = tuples(often(tuples(LEAVES, 1, 4), WHOLES.map(lambda whole: (whole,))), 1, 2)
RESULTS = often(st.builds(Box, st.just("list"), tuples(EXPRS, 2, 6)), EXPRS)


def calls(grammar: Grammar) -> st.SearchStrategy[Statement]:
    deps = ["inc", "add", "join", "sub", *["flaky"] * grammar.fails]
    maps = st.builds(Map, st.sampled_from([*deps, "plain"]), COLUMNS)
    call = st.builds(Call, st.sampled_from(deps), ARGS, often(st.just(()), KWARGS))
    return often(call, maps)


def reducers(grammar: Grammar) -> st.SearchStrategy[Statement]:
    names = ["add", *REDUCERS, *["join", "flaky", "sub"] * grammar.orders]
    initial = st.none() | CONSTS | VARS
    return st.builds(Reduce, st.sampled_from(names), SOURCES, initial)


def blocks(depth: int, grammar: Grammar, low: int = 1, high: int = 4) -> st.SearchStrategy[Block]:
    """Statements that nest `depth` deep."""
    options: list[st.SearchStrategy[Statement]] = [
        st.builds(Item, MAPS, st.integers(0, 3)),
        reducers(grammar),
        st.builds(Wait, EXPRS),
    ]
    if grammar.orders:
        options.append(st.builds(First, SOURCES, st.booleans()))
    if depth:
        inner = blocks(depth - 1, grammar)
        named = st.booleans() if grammar.orders else st.just(False)
        options.append(st.builds(If, BACK, st.booleans(), inner, inner))
        options.append(st.builds(Each, MAPS, inner))
        options.append(st.builds(Try, inner, inner, named))
        if grammar.orders:
            take = st.none() | st.integers(0, 2)
            options.append(st.builds(Order, SOURCES, st.booleans(), take, inner))
    rare: list[st.SearchStrategy[Statement]] = []
    if depth < 2:
        rare.append(st.builds(Return, EXPRS))
        if grammar.fails:
            rare.append(st.builds(Restart, tuples(EXPRS, 0, 2)))
    if grammar.outside:
        rare.append(st.builds(Timer, st.integers(0, 9)))
        rare.append(st.builds(Signal, st.sampled_from(["s", "t"])))
        rare.append(st.builds(Cancel, BACK))
        rare.append(st.sampled_from([Now(), Chance(), Effect()]))
    many = often(st.one_of(options), *rare) if rare else st.one_of(options)
    return tuples(st.one_of(calls(grammar), many), low, high)


def programs(grammar: Grammar) -> st.SearchStrategy[Program]:
    """Programs of a grammar, half of them with a sub-workflow."""
    inside = dataclasses.replace(grammar, outside=False)
    subs = st.builds(Program, blocks(1, inside), EXPRS, st.none())
    return st.builds(Program, blocks(2, grammar, 5, 14), RESULTS, st.none() | subs)


def without_reductions(x: Any) -> Any:
    """The same program with no reductions, and lists for sets: what is left has one graph, whose nodes
    the oracle names as a trace does."""
    if isinstance(x, tuple):
        return tuple(without_reductions(y) for y in x if not isinstance(y, Reduce))
    if not dataclasses.is_dataclass(x) or isinstance(x, type):
        return x
    fields = {f.name: without_reductions(getattr(x, f.name)) for f in dataclasses.fields(x)}
    if isinstance(x, Box) and x.kind in ("set", "frozenset"):
        fields["kind"] = "list"
    return type(x)(**fields)


INPUTS = st.lists(st.integers(0, 9), min_size=1, max_size=2).map(tuple)


# The meaning in flowy.


class Reads(NamedTuple):
    """How often each variable and each map was read, by its number."""

    variables: Counter[int]
    maps: Counter[int]


class Names:
    """The values bound in a turn. With `budget` each is dropped when it was read that often."""

    def __init__(self, log: Counter[int], budget: Counter[int] | None, tie: bool) -> None:
        self.values: list[Any] = []
        self.log = log
        self.budget = budget
        self.tie = tie

    def bind(self, value: Any) -> None:
        self.values.append(value)
        if self.budget is not None and not self.budget[len(self.values) - 1]:
            self.drop(len(self.values) - 1)

    def read(self, back: int) -> Any:
        number = pick(range(len(self.values)), back)
        self.log[number] += 1
        value = self.values[number]
        if self.budget is not None and self.log[number] == self.budget[number]:
            self.drop(number)
        return value

    def drop(self, number: int) -> None:
        if self.tie:  # into a knot that only the garbage collector opens
            knot = [self.values[number]]
            knot.append(knot)
        self.values[number] = None


class Ending(NamedTuple):
    """What a block that ended the run returns."""

    value: Any


@dataclass(frozen=True)
class Options:
    """How a program is run: nothing here changes what it does.

    With `budget`, the `log` of an earlier run of the same program and events, values are dropped as
    soon as they can be; with `tie` into knots that only the garbage collector opens.
    """

    log: Reads | None = None
    budget: Reads | None = None
    tie: bool = False
    effect: Callable[[], int] = int


class Turn:
    """One turn of a program: its state, and what each statement does."""

    def __init__(self, program: Program, deps: Deps, turn: int, options: Options) -> None:
        log = options.log or Reads(Counter(), Counter())
        budget = options.budget
        self.program = program
        self.deps = deps
        self.turn = turn
        self.effect = options.effect
        self.fuel = FUEL
        self.names = Names(log.variables, budget and budget.variables, options.tie)
        self.maps = Names(log.maps, budget and budget.maps, options.tie)
        self.called: set[int] = set()  # the numbers of the variables that stand for calls

    def dep(self, name: str) -> Callable[..., Any]:
        return self.deps["inc" if name == "sub" and self.program.sub is None else name]

    def value(self, expr: Expr) -> Any:
        if isinstance(expr, Const):
            return expr.value
        if isinstance(expr, Var):
            return self.names.read(expr.back) if self.names.values else 0
        if isinstance(expr, Whole):
            found = self.maps.read(expr.back) if self.maps.values else []
            return found[expr.skip :] if expr.skip else found
        return build(expr.kind, [self.value(item) for item in expr.items])

    def sources(self, exprs: tuple[Expr, ...]) -> Any:
        """The sources as one iterable: the map itself where it is the only one."""
        if len(exprs) == 1 and isinstance(exprs[0], Whole):
            return self.value(exprs[0])
        found: list[Any] = []
        for expr in exprs:
            value = self.value(expr)
            found.extend(value) if isinstance(expr, Whole) else found.append(value)
        return found[:WIDTH]

    def watch(self, function: Callable[..., Any], statement: First | Order) -> Any:
        sources = self.sources(statement.sources)
        if statement.spread and len(sources) > 1:
            return function(*sources)
        return function(sources)

    def block(self, statements: Iterable[Statement]) -> Ending | None:
        for statement in statements:
            self.fuel -= 1
            if self.fuel < 0:
                return None
            ending = self.statement(statement)
            if ending is not None:
                return ending
        return None

    def statement(self, s: Statement) -> Ending | None:
        if isinstance(s, Call):
            args = [self.value(arg) for arg in s.args]
            kwargs = {name: self.value(arg) for name, arg in s.kwargs}
            self.called.add(len(self.names.values))
            self.names.bind(self.dep(s.dep)(*args, **kwargs))
        elif isinstance(s, Wait):
            self.names.bind(flowy.wait(self.value(s.value)))
        elif isinstance(s, If):
            seen = self.value(Var(s.back))
            yes = odd(flowy.wait(seen)) if s.with_wait else odd_by_looking(seen)
            return self.block(s.then if yes else s.other)
        elif isinstance(s, First):
            self.names.bind(self.watch(flowy.first, s))
        elif isinstance(s, Order):
            return self.order(s)
        elif isinstance(s, Reduce):
            self.names.bind(self.reduce(s))
        elif isinstance(s, Map):
            function = (lambda *xs: self.deps["inc"](*xs)) if s.function == "plain" else None
            columns = [self.sources(column) for column in s.columns]
            self.maps.bind(flowy.map(function or self.dep(s.function), *columns))
        elif isinstance(s, Item):
            found = self.value(Whole(s.back, 0))
            self.names.bind(found[s.index % len(found)] if len(found) else 0)
        elif isinstance(s, Each):
            for item in self.value(Whole(s.back, 0)):
                self.names.bind(item)
                ending = self.block(s.body)
                if ending is not None:
                    return ending
        elif isinstance(s, Try):
            return self.attempt(s)
        elif isinstance(s, Return):
            return Ending(self.value(s.value))
        elif isinstance(s, Restart):
            if self.turn < TURNS:
                inputs = [self.value(value) for value in s.inputs]
                return Ending(flowy.restart(*inputs, turn=self.turn + 1))
        else:
            self.outside(s)
        return None

    def order(self, s: Order) -> Ending | None:
        for number, item in enumerate(self.watch(flowy.finish_order, s)):
            if number == s.take:
                break
            self.names.bind(item)
            ending = self.block(s.body)
            if ending is not None:
                return ending
        return None

    def reduce(self, s: Reduce) -> Any:
        plain = REDUCERS.get(s.function)
        function = plain(self.deps) if plain else self.dep(s.function)
        sources = self.sources(s.sources)
        if s.initial is None:
            return flowy.parallel_reduce(function, sources)
        return flowy.parallel_reduce(function, sources, self.value(s.initial))

    def attempt(self, s: Try) -> Ending | None:
        try:
            return self.block(s.body)
        except (flowy.TaskError, flowy.CancelRequested) as error:
            self.names.bind(getattr(error, "key", "") if s.named else -1)
        return self.block(s.handler)

    def outside(self, s: Outside) -> None:
        if isinstance(s, Cancel):
            numbers = range(len(self.names.values))
            if numbers and pick(numbers, s.back) in self.called:
                flowy.cancel(self.value(Var(s.back)))
        elif isinstance(s, Timer):
            self.names.bind(flowy.timer(s.seconds))
        elif isinstance(s, Signal):
            self.names.bind(flowy.signal(s.name))
        elif isinstance(s, Now):
            self.names.bind(int(flowy.now().timestamp()))
        elif isinstance(s, Chance):
            self.names.bind(int(10 * flowy.random()))
        else:
            self.names.bind(flowy.side_effect(self.effect))


def workflow(
    program: Callable[[], Program], *, sub: bool = True, options: Options | None = None
) -> Callable[..., Callable[..., Any]]:
    """A workflow class that runs the program which `program()` gives when the run starts.

    `sub`: whether it asks for a dependency `sub`.
    """

    class Leaf:
        def __init__(self, inc: Any, add: Any, join: Any, flaky: Any) -> None:
            self.deps: dict[str, Any] = {"inc": inc, "add": add, "join": join, "flaky": flaky}

        def __call__(self, *inputs: Any, turn: int = 0, **named: Any) -> Any:
            state = Turn(program(), self.deps, turn, options or Options())
            for value in [*inputs, *named.values()]:
                state.names.bind(value)
            ending = state.block(state.program.body)
            return ending.value if ending is not None else state.value(state.program.result)

    class Parent(Leaf):
        def __init__(self, inc: Any, add: Any, join: Any, flaky: Any, sub: Any) -> None:
            super().__init__(inc, add, join, flaky)
            self.deps["sub"] = sub

    return Parent if sub else Leaf
