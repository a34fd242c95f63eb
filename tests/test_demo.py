"""The demo finds what is in files, its two runs agree, and the command line says so.

Owns the tests of `flowy demo`: the activities one by one on small files, the two runs on a small
tree, and the whole command in a process of its own, on a part of the standard library. Knows
nothing of the engine's inside. Its neighbours are `flowy/demo.py` and `flowy/cli.py`.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import sysconfig
from collections import Counter
from pathlib import Path

import pytest

import flowy
from flowy import cli, demo
from flowy.demo import Function, Importers, Summary

SOURCE = b'''\
"""A module."""
import os, os.path as p, sys
from collections.abc import Iterable
from . import sibling

class A:
    @property
    def short(self): return os.name

    async def long(self):
        def inner():
            import json
            return json.dumps(os.name)
        try:
            pass
        finally:
            def late(): pass
        return lambda: 0
'''


def write(root: Path, name: str, source: bytes) -> str:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(source)
    return name


def flowy_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    found = os.pathsep.join([str(Path(flowy.__file__).parent.parent), *sys.path])
    return subprocess.run(
        [sys.executable, "-m", "flowy", *arguments],
        env={**os.environ, "PYTHONPATH": found},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


# ---- The activities.


def test_index_counts_what_is_in_a_file(tmp_path: Path) -> None:
    assert demo.index(str(tmp_path), write(tmp_path, "a.py", SOURCE)) == Summary(
        files=1,
        lines=18,
        functions=4,
        classes=1,
        imports=4,
        importers=Counter(["os", "sys", "collections", "json"]),
        longest=Function(9, "a.py", 10, "long"),
    )


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(b"# -*- coding: latin-1 -*-\ndef caf\xe9(): pass\n", id="latin-1"),
        pytest.param(b"\xef\xbb\xbfdef caf\xc3\xa9(): pass\n\n", id="utf-8 with a mark"),
        pytest.param(b"\r\ndef caf\xc3\xa9(): pass\r\n", id="dos lines"),
    ],
)
def test_index_reads_files_as_python_does(source: bytes, tmp_path: Path) -> None:
    found = demo.index(str(tmp_path), write(tmp_path, "a.py", source))
    assert (found.lines, found.functions, found.broken) == (2, 1, ())
    assert found.longest is not None
    assert found.longest.name == "café"


def test_index_finds_statements_in_every_block(tmp_path: Path) -> None:
    blocks = [
        "if a:\n {}\nelif b:\n {}\nelse:\n {}",
        "for a in b:\n {}\nelse:\n {}",
        "while a:\n {}\nelse:\n {}",
        "try:\n {}\nexcept a:\n {}\nelse:\n {}\nfinally:\n {}",
        "with a:\n {}",
        "match a:\n case 1:\n  {}\n case _:\n  {}",
        "async def f():\n {}",
    ]
    source = "\n".join(blocks).replace("{}", "import a")
    found = demo.index(str(tmp_path), write(tmp_path, "a.py", source.encode()))
    assert found.imports == source.count("import a") == 15


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(b"print 'Python 2'\n", id="syntax"),
        pytest.param(b"\0", id="null byte"),
        pytest.param(b"# \xff\n", id="not utf-8"),
        pytest.param(b"# coding: no-such\n", id="unknown encoding"),
        pytest.param(b"-" * 100_000 + b"1", id="nested too deep"),
        pytest.param(None, id="missing"),
    ],
)
def test_index_counts_a_file_that_cannot_be_parsed(source: bytes | None, tmp_path: Path) -> None:
    if source is not None:
        write(tmp_path, "a.py", source)
    assert demo.index(str(tmp_path), "a.py") == Summary(files=1, broken=("a.py",))


def test_index_keeps_silent_about_warnings(tmp_path: Path) -> None:
    source = b"'\\d'\n1 is 1\n"  # here a warning would be an error, and the file broken
    assert demo.index(str(tmp_path), write(tmp_path, "a.py", source)).broken == ()


def test_merge_takes_any_order_and_grouping(tmp_path: Path) -> None:
    empty, full, bad = (
        demo.index(str(tmp_path), write(tmp_path, name, source))
        for name, source in {"a.py": b"", "b.py": SOURCE, "c.py": b"("}.items()
    )
    merged = demo.merge(demo.merge(empty, full), bad)
    assert merged == demo.merge(demo.merge(bad, full), empty) == demo.merge(full, demo.merge(empty, bad))
    assert (merged.files, merged.lines, merged.broken) == (3, full.lines, ("c.py",))
    assert merged.longest == full.longest


def test_find_importers_tells_where_and_what(tmp_path: Path) -> None:
    sources = {
        "a.py": SOURCE,
        os.path.join("pack", "b.py"): b"import os\nos.name, os.path, xos.no, os.\xff\n",
    }
    paths = [write(tmp_path, name, source) for name, source in sources.items()]
    assert demo.find_importers("os", str(tmp_path), paths) == Importers(
        "os", 2, Counter(["a", "pack"]), Counter({"name": 3, "path": 2})
    )


# ---- The runs.


def test_both_runs_give_the_same(tmp_path: Path) -> None:
    names = ["a.py", "\x1b[2J.py", os.path.join("pack", "b.py")]
    for name in names:
        write(tmp_path, name, SOURCE)
    write(tmp_path, os.path.join("site-packages", "no.py"), SOURCE)
    write(tmp_path, "no.txt", SOURCE)
    assert demo.find_files(str(tmp_path)) == sorted(names)
    err = io.StringIO()
    local = demo.run_local(str(tmp_path), sorted(names), 1, err)
    plain = demo.run_plain(str(tmp_path), sorted(names))
    assert local.library == plain.library
    assert local.library.total.files == 3
    assert [found.package for found in local.library.importers] == [
        "collections", "json", "os", "sys"
    ]  # fmt: skip
    assert (local.workers, local.tasks) == (1, 3 + 2 + 4)
    text = "\n".join(demo.report(local.library))
    assert "pack/b.py:10 long" in text.replace(os.sep, "/")
    assert "\x1b" not in text


def test_progress_draws_over_a_line_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "20")
    progress = demo.Progress(err := Terminal())
    progress.show({"index": flowy.Progress(asked=12345, done=1234, failed=0)})
    progress.clear()
    assert err.getvalue().endswith("\r\x1b[K")
    assert "index 1,23" in err.getvalue()
    assert all(len(line) < 20 for line in err.getvalue().split("\r\x1b[K"))


# ---- The command line.


def test_demo_command_compares_and_reports() -> None:
    done = flowy_command("demo", "--limit", "30", "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^ +files +30$", done.stdout, re.MULTILINE)
    assert re.search(r"^ +lines +\d[\d,]+$", done.stdout, re.MULTILINE)
    assert re.search(r"^ *longest function +\d+ +lines: \S+\.py:\d+ \w+$", done.stdout, re.MULTILINE)
    assert re.search(r"^ +sys +\d+ ", done.stdout, re.MULTILINE)
    assert re.search(
        r"^flowy, 2 workers: \d+\.\d+ s for 69 tasks, workers busy \d+%", done.stdout, re.MULTILINE
    )
    assert re.search(r"^plain Python, one process: \d+\.\d+ s, equal result$", done.stdout, re.MULTILINE)
    assert re.search(r"^speed-up: \d+\.\d\d$", done.stdout, re.MULTILINE)
    assert re.match(r"\d+\.\d s", done.stderr)
    assert "\x1b" not in done.stdout + done.stderr


def test_demo_command_without_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", "--limit", "3", "--no-compare"]) == 0
    out = capsys.readouterr().out
    assert "most imported" in out
    assert "plain Python" not in out


def test_demo_fails_when_the_results_differ(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = demo.Measured(demo.Library(Summary(), ()), elapsed=1.0)
    monkeypatch.setattr(demo, "run_plain", lambda root, paths: other)
    assert cli.main(["demo", "--limit", "3"]) == 1
    assert "NOT equal" in capsys.readouterr().out


def test_demo_without_a_library(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    assert cli.main(["demo"]) == 1
    assert "no Python files" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [[], ["nonsense"], ["demo", "--limit", "0"], ["demo", "--limit", "x"]])
def test_wrong_options_are_told(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(wrong)
    assert end.value.code == 2
    assert "usage: flowy" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert end.value.code == 0
    assert re.fullmatch(r"flowy \d+\.\d+\S*\n", capsys.readouterr().out)


def test_interrupt_ends_with_its_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(**options: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "demo", interrupted)
    assert cli.main(["demo"]) == 130
    assert capsys.readouterr().err == "interrupted\n"
