"""Each workflow of the suite means the same wherever it runs.

Owns: the suite as plain Python, on each executor of the local engine, and on Amazon SWF with kept runs
on, off, and evicted at random; in process, and over HTTP.

May not know: how anything works. What is lost or late on the way is in test_conformance_faults.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from conformance import CASES
from conformance.case import Case, Outcome
from conformance.fleet import Ran, sail
from conformance.ways import run_bare, run_local, run_plain
from swf_network import KEEPING, site

from flowy.swf.decisions import REASON, cut

LONG = bool(os.environ.get("FLOWY_LONG"))


def rows(way: str) -> list[Any]:
    """The cases that can be run this way."""
    return [pytest.param(case, id=name) for name, case in CASES.items() if not case.why_not(way)]


@pytest.mark.parametrize("case", rows("bare"))
def test_bare(case: Case) -> None:
    assert run_bare(case) == case.outcome


@pytest.mark.parametrize("case", rows("plain"))
def test_plain(case: Case) -> None:
    assert run_plain(case) == case.outcome


@pytest.mark.parametrize("executor", ["inline", "threads", "processes"])
@pytest.mark.parametrize("case", list(CASES.values()), ids=list(CASES))
def test_local(case: Case, executor: str) -> None:
    if why := case.why_not(executor):
        pytest.skip(why)
    assert run_local(case, executor) == case.outcome


def at_swf(case: Case) -> Outcome:
    """The outcome as SWF can tell it."""
    kind, what = case.outcome
    return Outcome(kind, cut(what, REASON)) if kind == "failed" else case.outcome


@pytest.fixture(scope="module", params=list(KEEPING))
def fleet(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Mapping[str, Ran]]:
    """All cases that are asked for, run on SWF at the same time."""
    asked = {item.callspec.params["case"].name for item in request.session.items if at(item)}  # type: ignore[attr-defined]
    keep = KEEPING[request.param]()
    with site() as place:
        ran = sail(place, [CASES[name] for name in asked], keep, folder=tmp_path_factory.mktemp("p"))
    return request.param, ran


def at(item: pytest.Item) -> bool:
    return getattr(item, "originalname", "") == "test_swf"


@pytest.mark.parametrize("case", rows("swf"))
def test_swf(case: Case, fleet: tuple[str, Mapping[str, Ran]]) -> None:
    ran = fleet[1][case.name]
    assert ran.outcome == at_swf(case)
    assert not ran.dirty


@pytest.mark.slow
@pytest.mark.parametrize("keep", list(KEEPING) if LONG else ["kept"])
def test_swf_over_http(keep: str, tmp_path: Path) -> None:
    cases = [case for case in CASES.values() if not case.why_not("swf")]
    with site("http") as place:
        ran = sail(place, cases, KEEPING[keep](), folder=tmp_path)
    assert {name: each.outcome for name, each in ran.items()} == {c.name: at_swf(c) for c in cases}
    assert not [line for each in ran.values() for line in each.dirty]


def test_reasons_are_given() -> None:
    """Where a case is not run, it says why; and none is left out everywhere."""
    for case in CASES.values():
        assert all(len(why) > 8 for why in case.but.values()), case.name
        assert not case.why_not("swf") or not case.why_not("inline"), case.name
    assert len(CASES) >= 100
    for way, least in (("bare", 60), ("plain", 75), ("threads", 95), ("swf", 110), ("faults", 100)):
        assert sum(not case.why_not(way) for case in CASES.values()) >= least, way


def test_kept_runs_are_used_and_dropped(tmp_path: Path) -> None:
    """The ways differ: by kept runs alone, by none, and by both."""
    hits = {}
    for name, make in KEEPING.items():
        keep = make()
        with site() as place:
            sail(place, [CASES["LongChain"]], keep, folder=tmp_path)
        hits[name] = keep.hits, keep.misses
    assert hits["kept"] == (30, 0)
    assert hits["full"] == (0, 30)
    assert min(hits["forgetful"]) > 3
