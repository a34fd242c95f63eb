"""`flowy run` and `flowy trace`, from a fresh shell.

Owns: what the commands print, their exit status, that each misuse is one clear message, `--set`, and
completion in the shells that are installed. Progress on a terminal is in `test_progress`.
"""

from __future__ import annotations

import ast
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flowy import Retry, UsageError
from flowy.cli import parser
from flowy.completion import all_of, walk
from flowy.settings import read_settings

SOURCE = """
import flowy

def double(x): return 2 * x
def bad(x): raise ValueError(f"no {x}")

class Doubles:
    def __init__(self, double): self.double = double
    def __call__(self, xs, times=1, name="n"):
        for _ in range(times):
            xs = [self.double(x) for x in xs]
        return {name: xs}

class Fails(Doubles):
    def __call__(self): return self.double(1) + 1

class Raises(Doubles):
    def __call__(self): raise KeyError("mine")

doubles = flowy.LocalWorkflow(Doubles, 1)
doubles.conf_activity("double", double)
fails = flowy.LocalWorkflow(Fails, 1, executor="inline")
fails.conf_activity("double", bad)
raises = flowy.LocalWorkflow(Raises, 1, executor="inline")
raises.conf_activity("double", double)
incomplete = flowy.LocalWorkflow(Doubles, 1, executor="inline")
number = 3

class Breaks(Doubles):
    def __call__(self): return self.double(self.double)

misused = flowy.LocalWorkflow(Breaks, 1, executor="inline")
misused.conf_activity("double", double)

class Outer:
    def __init__(self, sub, double): self.sub, self.double = sub, double
    def __call__(self): return [self.sub(), self.double(1)]

flaky_calls = []

def flaky(x):
    flaky_calls.append(x)
    if len(flaky_calls) < 3:
        raise ValueError(f"not yet {x}")
    return x

inner = flowy.LocalWorkflow(Fails)
inner.conf_activity("double", flaky)
outer = flowy.LocalWorkflow(Outer, 1, executor="inline")
outer.conf_workflow("sub", inner)
outer.conf_activity("double", double)

def hang(x):
    open("running", "w").close()
    while True: pass

class Hangs(Doubles):
    def __call__(self): return self.double(1)

hangs = flowy.LocalWorkflow(Hangs, 1)
hangs.conf_activity("double", hang)

def make(): return doubles
def breaks(): raise OSError("disk")
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(SOURCE)
    (tmp_path / "broken.py").write_text("import nothing_like_this\n")
    (tmp_path / "wrong.py").write_text("def (\n")
    (tmp_path / "folder.dot").mkdir()
    return tmp_path


def flowy(here: Path, *words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "flowy", *words],
        cwd=here,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("target", ["mine:doubles", "mine.py:doubles", "./mine.py:make"])
def test_a_workflow_is_run(target: str, here: Path) -> None:
    status, out, err = flowy(here, "run", target, "[1, 2]", "--times", "2", "--name=x")
    assert (status, json.loads(out), err) == (0, {"x": [4, 8]}, "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing:x"], "there is no module 'nothing'"),
        (["mine"], "'mine' names no workflow: write module:workflow"),
        (["none.py:x"], "there is no file none.py"),
        (["mine:nope"], "mine has no 'nope'; its workflows are doubles, fails, hangs, incomplete"),
        (["mine:number"], "mine:number is of type int, no workflow"),
        (["mine:Doubles"], "is a class, no workflow"),
        (["mine:double"], "mine:double() failed: TypeError"),
        (["mine:breaks"], "mine:breaks() failed: OSError: disk"),
        (["broken:x"], "broken can't be imported: No module named 'nothing_like_this'"),
        (["wrong.py:x"], "wrong.py can't be imported: SyntaxError"),
        (["mine:doubles"], "takes (xs, times=1, name='n'): missing a required argument: 'xs'"),
        (["mine:doubles", "[]", "--nope", "1"], "got an unexpected keyword argument 'nope'"),
        (["mine:doubles", "[]", "--x=1", "--x=2"], "--x is given twice"),
        (["mine:doubles", "[]", "--_wait"], "'--_wait' is no keyword argument"),
        (["--trace", "x.png", "mine:doubles", "[]"], "goes by the ending"),
        (["--trace", "none/x.dot", "mine:doubles", "[]"], "there is no directory none"),
        (["--trace", "folder.dot", "mine:doubles", "[]"], "it is a directory"),
        (["--set", "double.retry", "mine:doubles", "[]"], "--set double.retry: there is no value"),
        (["--set", "double.speed=3", "mine:doubles", "[]"], "'speed' is no option"),
        (["--set", "double.retry.on=3", "mine:doubles", "[]"], "no 'on'"),
        (["--set", "triple.retry=3", "mine:doubles", "[]"], "no activity 'triple'; there are double"),
        (["--set", "sub.x.retry=3", "mine:outer"], "no activity 'sub.x'; there are double"),
        (["--set", "double.heartbeat=-1", "mine:doubles", "[]"], "heartbeat of 'double' is a time"),
        (["--set", "retry=x", "mine:doubles", "[]"], "retry of 'double' is a tuple of delays"),
        (["mine:misused"], "double"),
        (["mine:incomplete", "[]"], "double"),
    ],
)
def test_each_misuse_is_one_message(words: list[str], message: str, here: Path) -> None:
    status, out, err = flowy(here, "run", *words)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("flowy run: ") == 1
    assert "flowy/" not in err


@pytest.mark.parametrize("name", ["fails", "raises"])
def test_a_failing_workflow_tells_where(name: str, here: Path) -> None:
    status, out, err = flowy(here, "run", f"mine:{name}")
    assert (status, out) == (1, "")
    assert f"flowy run: mine:{name} failed: " in err
    assert ("no 1" if name == "fails" else "KeyError: 'mine'") in err
    assert 'mine.py", line' in err
    assert "flowy/command" not in err
    assert "flowy/local" not in err


def test_a_trace_is_written_and_read(here: Path) -> None:
    words = ("run", "--executor", "inline", "--trace", "t.json", "mine:doubles", "[1, 2, 3]")
    assert flowy(here, *words)[0] == 0
    status, out, _ = flowy(here, "trace", "summary", "t.json")
    assert status == 0
    assert out.startswith("3 tasks in ")
    assert "critical path: " in out
    status, out, _ = flowy(here, "trace", "predict", "t.json", "--workers", "1", "2")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == ["workers", "1", "2"]
    assert flowy(here, "trace", "convert", "t.json", "t.mmd") == (0, "", "")
    assert (here / "t.mmd").read_text().startswith("flowchart TD")


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["summary", "none.json"], 1, "none.json: No such file"),
        (["summary", "mine.py"], 2, "mine.py is no trace"),
        (["convert", "none.json", "x.png"], 1, "none.json"),
    ],
)
def test_misuse_of_trace(words: list[str], status: int, message: str, here: Path) -> None:
    done, out, err = flowy(here, "trace", *words)
    assert (done, out) == (status, "")
    assert err.startswith("flowy trace: ")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ["run"],
        ["run", "--workers", "0", "mine:doubles"],
        ["run", "--workers", "many", "mine:doubles"],
        ["run", "--executor", "cluster", "mine:doubles"],
        ["run", "--nonsense", "mine:doubles"],
        ["trace"],
        ["trace", "predict", "t.json", "--workers", "-1"],
        ["completion", "tcsh"],
        ["nonsense"],
        [],
    ],
)
def test_wrong_options_are_two(words: list[str], here: Path) -> None:
    status, out, err = flowy(here, *words)
    assert (status, out) == (2, "")
    assert err.startswith("usage: flowy")
    assert "error: " in err
    assert "Traceback" not in err


def test_a_workflow_that_exits_has_its_own_status(here: Path) -> None:
    (here / "leaves.py").write_text(
        "import flowy, sys\n"
        "w = flowy.LocalWorkflow(lambda f: lambda: sys.exit(7), executor='inline')\n"
        "w.conf_activity('f', print)\n"
    )
    assert flowy(here, "run", "leaves:w")[0] == 7


@pytest.mark.parametrize(("kind", "status"), [("SIGINT", 130), ("SIGTERM", -signal.SIGTERM)])
def test_signals_end_a_run(kind: str, status: int, here: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "flowy", "run", "mine:hangs"],
        cwd=here,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + 60
    while not (here / "running").exists() and time.monotonic() < end:
        time.sleep(0.01)
    os.kill(process.pid, getattr(signal, kind))
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (status, "")
    assert "1 running when stopped" in err
    assert "Traceback" not in err


def test_options_are_set_from_the_shell(here: Path) -> None:
    assert flowy(here, "run", "mine:outer")[0] == 1
    status, out, err = flowy(here, "run", "--set", "sub.double.retry=3", "mine:outer")
    assert (status, json.loads(out)) == (0, [2, 2]), err
    assert flowy(here, "run", "--set", "sub.double.retry=2", "mine:outer")[0] == 1
    assert flowy(here, "run", "--set", "retry=[0,0,0]", "mine:outer")[0] == 1, "time-outs only"
    both = ["--set", "retry.attempts=3", "--set", "retry.delay=0.001"]
    assert flowy(here, "run", *both, "mine:outer")[0] == 0


def test_settings_are_what_conf_activity_takes() -> None:
    made = read_settings(
        [
            'a.retry={"attempts": 2, "max_delay": 9}',
            "a.retry.jitter=0.5",
            "b.rerun_on_worker_death=False",
        ]
    )
    assert repr(made["a",]["retry"]) == repr(Retry(attempts=2, max_delay=9, jitter=0.5))
    assert made["b",] == {"rerun_on_worker_death": False}
    assert read_settings(["x.retry.retry=(0)"])["x", "retry"] == {"retry": "(0)"}
    with pytest.raises(UsageError, match="attempts=0"):
        read_settings(["retry=0"])


# ---- The examples.

PRINTS = {
    ("conditional.py:w", "Ada"): '"Dear Ada, we send you a card."',
    ("error_handling.py:handling", "10", "4"): '"half of 10 / 4 is 1.25"',
    ("first.py:w", '[["far", 0.5], ["near", 0.01]]'): '"published: answer of ',
    ("first_two.py:w", '[["a", 0.3], ["b", 0.01], ["c", 0.01]]'): '"decided by ',
    ("map_reduce.py:in_order", '["bb", "a"]'): '{"b": 2, "a": 1}',
    ("map_reduce.py:in_finish_order", '["bb"]'): '{"b": 2}',
    ("map_reduce.py:parallel", '["b", "b", "b"]'): '{"b": 3}',
    ("parallel_and_wait.py:w", '["Oslo"]'): "(11.0, 'Oslo')",
    ("parallel_sum.py:w", "[1, 2, 3]", "--size=2"): "6",
    ("restart.py:w",): '["ant", "bee", "cat", "dog", "elk", "fox"]',
    ("sequence.py:w", "times"): '{"best": 1,',
    ("subworkflows.py:w", '{"a": [1, 2], "b": [1, 9]}'): '"b"',
    ("sum_of_squares.py:w", "2", "10"): "104",
}
EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.mark.parametrize("words", PRINTS, ids=lambda words: words[0])
def test_each_example_runs_from_the_shell(words: tuple[str, ...], tmp_path: Path) -> None:
    target = f"{EXAMPLES}/{words[0]}"
    status, out, err = flowy(tmp_path, "run", "--workers", "2", target, *words[1:])
    assert status == 0, err
    assert out.splitlines()[-1].startswith(PRINTS[words])


def test_a_module_that_starts_a_run_when_imported_is_told_so(tmp_path: Path) -> None:
    """As a file it is run once, here; as a module each worker would import it, and start workers."""
    (tmp_path / "eager.py").write_text((EXAMPLES / "sum_of_squares.py").read_text())
    status, out, err = flowy(tmp_path, "run", "eager:w", "2", "10")
    assert (status, out) == (2, "")
    assert "a module starts a run when it is imported" in err


def test_each_example_is_in_the_table() -> None:
    assert {words[0].partition(":")[0] for words in PRINTS} == {x.name for x in EXAMPLES.glob("*.py")}


def test_an_example_that_fails_says_what_in_it_failed(tmp_path: Path) -> None:
    status, out, err = flowy(tmp_path, "run", f"{EXAMPLES}/error_handling.py:no_handling", "1", "0")
    assert (status, out) == (1, "")
    assert "task divide-0-0 failed: ZeroDivisionError" in err
    assert "flowy/local" not in err


def test_a_summary_tells_of_waits_in_turn(here: Path) -> None:
    (here / "turns.py").write_text(
        "import flowy\n"
        "w = flowy.LocalWorkflow(lambda f: lambda n: [len(f(i)) for i in range(n)], executor='inline')\n"
        "w.conf_activity('f', str)\n"
    )
    assert flowy(here, "run", "--trace", "t.json", "turns.py:w", "5")[0] == 0
    _, out, _ = flowy(here, "trace", "summary", "t.json")
    assert "waits in turn, with nothing else under way: pass the result on instead" in out
    assert "turns.py:2: for f, 5 times of 5" in out


# ---- Completion.


def complete(shell: str, here: Path, *words: str) -> set[str]:
    """What the shell offers for the last of these words."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    status, script, _ = flowy(here, "completion", shell)
    assert status == 0
    (here / "script").write_text(script)
    typed = " ".join(words)
    if shell == "bash":
        quoted = " ".join(word or "''" for word in words)
        ask = f"source ./script; COMP_WORDS=({quoted}"
        ask += f"); COMP_CWORD={len(words) - 1}; _flowy; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        command = [program, "--norc", "-c", ask]
    elif shell == "fish":
        command = [program, "-N", "-c", f"source ./script; complete -C '{typed}'"]
    else:
        ask = (
            "compdef() { :; }; source ./script; compadd() { shift; print -l -- $@; }; "
            "_files() { print -l -- *; }; "
            f"words=({' '.join(word or repr('') for word in words)}); CURRENT={len(words)}; _flowy"
        )
        command = [program, "-f", "-c", ask]
    env = {"PATH": os.environ["PATH"], "HOME": str(here), "TERM": "dumb"}
    done = subprocess.run(
        command, cwd=here, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert not done.stderr, done.stderr
    return {line.split("\t")[0] for line in done.stdout.splitlines() if line}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete(shell: str, here: Path) -> None:
    assert complete(shell, here, "flowy", "") >= {"demo", "run", "trace", "swf", "completion"}
    assert complete(shell, here, "flowy", "trace", "") == {"show", "convert", "summary", "predict"}
    assert complete(shell, here, "flowy", "run", "--executor", "") == {
        "processes",
        "threads",
        "inline",
    }
    offered = complete(shell, here, "flowy", "run", "--")
    assert offered >= {"--workers", "--no-progress", "--set", "--trace"}
    assert "--limit" not in offered
    assert complete(shell, here, "flowy", "run", "") >= {"mine.py", "broken.py"}
    assert complete(shell, here, "flowy", "trace", "predict", "") >= {"mine.py"}


def test_all_commands_are_in_the_scripts(here: Path) -> None:
    ways = {command.words for command in all_of(walk(parser(), "flowy"))}
    assert {"flowy run", "flowy trace predict", "flowy swf serve"} <= ways
    for shell in ("bash", "zsh", "fish"):
        _, script, _ = flowy(here, "completion", shell)
        for way in ways - {"flowy"}:
            assert way in script or way.split()[-1] in script


# ---- What stdout and the disk are not up to.


def in_shell(line: str, folder: Path, **env: str) -> tuple[int, str, str]:
    """What a line of the shell comes to, in which `flowy` is this one."""
    flowy = f"{shlex.quote(sys.executable)} -m flowy"
    done = subprocess.run(
        ["sh", "-c", line.replace("flowy", flowy)],
        cwd=folder,
        env={**os.environ, **env},
        capture_output=True,
        encoding=env.get("PYTHONIOENCODING", "utf-8"),
        timeout=60,
        check=False,
    )
    assert "site-packages" not in done.stderr
    assert f"{os.sep}flowy{os.sep}" not in done.stderr, "a traceback of flowy's own insides"
    return done.returncode, done.stdout, done.stderr


ODD = """
class Odd(Doubles):
    def __call__(self, json): return "\\u00e9\\u65e5\\ud800" if json else {"\\u00e9\\ud800"}

odd = flowy.LocalWorkflow(Odd, 1, executor="inline")
odd.conf_activity("double", double)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(SOURCE + ODD)
    return tmp_path


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_values_are_printed_whatever_the_encoding(encoding: str, folder: Path) -> None:
    """JSON stays JSON: what stdout can't say is an escape of JSON's there."""
    code, out, err = in_shell("flowy run mine:odd true", folder, PYTHONIOENCODING=encoding)
    assert (code, json.loads(out), err) == (0, "\u00e9\u65e5\ud800", "")
    code, out, err = in_shell("flowy run mine:odd false", folder, PYTHONIOENCODING=encoding)
    assert (code, ast.literal_eval(out), err) == (0, {"\u00e9\ud800"}, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize(
    "command",
    [
        "run mine:doubles '[1]'",
        "run mine:doubles '[1]' --times 1 --name " + "x" * 100_000,
        "trace summary t.json",
        "completion bash",
    ],
    ids=["small", "large", "trace", "completion"],
)
def test_a_full_disk_is_told(command: str, folder: Path) -> None:
    assert in_shell("flowy run --trace t.json mine:doubles '[1]'", folder)[0] == 0
    code, _, err = in_shell(f"flowy {command} > /dev/full", folder)
    assert code == 1
    assert err == f"flowy {command.split()[0]}: stdout can't be written: No space left on device\n"


def test_closed_streams_are_no_trouble(folder: Path) -> None:
    """Without them the first files that are opened would be taken for them."""
    assert in_shell("flowy run mine:doubles '[1]' >&-", folder) == (0, "", "")
    assert in_shell("flowy run mine:doubles '[1]' <&- >&- 2>&-", folder) == (0, "", "")
    assert in_shell("flowy run mine:fails 2>&-", folder) == (1, "", "")
    assert in_shell("flowy run mine:doubles '[1]' 2>&-", folder) == (0, '{"n": [2]}\n', "")
    assert in_shell("flowy run mine:nothing 2>&-", folder) == (2, "", "")


def test_a_reader_that_goes_is_no_trouble(folder: Path) -> None:
    _, out, err = in_shell(f"flowy run mine:doubles '[1]' --name {'x' * 120_000} | head -c 3", folder)
    assert (out, err) == ('{"x', "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("ending", ["json", "html", "dot", "chrome.json"])
def test_a_trace_that_can_not_be_written_costs_no_value(ending: str, folder: Path) -> None:
    (folder / f"full.{ending}").symlink_to("/dev/full")
    told = f"full.{ending}: No space left on device\n"
    code, out, err = in_shell(f"flowy run --trace full.{ending} mine:doubles '[1]'", folder)
    assert (code, out) == (1, '{"n": [2]}\n')
    assert err == f"flowy run: the trace can't be written: {told}"
    code, out, err = in_shell(f"flowy run --trace full.{ending} mine:fails", folder)
    assert (code, out) == (1, "")
    assert "mine:fails failed: task double-0-0 failed: ValueError: no 1" in err
    assert err.endswith(f"the trace can't be written: {told}")
    assert in_shell("flowy run --trace t.json mine:doubles '[1]'", folder)[0] == 0
    assert in_shell(f"flowy trace convert t.json full.{ending}", folder) == (
        1,
        "",
        f"flowy trace: {told}",
    )


def test_what_is_missing_is_named(folder: Path) -> None:
    code, _, err = in_shell("flowy run", folder)
    assert (code, err.splitlines()[-1].split(": ")[-1]) == (2, "WORKFLOW")
    code, _, err = in_shell("flowy run --trace . mine:doubles", folder)
    assert code == 2
    assert "can't be written to '.'" in err


def test_a_failure_tells_the_file_and_the_line(folder: Path) -> None:
    """Functions of a file that is run travel by value, and still know where they are from."""
    code, _, err = in_shell("flowy run --executor processes mine.py:fails", folder)
    assert code == 1
    line = SOURCE[: SOURCE.index("def bad")].count("\n") + 1
    assert f'File "{folder / "mine.py"}", line {line}, in bad\n    def bad(x): raise ValueError' in err
