"""A result behaves as the value that it stands for: the data model, name by name.

Owns: the two tables of special names, `FORWARDED` (with what workflow code does to meet the name)
and `NOT_FORWARDED` (with the reason). A name of this Python's data model that is in neither fails
`test_every_special_name_is_in_one_table`. Also: what waits and what does not, failed results,
pickling and copying, logging, context variables, waiting inside C code.

May not know: how a result is made. Looks are compared with the same look at the plain value.
Its neighbours are docs/results.md, which tells users the same (a test compares the two), and
test_misuse.py, which has results that are used where they may not be.
"""

from __future__ import annotations

import builtins
import collections
import contextvars
import copy
import dataclasses
import functools
import io
import json
import logging
import math
import operator
import os
import pickle
import re
import sys
import threading
import types
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

import flowy

Look = Callable[[Any], Any]
Body = Callable[[Callable[..., Any]], Any]


class Looking:
    """Hands its dependency `give` to a function, which is the workflow's code."""

    def __init__(self, give: Callable[..., Any]) -> None:
        self.give = give

    def __call__(self, body: Body) -> Any:
        return body(self.give)


def call(make: Callable[..., Any], *args: Any) -> Any:
    """The activity `give`: the value that `make` makes."""
    return make(*args)


def in_workflow(body: Body, executor: str = "inline") -> Any:
    """What `body(give)` gives or raises when it is run as workflow code."""
    kept: list[tuple[bool, Any]] = []

    def keep(give: Callable[..., Any]) -> None:
        try:
            kept.append((True, body(give)))
        except BaseException as error:
            kept.append((False, error))
            if not isinstance(error, Exception):
                raise

    w = flowy.LocalWorkflow(Looking, activity_workers=2, executor=executor)
    w.conf_activity("give", call)
    w.run(keep)
    [(good, value)] = kept
    if not good:
        raise value
    return value


def unknown(result: Any) -> bool:
    """Whether the value of `result` is not there yet; does not wait."""
    return repr(result).startswith("<result ")


def one(value: Any) -> Any:
    """The value itself, for `give(one, value)`."""
    return value


def fail(text: str) -> Any:
    raise ValueError(text)


# -- values to look at ------------------------------------------------------------------------

ARITHMETIC = ["add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "pow"]
BINARY = [*ARITHMETIC, "lshift", "rshift", "and", "or", "xor"]
COMPARE = ["lt", "le", "eq", "ne", "gt", "ge"]


class Echo:
    """Has every operator; each tells how it was called."""

    def __repr__(self) -> str:
        return "Echo()"

    def __hash__(self) -> int:
        return 11


def _echo(name: str) -> Callable[..., Any]:
    def method(self: Echo, *args: Any) -> Any:
        return (name, *args)

    return method


for _name in (*BINARY, "divmod"):
    for _prefix in ("", "r", "i"):
        setattr(Echo, f"__{_prefix}{_name}__", _echo(_prefix + _name))
for _name in ("neg", "pos", "abs", "invert", "floor", "ceil", "trunc", "round", "call"):
    setattr(Echo, f"__{_name}__", _echo(_name))
for _name in COMPARE:
    setattr(Echo, f"__{_name}__", _echo(_name))


class Plain:
    """Has nothing but attributes; its attribute `x` can be set and deleted."""

    def __init__(self) -> None:
        self.x = 1

    def __repr__(self) -> str:
        return "Plain()"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plain) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return 12


class Managed(list[str]):
    """A context manager that notes what happens, with attributes made on the fly."""

    def __enter__(self) -> list[str]:
        self.append("entered")
        return ["the target"]

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> bool:
        self.append(f"left with {kind}")
        return True

    def __getattr__(self, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return f"made up {name}"


class Sized:
    """Only guesses its length."""

    def __repr__(self) -> str:
        return "Sized()"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def __hash__(self) -> int:
        return 13

    def __length_hint__(self) -> int:
        return 40


class Countdown(Sized):
    """An iterator."""

    def __init__(self) -> None:
        self.left = 2

    def __iter__(self) -> Countdown:
        return self

    def __next__(self) -> int:
        if self.left == 0:
            raise StopIteration
        self.left -= 1
        return self.left


class Known(ValueError):
    """An exception that equals another of its kind."""

    def __eq__(self, other: object) -> bool:
        return type(other) is Known and self.args == other.args

    def __hash__(self) -> int:
        return 14


def _function() -> Callable[..., Any]:
    vars(one).clear()
    return one


@dataclasses.dataclass
class Point:
    x: int = 0
    y: int = 0


VALUES: dict[str, Callable[[], Any]] = {
    "int": lambda: 7,
    "bool": lambda: True,
    "float": lambda: 2.5,
    "complex": lambda: 1 + 2j,
    "str": lambda: "ab",
    "digits": lambda: "12",
    "bytes": lambda: b"ab",
    "bytearray": lambda: bytearray(b"ab"),
    "list": lambda: [3, 1, 2],
    "tuple": lambda: (1, 2),
    "dict": lambda: {"a": 1, "b": 2},
    "counter": lambda: collections.Counter("aab"),
    "set": lambda: {1, 2},
    "frozenset": lambda: frozenset({1, 2}),
    "range": lambda: range(3),
    "None": lambda: None,
    "iterator": Countdown,
    "path": lambda: PurePosixPath("a/b"),
    "fraction": lambda: Fraction(7, 2),
    "decimal": lambda: Decimal("2.5"),
    "class": lambda: int,
    "generic class": lambda: list,
    "function": _function,
    "builtin function": lambda: len,
    "exception": lambda: Known("an instance"),
    "dataclass": lambda: Point(1, 2),
    "Echo": Echo,
    "Plain": Plain,
    "Managed": lambda: Managed(["made"]),
    "Sized": Sized,
}

# -- what workflow code does with a value: FORWARDED ------------------------------------------


def _with(r: Any) -> Any:
    seen = []
    with r as target:
        seen.append(target)
        fail("swallowed")
    return seen, flowy.wait(r)


def _after(change: Callable[[Any], None]) -> Look:
    """A look that changes the value and shows it then."""

    def look(r: Any) -> Any:
        change(r)
        return r.__class__, flowy.wait(r)

    return look


def _set_item(r: Any) -> None:
    r["a" if isinstance(r, dict) else 0] = 9


def _del_item(r: Any) -> None:
    del r["a" if isinstance(r, dict) else 0]


def _set_attribute(r: Any) -> None:
    r.x = 2


def _del_attribute(r: Any) -> None:
    del r.x


def _in_place(name: str) -> Look:
    """`r op= other` rebinds `r` to what plain Python would: the changed value, or a new one."""
    change = getattr(operator, f"i{name}")

    def look(r: Any) -> Any:
        value = flowy.wait(r)
        r = change(r, operand(value))
        return r, r is value, value

    return look


def operand(value: Any) -> Any:
    """Something that makes sense on the other side of an operator."""
    kinds: tuple[Any, ...] = (str, bytes, bytearray, list, tuple, dict, set, frozenset)
    for kind in kinds:
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, PurePosixPath):
        return "c"
    return None if isinstance(value, type) else 2


def _swapped(operation: Callable[..., Any]) -> Look:
    return lambda r: (operation(2, r),)


def _sides(operation: Callable[..., Any]) -> list[Look]:
    return [
        lambda r: operation(r, 2),
        lambda r: operation(r, operand(r)),
        lambda r: flowy.wait(operation(r, r)),
    ]


def _pow_modulo(r: Any) -> Any:
    """`pow(2, 3, r)`; not of a Decimal, which crashes CPython 3.13.0 itself."""
    if isinstance(r, Decimal):
        raise TypeError
    return pow(2, 3, r)


def _subclass(r: Any) -> Any:
    class Sub(r):  # type: ignore[misc]
        pass

    return Sub.__mro__[1:]


OPERATORS = {
    name: getattr(operator, name + "_" * (name in ("and", "or"))) for name in BINARY + COMPARE
} | {"divmod": divmod}

FORWARDED: dict[str, list[Look]] = {
    "__abs__": [abs],
    "__bool__": [bool, operator.not_, lambda r: 1 if r else 2, lambda r: bool(r and 3)],
    "__buffer__": [lambda r: memoryview(r).tolist(), lambda r: bytes(memoryview(r))],
    "__bytes__": [bytes],
    "__call__": [lambda r: r(), lambda r: r([1]), lambda r: r("12", base=8)],
    "__ceil__": [math.ceil],
    "__class__": [
        lambda r: r.__class__,
        lambda r: isinstance(r, int),
        lambda r: isinstance(r, (str, list)),
        lambda r: setattr(r, "__class__", Managed),
    ],
    "__class_getitem__": [lambda r: r[int]],
    "__complex__": [complex],
    "__contains__": [lambda r: 1 in r, lambda r: "a" in r, lambda r: [] not in r],
    "__copy__": [copy.copy],
    "__deepcopy__": [copy.deepcopy],
    "__delattr__": [_after(_del_attribute), _after(lambda r: delattr(r, "none such"))],
    "__delitem__": [_after(_del_item)],
    "__dir__": [dir],
    "__enter__": [_with],
    "__exit__": [_with],
    "__float__": [float],
    "__floor__": [math.floor],
    "__format__": [format, lambda r: format(r, ">6"), lambda r: f"{r:.1f}", "{:x}".format],
    "__fspath__": [os.fspath, os.path.basename, Path],
    "__getattr__": [lambda r: r.anything, lambda r: r.real],
    "__getattribute__": [lambda r: r.x, lambda r: r.none_such, lambda r: r.count(1)],
    "__getitem__": [lambda r: r[0], lambda r: r["a"], lambda r: r[1:], lambda r: r[10]],
    "__getstate__": [lambda r: pickle.loads(pickle.dumps(r, 4))],
    "__hash__": [hash, lambda r: flowy.wait({r: 1}), lambda r: flowy.wait({r})],
    "__index__": [operator.index, lambda r: [*range(9)][r], lambda r: range(r), hex],
    "__instancecheck__": [lambda r: isinstance(3, r), lambda r: isinstance("3", r)],
    "__int__": [int],
    "__invert__": [operator.invert],
    "__iter__": [
        lambda r: list(iter(r)),
        lambda r: [*r],
        lambda r: sorted(r),
        lambda r: (lambda *a: a)(*r),
        lambda r: [x for x in r if x],
        lambda r: dict(r),
        lambda r: (lambda **k: k)(**r),
        lambda r: (lambda a, b: (a, b))(*r),
    ],
    "__len__": [len],
    "__length_hint__": [operator.length_hint, lambda r: operator.length_hint(r, 9)],
    "__mro_entries__": [_subclass],
    "__neg__": [operator.neg],
    "__next__": [next, lambda r: next(r, 5), lambda r: (next(r), next(r), next(r, 6))],
    "__pos__": [operator.pos],
    "__pow__": [lambda r: pow(r, 2, 5)],
    "__rpow__": [_swapped(operator.pow), lambda r: pow(2, r, 5), _pow_modulo],
    "__reduce__": [lambda r: pickle.loads(pickle.dumps(r, 0))],
    "__reduce_ex__": [
        lambda r: pickle.loads(pickle.dumps(r)),
        lambda r: pickle.loads(pickle.dumps([r, {"a": r}], 2)),
    ],
    "__release_buffer__": [lambda r: memoryview(r).release()],
    "__repr__": [lambda r: (flowy.wait(r), repr(r)), lambda r: (flowy.wait(r), f"{r!r}")],
    "__reversed__": [lambda r: [*reversed(r)]],
    "__round__": [round, lambda r: round(r, 1), lambda r: round(r, ndigits=None)],
    "__setattr__": [_after(_set_attribute)],
    "__setitem__": [_after(_set_item)],
    "__str__": [str, "{}".format, lambda r: operator.mod("%s", (r,))],
    "__subclasscheck__": [lambda r: issubclass(bool, r), lambda r: issubclass(str, r)],
    "__trunc__": [math.trunc],
}
for _name, _operation in OPERATORS.items():
    FORWARDED.setdefault(f"__{_name}__", []).extend(_sides(_operation))
    if _name not in COMPARE:
        FORWARDED.setdefault(f"__r{_name}__", [_swapped(_operation)])
    if _name in BINARY:
        FORWARDED[f"__i{_name}__"] = [_in_place(_name)]

# Names that Python or its library read as plain attributes; those of classes, functions,
# modules, exceptions, methods, generic aliases.
ATTRIBUTES = """
    abstractmethods alloc annotations args base bases basicsize builtins cause closure code context
    defaults dict dictoffset doc firstlineno flags func getformat getnewargs getnewargs_ex
    globals isabstractmethod itemsize kwdefaults module mro name notes objclass origin
    parameters qualname replace self self_class setformat setstate static_attributes subclasses
    suppress_context text_signature thisclass traceback type_params typing_unpacked_tuple_args
    unpacked weakrefoffset wrapped file loader package path spec cached orig_bases
    dataclass_fields dataclass_params
"""
LOOKS = list(FORWARDED)
PLAIN_ATTRIBUTES = [f"__{name}__" for name in ATTRIBUTES.split()]
FORWARDED |= {name: [operator.attrgetter(name)] for name in PLAIN_ATTRIBUTES}

ASYNC = "workflow code is synchronous; a result is waited for by looking at it"
DESCRIPTOR = "acts for an object that sits in a class; a result in a class body stays a result"
CLASS = "called on a class while an object or a subclass of it is made, never on an instance"
NOT_FORWARDED = {
    "__aenter__": ASYNC,
    "__aexit__": ASYNC,
    "__aiter__": ASYNC,
    "__anext__": ASYNC,
    "__await__": ASYNC,
    "__classcell__": CLASS,
    "__del__": "the end of a result is not the end of its value",
    "__delete__": DESCRIPTOR,
    "__get__": DESCRIPTOR,
    "__init__": CLASS,
    "__init_subclass__": CLASS,
    "__match_args__": "read from the class in the pattern, never from the subject",
    "__missing__": "called by a dict on itself",
    "__new__": CLASS,
    "__prepare__": CLASS,
    "__set__": DESCRIPTOR,
    "__set_name__": DESCRIPTOR,
    "__sizeof__": "sys.getsizeof tells the size of the result itself",
    "__slots__": CLASS,
    "__subclasshook__": CLASS,
    "__weakref__": "a weak reference is one to the result, not to its value",
}

# The language reference's names that no builtin type need have.
REFERENCE = """
    abs add aenter aexit aiter and anext await bool buffer bytes call ceil class class_getitem
    classcell closure complex contains copy deepcopy defaults del delattr delete delitem dict dir
    divmod doc enter eq exit float floor floordiv format fspath ge get getattr getattribute getitem
    getnewargs getnewargs_ex getstate gt hash iadd iand ifloordiv ilshift imatmul imod imul index
    init init_subclass instancecheck int invert ior ipow irshift isub iter itruediv ixor le len
    length_hint lshift lt match_args matmul missing mod mro_entries mul name ne neg new next or
    orig_bases pos pow prepare radd rand rdivmod reduce reduce_ex release_buffer repr reversed
    rfloordiv rlshift rmatmul rmod rmul ror round rpow rrshift rshift rsub rtruediv rxor set
    set_name setattr setitem setstate sizeof slots str sub subclasscheck subclasshook truediv trunc
    weakref xor file loader package path spec cached notes replace
"""


def data_model() -> set[str]:
    """Every special name that this Python knows of."""
    names = {f"__{name}__" for name in REFERENCE.split()}
    for module in (builtins, types):
        for kind in vars(module).values():
            if isinstance(kind, type):
                names |= {*dir(kind), *dir(type(kind))}
    return {name for name in names if name.startswith("__") and name.endswith("__")}


def test_every_special_name_is_in_one_table() -> None:
    names = data_model()
    assert names - FORWARDED.keys() - NOT_FORWARDED.keys() == set()
    assert FORWARDED.keys() & NOT_FORWARDED.keys() == set()


@pytest.mark.parametrize("name", NOT_FORWARDED)
def test_what_is_not_forwarded_is_not_there(name: str) -> None:
    """What is no part of every object is not part of a result's type either."""
    if not hasattr(object, name):
        kind: Any = in_workflow(lambda give: type(give(one, 3)))
        assert name == "__weakref__" or not any(name in vars(c) for c in kind.__mro__)


# -- the looks --------------------------------------------------------------------------------


def plainly(value: Any) -> Any:
    """`value` in a form that can be compared."""
    assert not flowy.is_result(value), "a look gave a result where the value gives a value"
    if type(value) in (list, tuple):
        return type(value)(map(plainly, value))
    if isinstance(value, Iterator):
        return type(value), list(value)
    return (Echo, "Echo()") if type(value) is Echo else (type(value), value)


def outcome(look: Look, subject: Any) -> Any:
    """What `look(subject)` comes to, in a form that can be compared."""
    try:
        return "gave", plainly(look(subject))
    except Exception as error:
        return "raised", type(error)


@pytest.mark.parametrize("name", LOOKS)
def test_a_look_at_a_result_is_a_look_at_its_value(name: str) -> None:
    """Each look at each kind of value: the same value of the same type, or the same error."""

    def body(give: Callable[..., Any]) -> dict[tuple[str, int], Any]:
        seen = {}
        for kind, make in VALUES.items():
            for number, look in enumerate(FORWARDED[name]):
                r = give(make)
                assert unknown(r)
                seen[kind, number] = outcome(look, r)
        return seen

    expected = {
        (kind, number): outcome(look, make())
        for kind, make in VALUES.items()
        for number, look in enumerate(FORWARDED[name])
    }
    assert in_workflow(body) == expected


def _exemplars() -> list[Any]:
    closed_over = 1

    def function(a: int = closed_over, *, b: int = 2) -> int:
        return a + b + closed_over

    class Class(Plain):
        """A class."""

        def method(self) -> Any:
            return super()

    try:
        raise ValueError("raised") from KeyError("cause")
    except ValueError as caught:
        error = caught
    return [
        *(int, Class, Plain, float, function, len, types, json, error, list[int], int | None),
        *(Class().method, staticmethod(function), vars(Plain)["__dict__"], Class().method()),
        *(7, "ab", Point(1, 2), int.__add__, types.SimpleNamespace(a=1), iter([1])),
        *(bytearray(b"a"), property(function)),
    ]


@pytest.mark.parametrize("name", PLAIN_ATTRIBUTES)
def test_an_attribute_of_a_result_is_that_of_its_value(name: str) -> None:
    def body(give: Callable[..., Any]) -> int:
        found = 0
        for value in _exemplars():
            r = give(lambda value=value: value)
            assert unknown(r)
            if not hasattr(value, name):
                with pytest.raises(AttributeError):
                    getattr(r, name)
                continue
            found += 1
            mine, theirs = getattr(r, name), getattr(value, name)
            assert type(mine) is type(theirs)
            assert mine is theirs or mine == theirs or repr(mine) == repr(theirs)
        return found

    in_workflow(body)


@pytest.mark.parametrize("name", FORWARDED)
def test_every_look_at_a_failed_result_raises(name: str) -> None:
    def body(give: Callable[..., Any]) -> None:
        for look in FORWARDED[name]:
            r = give(fail, "no")
            with pytest.raises(flowy.TaskError, match="ValueError: no"):
                look(r)

    in_workflow(body)


def test_what_c_code_asks_of_bytes() -> None:
    """The buffer of a result is that of its value, where C code wants one and hides the error."""

    def body(give: Callable[..., Any]) -> Any:
        rs = [give(one, b"ab") for _ in range(4)]
        written = give(bytearray, 2)
        memoryview(written)[0] = 65
        text, joined = str(rs[0], "ascii"), b"-".join([rs[2]])
        return text, b"-" + rs[1], joined, re.sub(b"a", b"c", rs[3]), written[0]

    assert in_workflow(body) == ("ab", b"-ab", b"ab", b"cb", 65)


def test_what_numpy_asks() -> None:
    numpy = pytest.importorskip("numpy")

    def body(give: Callable[..., Any]) -> Any:
        rs = [give(numpy.arange, 3) for _ in range(9)]
        scalar = give(one, 2.0)
        return [
            *(numpy.asarray(rs[0]), numpy.add(rs[1], 1), rs[2] @ rs[2], numpy.arange(3) * rs[3]),
            *(rs[4][rs[4] > 1], rs[5].sum(), numpy.float64(3) + scalar, numpy.stack(rs[6:8])),
            *(numpy.sqrt(scalar), numpy.arange(3)[give(one, 1)], numpy.array([scalar, 1])),
        ]

    a = numpy.arange(3)
    expected = [a, a + 1, 5, a * a, a[2:], 3, numpy.float64(5), numpy.stack([a, a])]
    expected += [numpy.sqrt(2.0), 1, numpy.array([2.0, 1])]
    got = in_workflow(body)
    assert [type(x) for x in got[:2]] == [numpy.ndarray, numpy.ndarray]
    assert [numpy.asarray(x).tolist() for x in got] == [numpy.asarray(x).tolist() for x in expected]


def test_two_results_meet_in_one_operator() -> None:
    def body(give: Callable[..., Any]) -> Any:
        a, b, c = give(one, 7), give(one, 2), give(one, 5)
        return a + b, a > b, pow(a, b, c), divmod(a, b), give(one, "a") + give(one, "b"), a == a

    assert in_workflow(body) == (9, True, 4, (3, 1), "ab", True)


def test_what_an_operator_gives_is_plain() -> None:
    def body(give: Callable[..., Any]) -> Any:
        r = give(one, 7)
        return [type(x) for x in (r + 1, 1 + r, -r, int(r), r.real, r == 7, abs(r))]

    assert in_workflow(body) == [int, int, int, int, int, bool, int]


def test_in_place_operators_change_the_value_and_rebind() -> None:
    kept: list[Any] = [0]

    def body(give: Callable[..., Any]) -> Any:
        r = also = give(lambda: kept)
        r += [1]
        count = give(one, 7)
        count += 1
        return r is kept, list(also), type(count), count

    assert in_workflow(body) == (True, [0, 1], int, 8)
    assert kept == [0, 1]


def test_a_value_that_changes_shows_in_the_result() -> None:
    def body(give: Callable[..., Any]) -> Any:
        r = give(dict)
        r["a"] = [1]
        r["a"].append(2)
        r.update(b=3)
        return flowy.wait(r)

    assert in_workflow(body) == {"a": [1, 2], "b": 3}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickling_and_copying_in_workflow_code_look(protocol: int) -> None:
    values = [7, "ab", [1, [2]], {"a": 1}, None, int, len, one, Plain(), Point(1, 2)]

    def body(give: Callable[..., Any]) -> Any:
        rs = [give(one, value) for value in values]
        there_and_back = [pickle.loads(pickle.dumps(r, protocol)) for r in rs]
        python = [pickle._loads(pickle._dumps(r, protocol)) for r in rs]  # type: ignore[attr-defined]
        rs = [give(one, value) for value in values]
        copies = [copy.copy(r) for r in rs], [copy.deepcopy(r) for r in rs]
        return there_and_back, python, *copies, copy.deepcopy({"a": rs})

    there_and_back, python, shallow, deep, nested = in_workflow(body)
    for got in (there_and_back, python, shallow, deep, nested["a"]):
        assert got == values
        assert [type(x) for x in got] == [type(x) for x in values]


def test_a_copy_is_a_copy_of_the_value() -> None:
    value = [[1]]

    def body(give: Callable[..., Any]) -> Any:
        r = give(lambda: value)
        shallow, deep = copy.copy(r), copy.deepcopy(r)
        return shallow is not value, shallow[0] is value[0], deep == value, deep[0] is not value[0]

    assert in_workflow(body) == (True, True, True, True)


# -- what waits -------------------------------------------------------------------------------


def _store(r: Any) -> Any:
    s = r
    pair = (s, [r])
    table = {"a": r, 1: pair}
    table["b"] = r
    return table


WAITS_NOT: dict[str, Look] = {
    "type(r)": type,
    "r is x": lambda r: r is None,
    "flowy.is_result(r)": flowy.is_result,
    "assignment": _store,
    "in a list, a tuple, as a dict value": _store,
    "repr(r)": repr,
    "f'{r!r}'": lambda r: f"{r!r} {[r]} {(r,)} { {'a': r} }",
    "id(r)": id,
    "first": lambda r: flowy.first(r, r),
    "finish_order": lambda r: next(iter(flowy.finish_order(r, r))),
}


@pytest.mark.parametrize("what", WAITS_NOT)
def test_what_does_not_wait(what: str) -> None:
    def body(give: Callable[..., Any]) -> Any:
        r = give(one, 7)
        WAITS_NOT[what](r)
        return repr(r)

    assert in_workflow(body) == "<result give-0-0, running>"


def test_a_result_passed_on_waits_for_nothing() -> None:
    def body(give: Callable[..., Any]) -> Any:
        r = give(one, 7)
        s = give(one, r)
        t = give(one, {"deep": [(s, Point(r, 1))]})
        assert unknown(r)
        assert unknown(s)
        assert repr(t).startswith("<result give-2-0, ")
        assert unknown(t)
        return flowy.wait(t)

    assert in_workflow(body) == {"deep": [(7, Point(7, 1))]}


def test_the_repr_is_that_of_the_value_once_it_is_there() -> None:
    def body(give: Callable[..., Any]) -> Any:
        r = give(one, "x")
        before = repr(r)
        len(r)
        return before, repr(r), f"{r!r}", repr([r])

    assert in_workflow(body) == ("<result give-0-0, running>", "'x'", "'x'", "['x']")


def test_the_repr_of_a_failed_result_does_not_raise() -> None:
    def body(give: Callable[..., Any]) -> Any:
        r = give(fail, "no")
        with pytest.raises(flowy.TaskError):
            flowy.wait(r)
        return repr(r), repr([r])

    alone, listed = in_workflow(body)
    assert "give-0-0" in alone
    assert listed == f"[{alone}]"


def test_the_repr_of_a_value_whose_repr_raises_does_not_raise() -> None:
    class Shy:
        def __repr__(self) -> str:
            raise RuntimeError("not now")

    def body(give: Callable[..., Any]) -> Any:
        r = give(Shy)
        flowy.wait(r)
        return repr(r)

    assert "give-0-0" in in_workflow(body)


def test_is_result_tells_results_without_waiting() -> None:
    def body(give: Callable[..., Any]) -> Any:
        r = give(one, 7)
        before = flowy.is_result(r)
        value = flowy.wait(r)
        return before, flowy.is_result(r), flowy.is_result(value), flowy.is_result([r])

    assert in_workflow(body) == (True, True, False, False)


def test_a_look_waits_for_its_result_only() -> None:
    """The look at one result returns while another, needed by nobody yet, still runs."""
    release = threading.Event()

    def body(give: Callable[..., Any]) -> Any:
        slow = give(lambda: release.wait(30) and "slow")
        quick = give(one, 7)
        seen = quick + 1, unknown(slow)
        release.set()
        return *seen, str(slow)

    assert in_workflow(body, "threads") == (8, True, "slow")


# -- failed results ---------------------------------------------------------------------------


def test_each_look_at_a_failed_result_raises_a_fresh_error(build: Any) -> None:
    errors: list[flowy.TaskError] = []

    def body(give: Callable[..., Any]) -> None:
        give(one, 0)
        r = give(fail, "bad 7")
        for look in (flowy.wait, len, bool, str, lambda r: r + 1, lambda r: flowy.wait([r])):
            try:
                look(r)
            except flowy.TaskError as error:
                errors.append(error)

    in_workflow(body)
    assert len({id(error) for error in errors}) == len(errors) == 6
    for error in errors:
        assert type(error) is flowy.TaskError
        assert (error.key, error.name, error.attempt) == ("give-1-0", "give", 0)
        assert "ValueError: bad 7" in error.remote_traceback
        assert "in fail" in error.remote_traceback
        assert isinstance(error.__cause__, ValueError)
        assert error.__cause__.args == ("bad 7",)
    depths = {len(list(_frames(error))) for error in errors}
    assert max(depths) <= min(depths) + 2, "a look's traceback grows with the looks before it"


def _frames(error: BaseException) -> Iterator[types.FrameType]:
    traceback = error.__traceback__
    while traceback is not None:
        yield traceback.tb_frame
        traceback = traceback.tb_next


def test_a_call_that_needs_a_failed_result_fails_the_same_way() -> None:
    def body(give: Callable[..., Any]) -> Any:
        r = give(fail, "first")
        later = give(one, [r])
        with pytest.raises(flowy.TaskError) as late:
            flowy.wait(later)
        with pytest.raises(flowy.TaskError) as at_once:
            flowy.wait(give(one, {"a": r}))
        return late.value.key, at_once.value.key

    assert in_workflow(body) == ("give-0-0", "give-0-0")


# -- logging, context variables, C code -------------------------------------------------------


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    """A logger of its own, and what it wrote."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("flowy_test_result")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield logger, stream
    logger.removeHandler(handler)


def test_logging_a_result_gives_its_repr_and_does_not_wait(
    log: tuple[logging.Logger, io.StringIO],
) -> None:
    logger, stream = log

    def body(give: Callable[..., Any]) -> Any:
        r = give(one, 7)
        logger.info("%s", r)
        logger.info("%s and %r", [r], r)
        assert unknown(r)
        r + 1
        logger.info("%s", r)

    in_workflow(body)
    running = "<result give-0-0, running>"
    assert stream.getvalue().splitlines() == [running, f"[{running}] and {running}", "7"]


def test_logging_a_result_while_activities_log_does_not_stand_still(
    log: tuple[logging.Logger, io.StringIO], build: Any
) -> None:
    """Had the log call waited under the handler's lock, the activity would never get it."""
    logger, stream = log

    def activity(n: int) -> int:
        logger.info("activity %s", n)
        return n

    def body(give: Callable[..., Any]) -> Any:
        rs = [give(activity, n) for n in range(20)]
        for r in rs:
            logger.info("%s", r)
        return sum(rs)

    w = build(Looking, "threads", give=call)
    assert w.start(body).result(timeout=60) == 190
    assert len(stream.getvalue().splitlines()) == 40


variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nothing")


class Parent:
    """Sets the variable, calls a child workflow that sets it too, and looks at it all the time."""

    def __init__(self, give: Callable[..., Any], child: Callable[..., Any]) -> None:
        self.give = give
        self.child = child

    def __call__(self) -> list[str]:
        seen = [variable.get()]
        variable.set("the parent's")
        child = self.child()
        seen.append(variable.get())
        self.give(one, 1) + 1
        seen.append(variable.get())
        flowy.wait(child)
        seen.append(variable.get())
        return seen


class Child:
    def __init__(self, give: Callable[..., Any]) -> None:
        self.give = give

    def __call__(self) -> list[str]:
        seen = [variable.get()]
        variable.set("the child's")
        self.give(one, 1) + 1
        return [*seen, variable.get()]


@pytest.mark.parametrize("executor", ["inline", "threads"])
def test_a_run_has_the_context_of_its_caller_and_keeps_its_changes(build: Any, executor: str) -> None:
    child_saw: list[str] = []

    class NotingChild(Child):
        def __call__(self) -> list[str]:
            child_saw.extend(super().__call__())
            return child_saw

    child = build(NotingChild, executor, give=call)
    w = build(Parent, executor, give=call)
    w.conf_workflow("child", child)

    def run() -> None:
        variable.set("the caller's")
        parents = ["the caller's", "the parent's", "the parent's", "the parent's"]
        assert w.run() == parents
        assert w.start().result(timeout=60) == parents
        assert variable.get() == "the caller's"

    contextvars.copy_context().run(run)
    assert variable.get() == "nothing"
    assert child_saw[1::2] == ["the child's", "the child's"]
    assert set(child_saw[0::2]) <= {"the caller's", "the parent's"}


@functools.total_ordering
class Keyed:
    """Looks at a result each time it is compared or hashed."""

    def __init__(self, result: Any) -> None:
        self.result = result

    def __eq__(self, other: object) -> bool:
        return bool(self.result == getattr(other, "result", other))

    def __lt__(self, other: Any) -> bool:
        return bool(self.result < other.result)

    def __hash__(self) -> int:
        return hash(self.result)


IN_C: dict[str, tuple[Callable[[list[Any]], Any], Any]] = {
    "a sort": (lambda rs: [int(r) for r in sorted(rs)], [1, 2, 3]),
    "a sort key": (lambda rs: sorted(range(3), key=lambda n: rs[n]), [1, 2, 0]),
    "list.sort": (lambda rs: (rs.sort(), flowy.wait(rs))[1], [1, 2, 3]),
    "comparing in a sort": (lambda rs: [k.result + 0 for k in sorted(map(Keyed, rs))], [1, 2, 3]),
    "sum": (sum, 6),
    "max": (lambda rs: max(rs) + 0, 3),
    "any and all": (lambda rs: (any(rs), all(rs)), (True, True)),
    "a dict look-up": (lambda rs: {3: "c"}[rs[0]], "c"),
    "a dict look-up that compares": (lambda rs: {Keyed(rs[1]): "a"}[Keyed(1)], "a"),
    "a result as key": (lambda rs: {rs[0]: "c"}[3], "c"),
    "a set": (lambda rs: {int(n) for n in set(rs)} | {4}, {1, 2, 3, 4}),
    "in": (lambda rs: 2 in rs, True),
    "list.index": (lambda rs: rs.index(2), 2),
    "map": (lambda rs: list(map(abs, rs)), [3, 1, 2]),
    "reduce": (lambda rs: functools.reduce(operator.add, rs), 6),
    "re.sub": (lambda rs: re.sub(r"\d", lambda m: str(rs[int(m[0])]), "0 1 2"), "3 1 2"),
    "json's default": (lambda rs: json.dumps(rs, default=flowy.wait), "[3, 1, 2]"),
    "math.fsum": (math.fsum, 6.0),
    "bytes": (bytes, b"\x03\x01\x02"),
    "%d": (lambda rs: operator.mod("%d %s", (rs[0], rs[1])), "3 1"),
    "math.sqrt": (lambda rs: math.sqrt(rs[1]), 1.0),
    "a slice": (lambda rs: "abcdef"[rs[1] : rs[0]], "bc"),
}


@pytest.mark.parametrize("executor", ["inline", "threads"])
@pytest.mark.parametrize("where", IN_C)
def test_waiting_inside_c_code_works(where: str, executor: str) -> None:
    use, expected = IN_C[where]

    def body(give: Callable[..., Any]) -> Any:
        return use([give(one, 3), give(one, 1), give(one, 2)])

    assert in_workflow(body, executor) == expected


def test_waiting_in_c_code_of_many_runs_at_once(build: Any) -> None:
    """The stacks of several runs, each in the middle of a sort, do not get mixed up."""

    def body(give: Callable[..., Any]) -> Any:
        rs = [give(one, -n) for n in range(30)]
        return sorted(range(30), key=lambda n: rs[n])

    with build(Looking, "threads", give=call) as w:
        runs = [w.start(body) for _ in range(5)]
        assert [run.result(timeout=60) for run in runs] == [list(range(29, -1, -1))] * 5


# -- what can't be forwarded, as docs/results.md tells it -------------------------------------


def _raises(kind: type[Exception], look: Look) -> Look:
    def check(r: Any) -> bool:
        with pytest.raises(kind):
            look(r)
        return True

    return check


def _match_mapping(r: Any) -> bool:
    match r:
        case {"a": _}:
            return False
    return True


def _match_sequence(r: Any) -> bool:
    match r:
        case [_, _]:
            return False
    return True


def _match_none(r: Any) -> bool:
    match r:
        case None:
            return False
    return True


def _raise(r: Any) -> None:
    raise r


def _except(r: Any) -> None:
    try:
        raise ValueError
    except r:
        pass


# What docs/results.md says can't be done with a result: the value, and a check that it is so.
CANNOT: dict[str, tuple[Any, Look]] = {
    "r is x": (None, lambda r: r is not None),
    "type(r)": (3, lambda r: type(r) is not int),
    "case {…}": ({"a": 1}, _match_mapping),
    "case [a, b]": ([1, 2], _match_sequence),
    "case None": (None, _match_none),
    "', '.join([r])": ("a", _raises(TypeError, lambda r: ", ".join([r]))),
    "r in 'text'": ("t", _raises(TypeError, lambda r: r in "text")),
    "'text'.startswith(r)": ("t", _raises(TypeError, lambda r: "text".startswith(r))),
    "int(r, 16)": ("ff", _raises(TypeError, lambda r: int(r, 16))),
    "getattr(x, r)": ("real", _raises(TypeError, lambda r: getattr(1, r))),
    "re.search(p, r)": ("text", _raises(TypeError, lambda r: re.search("t", r))),
    "'%s %s' % r": ((1, 2), _raises(TypeError, lambda r: operator.mod("%s %s", r))),
    "json.dumps(r)": ([1], _raises(TypeError, json.dumps)),
    "xs[r]": (slice(1, 2), _raises(TypeError, lambda r: [1, 2, 3][r])),
    "raise r": (ValueError("x"), _raises(TypeError, _raise)),
    "except r": (ValueError, _raises(TypeError, _except)),
    "issubclass(r, C)": (int, lambda r: not issubclass(r, int)),
    "callable(r)": (3, callable),
    "isinstance(r, Sized)": (3, lambda r: isinstance(r, collections.abc.Sized)),
    "isinstance(r, Hashable)": ([], lambda r: isinstance(r, collections.abc.Hashable)),
    "hasattr(r, '__len__')": (3, lambda r: hasattr(r, "__len__")),
    "sys.getsizeof(r)": ([0] * 1000, lambda r: sys.getsizeof(r) != sys.getsizeof([0] * 1000)),
}


@pytest.mark.parametrize("what", CANNOT)
def test_what_can_not_be_forwarded(what: str) -> None:
    value, check = CANNOT[what]
    assert in_workflow(lambda give: check(give(one, value)))


@pytest.mark.parametrize("what", CANNOT)
def test_waiting_is_the_way_out(what: str) -> None:
    """`wait(r)` is the value itself, whatever the value."""
    value, _ = CANNOT[what]
    assert in_workflow(lambda give: flowy.wait(give(lambda: value)) is value)


def test_match_by_class_and_by_literal_works() -> None:
    def body(give: Callable[..., Any]) -> Any:
        seen = []
        for value in (3, "x", Point(1, 2), 2.5, KeyError("k")):
            match give(one, value):
                case 3:
                    seen.append("literal")
                case str():
                    seen.append("str")
                case Point(x=1, y=other):
                    seen.append(f"Point {other}")
                case float(number):
                    seen.append(f"float {number}")
                case KeyError():
                    seen.append("KeyError")
        return seen

    assert in_workflow(body) == ["literal", "str", "Point 2", "float 2.5", "KeyError"]


def test_the_page_for_users_tells_the_same() -> None:
    """Every row of `CANNOT`, `WAITS_NOT` and `NOT_FORWARDED` is on the page."""
    page = (Path(__file__).parent.parent / "docs" / "results.md").read_text()
    for what in [*CANNOT, *NOT_FORWARDED]:
        assert f"`{what}`" in page, what
    for what in WAITS_NOT:
        assert what in page, what
