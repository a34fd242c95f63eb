"""`flowy swf …`: what its commands do to a local SWF over HTTP, what they print, and each misuse.

Owns: exit statuses, messages, and that what comes from SWF can't control a terminal. Most run in
this process; deciders and workers as processes are in `test_swf_processes`.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import swf_shop
from swf_network import KEYS

from flowy import cli, swf
from flowy.swf import timeline
from flowy.swf.history import EVENT_TYPES
from flowy.testing import LocalSWF

Flowy = Callable[..., tuple[int, str, str]]


@pytest.fixture
def local() -> LocalSWF:
    return LocalSWF()


@pytest.fixture
def client(local: LocalSWF, monkeypatch: pytest.MonkeyPatch) -> Iterator[swf.SWFClient]:
    """A service over HTTP that the commands find in the environment, and a client of it."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # botocore looks there for credentials
    monkeypatch.setenv("FLOWY_SWF_DOMAIN", "test")
    with local.serve() as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SWF", url)
        made = swf.SWFClient(kwargs={**KEYS, "endpoint_url": url})
        yield made
        made.close()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Flowy:
    """`run('list')`: exit status, output, errors."""

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            status = cli.main(["swf", *words])
        except SystemExit as error:  # argparse's
            status = int(error.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    return run


def play(client: swf.SWFClient) -> None:
    """Answer tasks until there are none."""
    decider, activities = swf.SWFWorkflowWorker(), swf.SWFActivityWorker()
    for each in (swf_shop.Sum, swf_shop.Listening, swf_shop.Calls):
        config = swf_shop.calls if each is swf_shop.Calls else swf_shop.workflow
        name = "Listen" if each is swf_shop.Listening else each.__name__
        decider.register(config, each, 1, name)
    for function in (swf_shop.square, swf_shop.add, swf_shop.act):
        activities.register(swf_shop.activity, function, 1)
    while waiting(client, "decision", "deciders") or waiting(client, "activity", "activities"):
        if waiting(client, "decision", "deciders"):
            decider.run_once("test", "deciders", client)
        else:
            activities.run_once("test", "activities", client)


def waiting(client: swf.SWFClient, kind: str, task_list: str) -> int:
    operation = f"count_pending_{kind}_tasks"
    return int(client.call(operation, domain="test", taskList={"name": task_list})["count"])


@pytest.fixture
def done(client: swf.SWFClient, run: Flowy) -> None:
    """A workflow `sum-4` that has completed, and `listen` that waits."""
    assert run("register", "--create-domain", "swf_shop")[0] == 0
    assert run("start", "--id", "sum-4", "--tag", "red", "Sum", "4")[0] == 0
    assert run("start", "--id", "listen", "Listen", "--at-first", "[1]")[0] == 0
    play(client)


# ------------------------------------------------------------------ what they do


def test_types_are_registered_once(client: swf.SWFClient, run: Flowy) -> None:
    status, out, err = run("register", "swf_shop")
    assert (status, out) == (3, "")
    assert "UnknownResourceFault" in err
    assert "--create-domain makes it" in err
    status, out, _ = run("register", "--create-domain", "--retention", "1", "swf_shop")
    assert status == 0
    assert "domain test: created\n" in out
    assert "workflow Listen 1: registered\n" in out
    assert out.count(": registered\n") == 9
    status, out, _ = run("register", "--create-domain", "swf_shop:Sum", "swf_shop:make_worker")
    assert (status, out) == (
        0,
        "domain test: there already\nactivity square 1: there already\nworkflow Sum 1: there already\n",
    )


def test_an_execution_is_started_waited_for_and_told(
    client: swf.SWFClient, run: Flowy, done: None
) -> None:
    status, out, _ = run("history", "sum-4")
    assert status == 0
    first, *lines = out.splitlines()
    assert first.startswith("sum-4 Sum 1: completed after ")
    assert "workflow execution started  [Sum 1]  input: [[4], {}]" in lines[0]
    assert sum("activity task completed  square-" in line for line in lines) == 4
    assert "workflow execution completed  result: 14" in lines[-1]
    assert not any("decision task started" in line for line in lines)
    everything = run("history", "--all", "sum-4")[1].splitlines()
    assert any("decision task started" in line for line in everything)
    run_id = client.find_run("test", "sum-4")
    assert len(everything) == 1 + len(list(client.history("test", "sum-4", str(run_id))))


def test_a_signal_arrives_with_its_value(client: swf.SWFClient, run: Flowy, done: None) -> None:
    assert run("signal", "listen", "other")[0] == 0
    assert run("signal", "listen", "go", '{"x": [1, "\\u009b31m"]}') == (0, "", "")
    play(client)
    status, out, _ = run("history", "listen")
    assert status == 0
    assert "workflow execution signaled  go" in out
    assert "listen Listen 1: completed" in out
    assert "\x9b" not in out
    started = swf.SWFWorkflowStarter("test", "Listen", 1, client)  # as text
    other = started()
    assert run("signal", other.workflow_id, "go", "not JSON")[0] == 0
    play(client)
    assert other.wait(0) == [None, "not JSON"]


@pytest.mark.parametrize("how", ["cancel", "terminate"])
def test_an_execution_is_ended(how: str, client: swf.SWFClient, run: Flowy, done: None) -> None:
    words = ["--reason", "no\x1b[31m need"] if how == "terminate" else []
    assert run(how, "listen", *words) == (0, "", "")
    play(client)
    out = run("list", "--status", "closed", "--id", "listen")[1]
    assert ("CANCELED" if how == "cancel" else "TERMINATED") in out
    status, out, _ = run("history", "listen")
    assert status == 0
    assert "\x1b" not in out
    assert ("\\u001b[31m need" in out) == (how == "terminate")
    status, _, err = run(how, "listen")
    assert status == 3
    assert "UnknownResourceFault" in err
    assert "flowy swf list shows those that are open" in err


def test_what_is_refused_says_what_to_do(client: swf.SWFClient, run: Flowy, done: None) -> None:
    status, _, err = run("start", "--id", "listen", "Listen")
    assert status == 3
    assert "one with this id is open (give another --id" in err
    status, _, err = run("start", "--version", "9", "Listen")
    assert status == 3
    assert "flowy swf register makes it known" in err


def test_a_run_that_waits_for_its_value_replays(client: swf.SWFClient, run: Flowy, done: None) -> None:
    assert run("start", "--id", "new", "Calls", "echo", "1")[0] == 0
    status, out, _ = run("replay", "swf_shop", "new")
    assert status == 0
    assert "waiting for several results" in out


def test_executions_are_listed(client: swf.SWFClient, run: Flowy, done: None) -> None:
    def ids(*words: str) -> set[str]:
        status, out, _ = run("list", "--json", *words)
        assert status == 0
        return {json.loads(line)["execution"]["workflowId"] for line in out.splitlines()}

    assert ids() == {"listen"}
    assert ids("--status", "closed") == ids("--status", "completed") == {"sum-4"}
    assert ids("--status", "all") == {"sum-4", "listen"}
    assert ids("--status", "all", "--tag", "red") == {"sum-4"}
    assert ids("--status", "all", "--type", "Listen", "--id", "listen") == {"listen"}
    assert ids("--status", "all", "--type", "Sum", "--id", "listen") == set()
    assert ids("--status", "failed") == set()
    assert run("list", "--status", "failed", "--tag", "red\x1b") == (
        0,
        "",
        "flowy swf list: no failed execution in the domain test with --tag red\\u001b "
        "(--status all lists those in any state)\n",
    )
    assert run("list", "--json", "--status", "all", "--tag", "blue") == (
        0,
        "",
        "flowy swf list: no execution in the domain test with --tag blue\n",
    )
    status, out, err = run("list", "--status", "all", "--limit", "1")
    assert status == 0
    assert len(out.splitlines()) == 2
    assert "more than --limit 1" in err


def test_histories_are_saved_replayed_and_measured(
    client: swf.SWFClient, run: Flowy, done: None, tmp_path: Path
) -> None:
    saved = tmp_path / "sum.json"
    saved.write_text(run("history", "--json", "sum-4")[1])
    for words in (["--file", str(saved)], ["sum-4"]):
        status, out, err = run("replay", "swf_shop:Sum", *words)
        assert (status, err) == (0, "")
        assert "replays clean, 47 events" in out or "replays clean" in out
    status, out, _ = run("replay", "swf_shop", "listen")
    assert status == 0
    assert "waiting for" in out
    events = len(json.loads(saved.read_text())["events"])
    status, out, _ = run("profile", "--file", str(saved), "--workflow", "swf_shop", "--json")
    assert status == 0
    found = json.loads(out)
    assert sum(found["events"].values()) == events == found["limits"]["events"]["most"]
    assert found["limits"]["open activities"]["most"] == 4
    assert found["limits"]["decisions in a response"]["most"] == 4
    assert found["payload_bytes"] == sum(
        len(text)
        for event in json.loads(saved.read_text())["events"]
        for says in event.values()
        if isinstance(says, dict)
        for name, text in says.items()
        if name in ("input", "result")
    )
    assert found["replay_seconds"] > 0
    status, out, _ = run("profile", "sum-4")
    assert status == 0
    assert f"events  {events}" in " ".join(out.split()) or f"{events}" in out
    assert "a replay takes" not in out


def test_a_changed_workflow_is_reported_with_event_and_line(
    client: swf.SWFClient, run: Flowy, done: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Path(swf_shop.__file__).read_text()
    changed = tmp_path / "swf_shop_changed.py"
    changed.write_text(source.replace("for i in range(n)]", "for i in range(n + 1)]"))
    line = 1 + changed.read_text()[: changed.read_text().index("range(n + 1)")].count("\n")
    monkeypatch.setattr(sys, "path", sys.path[:])
    status, out, err = run("replay", str(changed), "sum-4", "listen")
    assert status == 1
    assert "listen: replays clean" in out
    assert "sum-4: event 4, " in err
    assert f"swf_shop_changed.py:{line}" in err
    assert "Traceback" not in err
    del sys.modules["swf_shop_changed"]


def test_a_value_is_waited_for(local: LocalSWF, client: swf.SWFClient, run: Flowy, done: None) -> None:
    """The clock stands while nobody decides: the wait looks at what is there, and ends."""
    status, out, err = run("start", "--wait", "--timeout", "0", "Sum", "3")
    assert (status, out) == (4, "")
    assert "is still running" in err


# ------------------------------------------------------------------ misuse


MISUSE: list[tuple[list[str], str]] = [
    (["start", "Sum", "4", "--wait"], "--wait stands behind Sum"),
    (["start", "Sum", "4", "--domain=x"], "--domain=x stands behind Sum"),
    (["start", "--input", "[]", "Sum", "4"], "give --input or arguments, not both"),
    (["start", "--input", "{", "Sum"], "--input is [args, kwargs] as JSON"),
    (["start", "--timeout", "3", "Sum"], "--timeout is for --wait"),
    (["start", "Nope"], "the domain test has no workflow type 'Nope'"),
    (["start", "--version", "1", "--workflow-duration", "soon", "Sum"], "number of seconds"),
    (["start", "--priority", "high", "Sum"], "a priority is a whole number"),
    (["history", "nope"], "the domain test has no execution 'nope'"),
    (["history"], "give the workflow id of an execution, or --file"),
    (["history", "x", "--file", "y"], "give the workflow id of an execution, or --file"),
    (["history", "--file", "none.json"], "none.json: No such file or directory"),
    (["history", "--file", swf_shop.__file__], "is no history"),
    (["replay", "swf_shop"], "give workflow ids of executions, or --file"),
    (["replay", "swf_shop:square", "sum-4"], "activities only, no workflow"),
    (
        ["replay", "swf_shop:Listening", "sum-4"],
        "the history is of Sum 1, which the worker does not",
    ),
    (["replay", "swf_shop", "--run-id", "r", "a", "b"], "--run-id goes with one workflow id"),
    (["profile", "sum-4", "--workflow", "swf_shop:Listening"], "the history is of Sum 1"),
    (["signal", "listen", "go", "1", "2"], "a signal has one value, not 2"),
    (["list", "--since", "yesterday"], "--since is a number and s, m, h or d"),
    (["list", "--domain", ""], "no domain is given"),
    (
        ["list", "--region", "us-east-1", "--endpoint-url", "nonsense"],
        "there can be no client of Amazon SWF",
    ),
    (["decider", "swf_shop:square"], "activities only, no workflow"),
    (["worker", "swf_shop:Sum"], "workflows only, no activity"),
    (["worker", "nothing_like_this"], "there is no module 'nothing_like_this'"),
    (["worker", "swf_shop:nope"], "swf_shop has no 'nope'; there are Calls, Hurries, Listening, Many"),
    (["worker", "swf_shop:number"], "swf_shop:number is of type int"),
    (["worker", "swf_shop:breaks"], "swf_shop:breaks() failed: OSError: disk"),
    (["worker", "swf_shop:"], "names nothing: write module:name"),
    (["worker", "json"], "json has no worker, and no workflow or activity"),
    (["decider", "--payloads", "s3://", "swf_shop"], "names no bucket"),
    (["signal", "listen", "go", "--payloads", "s3:///x"], "names no bucket"),
]


def test_each_misuse_is_one_message(client: swf.SWFClient, run: Flowy, done: None) -> None:
    for words, message in MISUSE:
        status, out, err = run(*words)
        assert (status, out) == (2, ""), words
        assert message in err
        assert err.startswith(f"flowy swf {words[0]}: ")
        assert err.count("flowy swf ") == 1 or "flowy swf worker" in err or "flowy swf decider" in err
        assert "flowy/swf" not in err


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nope"],
        ["list", "--nope"],
        ["list", "--status", "nope"],
        ["list", "--limit", "0"],
        ["worker", "--processes", "0", "x"],
        ["worker", "--max-memory", "much", "x"],
        ["worker", "--grace", "-1", "x"],
        ["worker", "--grace", "nan", "x"],
        ["register", "--retention", "91", "x"],
        ["start"],
        ["signal", "x"],
        ["terminate", "x", "--child-policy", "nope"],
    ],
)
def test_wrong_options_are_misuse(words: list[str], run: Flowy) -> None:
    status, out, err = run(*words)
    assert (status, out) == (2, "")
    assert "error: " in err
    assert "Traceback" not in err


def test_a_service_that_is_not_there_is_told(run: Flowy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWY_SWF_DOMAIN", "test")
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    status, out, err = run("list", "--endpoint-url", "http://127.0.0.1:9")
    assert (status, out) == (3, "")
    assert "Amazon SWF can't be reached" in err


@pytest.mark.parametrize("command", ["serve", "register", "decider", "worker", "start", "signal"])
def test_help_teaches_by_example(command: str, run: Flowy) -> None:
    status, out, _ = run(command, "--help")
    assert status == 0
    if command != "serve":
        assert f"examples:\n  flowy swf {command} " in out
        assert "exit status:" in out


# ------------------------------------------------------------------ timelines


def test_every_type_of_event_has_a_line() -> None:
    events = [{"eventId": i, "eventType": name} for i, name in enumerate(EVENT_TYPES, 1)]
    lines = list(timeline.timeline(events, everything=True))
    assert len(lines) == len(EVENT_TYPES)
    assert all(line.isprintable() for line in lines)


def test_long_texts_are_cut_unless_all_is_wanted() -> None:
    says = {"signalName": "s", "input": "x" * 500}
    kind = "WorkflowExecutionSignaled"
    event = {"eventId": 1, "eventType": kind, "workflowExecutionSignaledEventAttributes": says}
    (short,) = timeline.timeline([event])
    (long,) = timeline.timeline([event], full=True)
    assert short.endswith(f"{'x' * 80}… (500 characters)")
    assert long.endswith("x" * 500)


@pytest.mark.parametrize("text", ["\x1b]0;x\x07", "\x9b31m", "a\u202eb", "\x7f", "\U000e0001"])
def test_no_text_controls_a_terminal(text: str) -> None:
    shown = timeline.harmless(json.dumps({"x": text}, ensure_ascii=False))
    assert shown.isprintable()
    assert json.loads(shown) == {"x": text}


def test_a_history_comes_from_stdin(
    client: swf.SWFClient, run: Flowy, done: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = run("history", "--json", "sum-4")[1]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    status, out, _ = run("replay", "swf_shop", "--file", "-")
    assert status == 0
    assert out.startswith("-: replays clean")


def test_flowy_without_boto3_says_what_to_install(script: Callable[..., Any]) -> None:
    code = (
        "import sys; sys.modules['boto3'] = None; from flowy.cli import main; "
        "sys.exit(main(['swf', 'list', '--domain', 'x']))"
    )
    done = script("-c", code).finish()
    assert done.returncode == 2
    assert "pip install 'flowy[swf]'" in done.stderr
    assert "Traceback" not in done.stderr
