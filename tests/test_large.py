"""Large values: written once, mapped where they are needed, private to who got them, gone after use.

Owns: what flowy promises of buffers from 64 KiB on under worker processes, and `segments` by itself
where a promise can't be seen from outside (litter, full folders).

May not know how fast any of it is: that is measured in benchmarks/. Its neighbour is test_leftovers.py,
which holds that nothing is left however a run ends; conftest.py looks at /dev/shm after every test.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gc
import logging
import os
import signal
import tempfile
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import flowy
from flowy.local import large, segments
from flowy.serialization import LARGE

np = pytest.importorskip("numpy")
MB = 1 << 20


class Open:
    """A workflow that lets a function, its argument, be its code."""

    def __init__(self, do: Callable[..., Any]) -> None:
        self.do = do

    def __call__(self, body: Callable[..., Any], *args: Any) -> Any:
        return body(self.do, *args)


def call(f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return f(*args, **kwargs)


def make(executor: Any = "processes", workers: int = 2, **options: Any) -> flowy.LocalWorkflow:
    w = flowy.LocalWorkflow(Open, activity_workers=workers, executor=executor, **options)
    w.conf_activity("do", call)
    return w


def store_of(w: flowy.LocalWorkflow) -> large.Store:
    executor = w._executor
    assert executor is not None
    assert executor.store is not None
    return executor.store


def files_of(store: large.Store) -> list[str]:
    """The segments of a pool that are there."""
    return [path for place in store.places for path in segments.paths(place, f"flowy-{store.token}-")]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The recipes that this process, the driver, has opened."""
    found: list[Any] = []
    real = large._open

    def count(recipe: Any, lease_of: Any) -> Any:
        found.append(recipe)
        return real(recipe, lease_of)

    monkeypatch.setattr(large, "_open", count)
    return found


# Activities. Spawned workers get them by value.


def bytes_of(n: int, what: bytes = b"x") -> bytes:
    return what * n


def array_of(n: int, what: int = 7) -> Any:
    import numpy

    return numpy.full(n, what, numpy.uint8)


def total(array: Any) -> int:
    return int(array.sum())


def spoil(array: Any) -> int:
    """What it finds, before it changes it."""
    found = int(array[0])
    array[:] = 99
    return found


@dataclass
class Box:
    name: str
    data: Any


@dataclass
class Deep:
    box: Box


def nested(n: int) -> Any:
    import numpy

    array = numpy.arange(n, dtype=numpy.int32)
    data = b"b" * n
    return {"a": [array, data, data], "b": (bytearray(b"c" * n), "small"), "deep": Deep(Box("d", data))}


SIZES = (1, 1 << 10, (1 << 16) - 1, 1 << 16, (1 << 16) + 1, MB + 3)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("executor", ["inline", "threads", "processes"])
def test_values_of_all_sizes_arrive_whole(executor: str, size: int) -> None:
    def body(do: Any) -> Any:
        value, array = do(bytes_of, size), do(array_of, size)
        made = np.full(size, 5, np.uint8)
        passed = [do(len, value), do(total, array), do(total, made), do(len, b"y" * size)]
        passed += [do(len, bytearray(size)), do(len, [b"z" * size] * 3)]
        assert value == b"x" * size
        assert array.dtype == np.uint8
        assert (array == 7).all()
        found = flowy.wait(passed)
        array[0] = 1
        return found, value, array

    counts, value, array = make(executor).run(body)
    assert counts == [size, 7 * size, 5 * size, size, size, 3]
    assert type(value) is bytes
    assert value == b"x" * size
    assert array[0] == 1
    assert (array[1:] == 7).all()
    array[:] = 2  # its pool is gone, its memory is not


def test_parts_of_a_value_keep_their_place_and_identity() -> None:
    n = 200_000
    value = make().run(lambda do: do(nested, n))
    array, first, second = value["a"]
    assert (array == np.arange(n)).all()
    assert first == b"b" * n
    assert second is first
    assert value["deep"].box.data is first
    assert value["b"] == (bytearray(b"c" * n), "small")
    assert type(value["b"][0]) is bytearray


def test_a_nested_value_passes_through_into_containers(opened: list[Any]) -> None:
    def check(given: Any) -> tuple[Any, ...]:
        value = given["k"][0]
        return len(value["a"][1]), int(value["a"][0][-1]), value["deep"].box.name

    def body(do: Any) -> Any:
        return do(check, {"k": [do(nested, 100_000)]})

    assert make().run(body) == (100_000, 99_999, "d")
    assert opened == []


def test_arrays_in_any_order_arrive() -> None:
    a = np.arange(300_000).reshape(300, 1000)
    given = [a, np.asfortranarray(a), a.T, a[::2, ::2], a[100:, :], np.array(["x", 1] * 9, object)]

    def same(array: Any) -> Any:
        return array

    for sent, back in zip(given, make().run(lambda do: [do(same, x) for x in given]), strict=True):
        assert (sent == back).all()


def test_read_only_stays_so_and_the_rest_can_be_changed() -> None:
    def frozen(n: int) -> Any:
        import numpy

        array = numpy.zeros(n, numpy.uint8)
        array.flags.writeable = False
        return array

    def body(do: Any) -> Any:
        a, b = do(frozen, MB), do(array_of, MB)
        return [do(lambda x: x.flags.writeable, a), do(lambda x: x.flags.writeable, b), a, b]

    *there, a, b = make().run(body)
    assert there == [False, True]
    assert not a.flags.writeable
    assert b.flags.writeable


def test_tables_arrive_whole() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": np.arange(100_000), "b": np.random.random(100_000)})
    assert make().run(lambda do: do(lambda x: x, frame)).equals(frame)


def test_arrow_tables_arrive_whole() -> None:
    arrow = pytest.importorskip("pyarrow")
    table = arrow.table({"a": np.arange(100_000)})
    assert make().run(lambda do: do(lambda x: x, table)).equals(table)


def test_values_of_main_classes_and_large_buffers_go_together(script: Any) -> None:
    code = """
import flowy, numpy as np
class Box:
    def __init__(self, data): self.data = data
class W:
    def __init__(self, make, size): self.make, self.size = make, size
    def __call__(self):
        return self.size(self.make()), self.size(Box([np.ones(1 << 20), b"x" * 100000]))
w = flowy.LocalWorkflow(W, activity_workers=1)
w.conf_activity("make", lambda: Box([np.ones(1 << 20), b"x" * 100000]))
w.conf_activity("size", lambda box: (type(box).__name__, box.data[0].sum(), len(box.data[1])))
print(w.run())
"""
    done = script("-c", code).finish()
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("('Box',") == 2
    assert done.stdout.count("1048576.0") == 2


# Private views.


def test_no_task_sees_what_another_changes() -> None:
    def body(do: Any) -> Any:
        made, given = do(array_of, MB), np.full(MB, 7, np.uint8)
        shared = flowy.share(np.full(MB, 7, np.uint8))
        found = flowy.wait([do(spoil, x) for x in (made, given, shared) for _ in range(10)])
        return found, do(total, made), do(total, given), do(total, shared), made, given

    found, *totals, made, given = make().run(body)
    assert found == [7] * 30
    assert totals == [7 * MB] * 3
    assert (made == 7).all()
    assert (given == 7).all()


def test_what_the_workflow_changes_is_what_later_calls_get() -> None:
    def body(do: Any) -> Any:
        made, found = do(array_of, MB), []
        given = np.zeros(MB, np.uint8)
        for i in range(5):
            made[0] = given[0] = i
            found.append(flowy.wait([do(int, flowy.wait(do(spoil, x))) for x in (made, given)]))
        return found

    assert make().run(body) == [[i, i] for i in range(5)]


# Written once, opened where needed.


def test_one_array_for_many_tasks_is_written_once() -> None:
    array = np.full(8 * MB, 3, np.uint8)
    with make() as w:
        assert w.run(lambda do: [do(total, array) for _ in range(50)]) == [24 * MB] * 50
        assert store_of(w).maker.written == 1


def test_one_array_down_a_chain_is_written_once() -> None:
    array = np.ones(MB, np.uint8)

    def add(x: Any, n: int) -> int:
        return n + int(x[0])

    def body(do: Any) -> Any:
        n = 0
        for _ in range(20):
            n = do(add, array, n)
        return n

    with make() as w:
        assert w.run(body) == 20
        assert store_of(w).maker.written == 1


def test_a_shared_value_is_written_once_and_whole() -> None:
    def body(do: Any) -> Any:
        shared = flowy.share([list(range(50_000)), np.ones(MB, np.uint8), b"x" * MB])
        assert flowy.is_result(shared)
        assert flowy.share(shared) is shared
        found = []
        for i in range(10):
            found.append(flowy.wait(do(lambda x, i: x[0][i] + len(x[2]), shared, i)))
        return found, len(shared)

    with make() as w:
        assert w.run(body) == ([i + MB for i in range(10)], 3)
        assert store_of(w).maker.written == 3
        assert w.run(lambda do: do(len, flowy.share("tiny"))) == 4


@pytest.mark.parametrize("executor", ["inline", "threads"])
def test_a_shared_value_is_the_value(executor: str) -> None:
    value = [1, 2]
    given: list[Any] = []

    def body(do: Any) -> Any:
        shared = flowy.share(value)
        flowy.wait(do(given.append, shared))
        return [do(len, shared), do(sum, {"a": shared}["a"]), shared]

    assert make(executor).run(body) == [2, 3, value]
    assert given[0] is value
    assert flowy.share(value) is value
    assert flowy.plain(Open, do=call)(lambda do: do(len, flowy.share(value))) == 2


def test_values_between_tasks_are_never_opened_by_the_driver(opened: list[Any]) -> None:
    def body(do: Any) -> Any:
        sizes = [do(len, do(bytes_of, MB)) for _ in range(10)]
        sizes += [do(total, do(array_of, MB, 1)) for _ in range(10)]
        chosen = flowy.first(do(bytes_of, MB), do(bytes_of, MB))
        return [*sizes, do(len, chosen)]

    assert make().run(body) == [MB] * 21
    assert opened == []


def test_a_look_opens_once(opened: list[Any]) -> None:
    def body(do: Any) -> Any:
        array = do(array_of, MB)
        array[0] = 1
        return int(array[0]) + int(array[1]), flowy.wait(array) is flowy.wait([array])[0]

    assert make().run(body) == (8, True)
    assert len(opened) == 1


def test_reducers_and_sub_workflows_get_values(opened: list[Any]) -> None:
    def add(a: Any, b: Any) -> Any:
        return a + b

    def body(do: Any) -> Any:
        arrays = [do(array_of, MB, 1) for _ in range(4)]
        return [
            do(total, flowy.parallel_reduce(lambda a, b: a + b, arrays)),
            do(total, flowy.parallel_reduce(lambda a, b: do(add, a, b), arrays[:2])),
        ]

    assert make().run(body) == [4 * MB, 2 * MB]

    class Child:
        def __call__(self, value: Any, given: Any) -> Any:
            assert type(value) is np.ndarray
            return type(given["x"]).__name__, int(value.sum())

    class Parent:
        def __init__(self, do: Any, child: Any) -> None:
            self.do, self.child = do, child

        def __call__(self) -> Any:
            array = self.do(array_of, MB)
            return self.child(array, {"x": flowy.share(b"x" * MB)})

    w = flowy.LocalWorkflow(Parent, activity_workers=2)
    w.conf_activity("do", call)
    w.conf_workflow("child", Child)
    assert w.run() == ("bytes", 7 * MB)


class Liar:
    def __init__(self) -> None:
        self.data = np.zeros(MB, np.uint8)

    def __reduce__(self) -> Any:
        return _lie, (self.data,)


def _lie(_: Any) -> Any:
    raise ValueError("this was a lie")


def test_a_large_value_that_lies_fails_alone() -> None:
    def body(do: Any) -> Any:
        good, bad = do(bytes_of, MB), do(Liar)
        with pytest.raises(flowy.TaskError, match=r"do-1-0.*this was a lie"):
            len(bad)
        with pytest.raises(flowy.TaskError, match=r"do-1-0.*this was a lie"):
            flowy.wait([good, bad])
        with pytest.raises(flowy.TaskError, match="this was a lie"):
            flowy.wait(do(len, bad))
        return len(good)

    assert make().run(body) == MB


# Use again, and the end.


def test_segments_are_used_again_and_freed_at_last_use() -> None:
    def body(do: Any) -> Any:
        most = 0
        for i in range(40):
            assert len(flowy.wait(do(bytes_of, MB, b"%d" % (i % 10)))) == MB
            assert flowy.wait(do(total, np.full(MB, 1, np.uint8))) == MB
            most = max(most, len(files_of(store)))
        return most

    with make() as w:
        w.run(lambda do: do(abs, -1))
        store = store_of(w)
        assert w.run(body) <= 12
        assert store.maker._made <= 4


class Watched:
    """A large value that tells when it is gone."""

    def __init__(self, size: int) -> None:
        self.data = bytes(size)


@pytest.mark.parametrize("mapped", [True, False])
def test_what_the_workflow_drops_is_gone_before_its_batch_is(mapped: bool) -> None:
    def body(do: Any) -> int:
        kinds, sizes = [Watched] * 400, [LARGE] * 400
        if mapped:
            results = iter(flowy.map(do, kinds, sizes))
        else:
            made = [do(kind, size) for kind, size in zip(kinds, sizes, strict=True)]
            made.reverse()
            results = (made.pop() for _ in sizes)
        alive: list[weakref.ref[Watched]] = []
        most = 0
        for result in results:
            alive.append(weakref.ref(flowy.wait(result)))
            alive = [each for each in alive if each() is not None]
            most = max(most, len(alive))
        return most

    assert make(workers=1).run(body) <= 2


def test_what_the_workflow_holds_is_not_written_over() -> None:
    def body(do: Any) -> Any:
        held = [do(array_of, MB, i) for i in range(5)]
        values = flowy.wait(held)
        for i in range(60):
            flowy.wait(do(array_of, MB, 100 + i))
        view = values[2][::2]
        del held, values
        for i in range(60):
            flowy.wait(do(array_of, MB, 100 + i))
        return view

    assert (make(workers=1).run(body) == 2).all()


def test_what_an_activity_keeps_is_not_written_over() -> None:
    def keep(array: Any) -> None:
        import sys

        vars(sys).setdefault("kept", []).append(array)

    def kept() -> list[int]:
        import sys

        return [int(array.min()) + int(array.max()) for array in vars(sys)["kept"]]

    def drop() -> None:
        import sys

        vars(sys)["kept"].clear()

    def body(do: Any) -> Any:
        flowy.wait([do(keep, do(array_of, MB, 1)), do(keep, np.full(MB, 2, np.uint8))])
        for _ in range(30):
            assert flowy.wait(do(total, do(array_of, MB, 3))) == 3 * MB
            assert flowy.wait(do(total, np.full(MB, 4, np.uint8))) == 4 * MB
        found = flowy.wait(do(kept))
        flowy.wait(do(drop))
        flowy.wait([do(abs, i) for i in range(3)])
        return found

    with make(workers=1) as w:
        w.run(lambda do: do(abs, -1))
        store = store_of(w)
        assert sorted(w.run(body)) == [2, 4]
        gc.collect()
        store.take_back()
        assert len(store._leases) == 0


def test_no_more_than_a_bound_is_kept() -> None:
    def body(do: Any) -> None:
        values = flowy.wait([do(bytes_of, 4 * MB) for _ in range(40)])
        assert sum(map(len, values)) == 160 * MB

    with make() as w:
        w.run(body)
        w.run(lambda do: [do(abs, -i) for i in range(10)])
        kept = sum(os.path.getsize(path) for path in files_of(store_of(w)))
        assert kept <= 3 * segments.KEPT


# Deaths.


def test_values_outlive_their_worker(tmp_path: Path) -> None:
    def die(flag: str) -> str:
        if not os.path.exists(flag):
            open(flag, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return "came back"

    def body(do: Any) -> Any:
        values = [do(array_of, MB, i) for i in range(6)]
        sizes = flowy.wait([do(total, v) for v in values])
        given = np.ones(MB, np.uint8)
        back = flowy.wait([do(die, str(tmp_path / "flag")), do(total, given)])
        return sizes, back, [do(total, v) for v in values], values[5]

    with make(workers=1) as w:
        sizes, back, again, last = w.run(body)
        assert sizes == again == [i * MB for i in range(6)]
        assert back == ["came back", MB]
        assert (last == 5).all()


def test_a_killed_driver_leaves_nothing(script: Any, eventually: Any) -> None:
    code = """
import flowy, numpy as np, sys
class W:
    def __init__(self, make, total): self.make, self.total = make, total
    def __call__(self):
        arrays = [self.make(i) for i in range(4)] + [np.ones(1 << 20)]
        flowy.wait([self.total(a) for a in arrays])
        executor = w._executor
        print(executor.store.token, flush=True)
        sys.stdin.read()
w = flowy.LocalWorkflow(W, activity_workers=2)
w.conf_activity("make", lambda i: np.full(1 << 20, i))
w.conf_activity("total", lambda a: a.sum())
w.run()
"""
    one = script("-c", code)
    token = one.process.stdout.readline().strip()
    places = segments.folders()
    assert any(segments.paths(place, f"flowy-{token}-") for place in places)
    segments.sweep(places[0])  # the start of another pool
    assert any(segments.paths(place, f"flowy-{token}-") for place in places)
    one.process.kill()
    one.process.wait()
    assert eventually(lambda: not any(segments.paths(place, f"flowy-{token}") for place in places))


def test_litter_is_swept_and_what_lives_is_not(tmp_path: Path) -> None:
    dead, orphan, alive, other = "0" * 16, "1" * 16, "2" * 16, "flowy-something-else"
    for token in (dead, orphan, alive):
        for name in ("0-1", "1-17"):
            (tmp_path / f"flowy-{token}-{name}").write_bytes(b"x")
    (tmp_path / f"flowy-{dead}.lock").touch()
    (tmp_path / other).touch()
    with open(tmp_path / f"flowy-{alive}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        segments.sweep(str(tmp_path))
        left = sorted(os.listdir(tmp_path))
        assert left == sorted([f"flowy-{alive}{x}" for x in ("-0-1", "-1-17", ".lock")] + [other])
    segments.sweep(str(tmp_path))
    assert os.listdir(tmp_path) == [other]


# Where shared memory is missing, or full.


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    with caplog.at_level(logging.WARNING, "flowy"):
        yield lambda: [r.getMessage() for r in caplog.records if "large values" in r.getMessage()]


def busy(do: Any) -> Any:
    arrays = [do(array_of, MB, i) for i in range(5)]
    given = np.ones(MB, np.uint8)
    sizes = [do(total, given) for _ in range(5)] + [do(total, a) for a in arrays]
    return flowy.wait(sizes), arrays, do(bytes_of, MB)


def check_busy(w: flowy.LocalWorkflow) -> None:
    sizes, arrays, data = w.run(busy)
    assert sizes == [MB] * 5 + [i * MB for i in range(5)]
    assert [int(a[-1]) for a in arrays] == list(range(5))
    assert data == b"x" * MB


@pytest.mark.parametrize("where", ["missing", "not a folder"])
def test_without_shared_memory_files_serve(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warnings: Any
) -> None:
    place = tmp_path / "shm"
    if where != "missing":
        place.touch()
    monkeypatch.setattr(segments, "MEMORY", str(place))
    with make() as w:
        check_busy(w)
        check_busy(w)
        assert all(path.startswith(tempfile.gettempdir()) for path in files_of(store_of(w)))
    assert len(warnings()) == 1
    assert tempfile.gettempdir() in warnings()[0]


@pytest.mark.parametrize("room", [0, 3 * MB])
def test_a_full_shared_memory_falls_to_files(
    room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warnings: Any
) -> None:
    monkeypatch.setattr(segments, "MEMORY", str(tmp_path))
    _limit(monkeypatch, str(tmp_path), room)
    with make(start_method="fork") as w:  # the workers have the limit too
        check_busy(w)
        check_busy(w)
    assert len(warnings()) == 1
    assert os.listdir(tmp_path) == []


def test_no_room_anywhere_fails_the_task_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    _limit(monkeypatch, "/", 0)

    def body(do: Any) -> Any:
        with pytest.raises(flowy.TaskError, match=r"do-0-0.*no room for a large value of 1\.0 MB"):
            flowy.wait(do(bytes_of, MB))
        with pytest.raises(flowy.TaskError, match=r"do-1-0.*no room for a large value of 1\.0 MB"):
            flowy.wait(do(len, b"x" * MB))
        return do(abs, -1)

    assert make(start_method="fork").run(body) == 1


def _limit(monkeypatch: pytest.MonkeyPatch, place: str, room: int) -> None:
    """As if the file system at `place` had room for so many bytes."""
    real = segments._write_all

    def write(descriptor: int, part: memoryview, at: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        used = 0
        for p in segments.paths(place, "flowy-"):
            with contextlib.suppress(FileNotFoundError):
                used += os.path.getsize(p)
        if path.startswith(place) and used + part.nbytes > room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor, part, at)

    monkeypatch.setattr(segments, "_write_all", write)


# Small ones are left alone.


def test_batches_of_small_values_are_one_pickle() -> None:
    from flowy.local.batch import Outcomes, dump_outcomes, load_outcomes

    for values in ([1] * 4096, ["x" * 20] * 4096, [b"y" * 40] * 4096, [(1, 2.0)] * 4096):
        outcomes = Outcomes(0, list(values), {}, {})

        def refuse(parts: Any) -> Any:
            raise AssertionError(parts)

        assert dump_outcomes(outcomes, refuse) == dump_outcomes(outcomes)
        assert load_outcomes(dump_outcomes(outcomes, refuse)).values == values


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_large_inputs_are_drawn_as_they_are_done_with(executor: str, tmp_path: Path) -> None:
    done = tmp_path / "done"
    done.touch()
    ahead = []

    def use(data: bytes, path: str) -> int:
        with open(path, "ab", buffering=0) as file:
            file.write(b".")
        return len(data)

    def inputs() -> Iterator[bytes]:
        for i in range(100):
            ahead.append(i - done.stat().st_size)
            yield bytes([i]) * MB

    def factory(use: Any) -> Any:
        return lambda: sum(flowy.map(use, inputs(), [str(done)] * 100))

    w = flowy.LocalWorkflow(factory, 2, executor=executor)
    w.conf_activity("use", use)
    assert w.run() == 100 * MB
    assert max(ahead) <= 24
