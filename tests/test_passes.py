"""The passes over columns, against the same in a few lines of Python, on random traces.

Owns: that what is compiled for speed finds what it should: order, span, levels, groups, times by name,
and the codings of the page.

May not know: how traces are drawn. Neighbours: `test_trace` and `test_page`, which look at the whole.
"""

from __future__ import annotations

import itertools
import math
import random
from array import array
from collections import Counter
from typing import Any

import pytest

from flowy import _passes
from flowy.trace import Execution, Trace, analysis
from flowy.trace.graph import draw, levels
from flowy.trace.record import Columns

SEEDS = range(30)


def random_trace(seed: int) -> Trace:
    """Some tasks of a few names in a few runs, many alike, and with what is not known left out."""
    choose = random.Random(seed)
    trace = Trace()
    n, runs = choose.choice([0, 1, 7, 60, 400]), [-1]
    trace.columns.runs.append(Execution("", "root", -1))
    for row in range(n):
        run = choose.randrange(len(runs))
        kind = choose.choice(["activity"] * 5 + ["workflow", "timer"])
        sources = (
            {choose.randrange(max(0, row - 9), row) for _ in range(choose.choice([0, 0, 1, 1, 3]))}
            if row
            else ()
        )
        started = choose.choice([math.nan, choose.random() * 10])
        trace.add(
            choose.choice("abc"),
            kind=kind,
            run=run,
            call=row,
            depends_on=sources,
            after=choose.randrange(row) if row and choose.random() < 0.2 else -1,
            attempts=choose.choice([0, 1, 1, 1, 3]),
            worker=choose.randrange(3),
            ready=started - 0.5,
            sent=started - 0.25,
            started=started,
            ended=started + choose.choice([0.0, 1.5, math.nan, choose.random()]),
            outcome=choose.choice(["completed"] * 8 + ["failed", "open", "timed out"]),
        )
        if kind == "workflow" and choose.random() < 0.7:
            runs.append(row)
            trace.columns.runs.append(Execution("", choose.choice("xy"), row))
    return trace


@pytest.fixture(params=SEEDS)
def c(request: pytest.FixtureRequest) -> Columns:
    return random_trace(request.param).columns


def disorder(c: Columns) -> str | None:
    return _passes.find_disorder(c.first, c.sources, c.after, c.run, c.parents())


def test_what_is_in_order_is_not_complained_of(c: Columns) -> None:
    assert disorder(c) is None


@pytest.mark.parametrize("column", ["first", "sources", "after"])
def test_what_is_out_of_order_is_found(column: str, c: Columns) -> None:
    """Any number of them changed into one that is too large, or too small."""
    for bad in (-2, 2**31 - 1):
        values = getattr(c, column)
        places = range(1, len(values) - 1) if column == "first" else range(len(values))
        for place in list(places)[:: max(1, len(values) // 20)]:
            before, values[place] = values[place], bad
            assert disorder(c) is not None
            values[place] = before


def test_a_run_begins_after_the_task_that_it_is() -> None:
    trace = Trace()
    trace.columns.runs += [Execution("", "root", -1), Execution("", "sub", 1)]
    trace.add("a")
    trace.add("sub", kind="workflow")
    trace.add("inner", run=1)
    assert disorder(trace.columns) is None
    trace.columns.run[1] = 1
    assert disorder(trace.columns) == "task 1 is not after the task that run 1 is"


def test_the_span(c: Columns) -> None:
    times = [t for row in range(len(c)) for t in (c.ready(row), c.started[row])]
    first = min((t for t in times if t == t), default=math.inf)
    last = max((t for t in c.ended if t == t), default=-math.inf)
    assert analysis.span(c) == pytest.approx((first, last) if first <= last else (0.0, 0.0))


def test_levels_are_the_longest_chains(c: Columns) -> None:
    made: list[int] = []
    for row in range(len(c)):
        made.append(1 + max((made[source] for source in analysis.causes(c, row)), default=-1))
    assert levels(c).tolist() == made


@pytest.mark.parametrize("most", [0, 10**6])
def test_groups_are_of_the_same_name_level_frame_and_sources(most: int, c: Columns) -> None:
    """Runs are one frame if the tasks that they are stand in one box."""
    drawing, level = draw(c, most), levels(c)
    box_of = drawing.box_of
    keys: dict[Any, int] = {}
    frames: dict[int, int] = {}
    arrows: Counter[tuple[int, int]] = Counter()
    for row in range(len(c)):
        parent = c.runs[c.run[row]].parent
        frame = c.run[row] if most else box_of[parent] if parent >= 0 else -1
        sources = c.depends_on(row)
        arrows.update((box_of[source], box_of[row]) for source in sources)
        same = c.name[row], c.kind[row], level[row], frame, frozenset(box_of[s] for s in sources)
        key = row if len(c) <= most else same
        assert box_of[row] == keys.setdefault(key, len(keys))
        frames.setdefault(frame, drawing.boxes[box_of[row]].run)
        assert frames[frame] == drawing.boxes[box_of[row]].run
    assert drawing.arrows == arrows
    for box in drawing.boxes:
        rows = [row for row in range(len(c)) if box_of[row] == box.number]
        assert box.count == len(rows)
        assert box.failures == sum(c.outcome[row] > 1 for row in rows)
        assert box.open == sum(c.outcome[row] == 0 for row in rows)
        assert box.retries == sum(max(1, c.attempts[row]) - 1 for row in rows)
        assert box.seconds == pytest.approx(sum(analysis.seconds_of(c, row) for row in rows))


def test_more_groups_than_are_at_hand() -> None:
    """Groups and arrows that share a place in the tables of those at hand are still told apart."""
    trace = Trace()
    for i in range(20_000):
        trace.add(f"name {i % 10_000}", depends_on=[i - 10_000] if i >= 10_000 else ())
    drawing = draw(trace.columns)
    assert len(drawing.boxes) == 20_000
    assert drawing.arrows == Counter({(i, i + 10_000): 1 for i in range(10_000)})


def test_times_by_name(c: Columns) -> None:
    rows = {row.name: row for row in analysis.summary(c)}
    for name in c.names:
        mine = [row for row in range(len(c)) if c.names[c.name[row]] == name]
        times = sorted(c.ended[row] - c.started[row] for row in mine if c.ended[row] >= c.started[row])
        assert rows[name].tasks == len(mine)
        assert rows[name].total == pytest.approx(sum(times))
        assert rows[name].p95 == analysis.percentile(times, 0.95)
        assert rows[name].failures == sum(c.outcome[row] > 1 for row in mine)
        assert rows[name].retries == sum(max(1, c.attempts[row]) - 1 for row in mine)


# ---- Codings.


@pytest.mark.parametrize("code", "BHhi")
@pytest.mark.parametrize("most", [0, 1, 255, 256, 32_767, 65_535, 65_536, 2**31 - 1])
def test_narrow(most: int, code: str) -> None:
    try:
        values = array(code, [0, most, 1])
    except OverflowError:
        return
    made = _passes.narrow(values)
    assert made.typecode == ("B" if most < 256 else "H" if most < 65_536 else "I")
    assert made.tolist() == values.tolist()


def test_differences_come_back() -> None:
    values = [5, 6, 4, -1, 2**31 - 1, -(2**31), 0]
    made = _passes.differences(array("i", values))
    back = itertools.accumulate(made, lambda a, b: (a + b) % 2**32)
    assert [x - 2**32 if x >= 2**31 else x for x in back] == values


def test_edges_and_what_stands_before(c: Columns) -> None:
    counts, distances = _passes.edges(c.first, c.sources)
    users = [row for row, count in enumerate(counts) for _ in range(count)]
    assert [row - d for row, d in zip(users, distances, strict=True)] == c.sources.tolist()
    back = _passes.back(c.after)
    assert [row - d if d else -1 for row, d in enumerate(back)] == c.after.tolist()


def test_ticks() -> None:
    none = array("d")
    at = array("d", [10.0, 10.00000014, 9.0, math.nan, math.inf, 1e9, -math.inf])
    unknown = 0xFFFFFFFF
    assert _passes.ticks(at, none, 10.0, 1e-7).tolist() == [0, 1, 0, unknown, unknown, unknown, 0]
    assert _passes.ticks(at[:2], array("d", [9.5, 10.0]), 0.0, 0.25).tolist() == [2, 0]
    assert _passes.since(at[:2], none, 9.5).tolist() == pytest.approx([0.5, 0.50000014])


def test_rounded_floats_are_within_a_two_thousandth() -> None:
    values = array("f", [0.0, -0.0, 1.0, math.pi, -1e-20, 3e38, math.inf])
    made = array("f", _passes.rounded(memoryview(values).cast("B").cast("I")).tobytes())
    assert made.tolist() == pytest.approx(values.tolist(), rel=1 / 2000)
    lost = array("f", [math.nan])
    (still,) = array("f", _passes.rounded(memoryview(lost).cast("B").cast("I")).tobytes())
    assert math.isnan(still)


def test_columns_of_other_types_are_refused() -> None:
    with pytest.raises(ValueError, match="mismatch"):
        _passes.back(array("d", [1.0]))  # type: ignore[arg-type]
