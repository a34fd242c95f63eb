"""The options of `flowy swf`.

Owns: the commands, their options and their help, which teaches by example.

May not know: what a command does; each is a function of `flowy.swf.verbs` or `flowy.swf.looking`,
imported only when it is asked for. Its neighbour is `cli`.
"""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Callable

STATUS = """exit status:
  0  all went well
  1  the workflow failed, or its history does not replay
  2  misuse: an option, a name, a workflow that is not there
  3  Amazon SWF refused, or could not be reached
  4  the workflow is still running (start --wait --timeout)
  130  interrupted"""

GENERAL = f"""examples, on a local SWF (flowy swf serve):
  export AWS_ENDPOINT_URL_SWF=http://127.0.0.1:8477 FLOWY_SWF_DOMAIN=test
  flowy swf register --create-domain shop.workflows shop.activities
  flowy swf decider shop.workflows
  flowy swf worker --processes 4 shop.activities
  flowy swf start --wait Order 17
  flowy swf list
  flowy swf history order-17
At AWS it is the same without the endpoint, and with credentials of yours.

{STATUS}"""

TARGETS = """Each TARGET is module:name, file.py:name, a module or a file: a worker, a function that
makes one, a workflow or activity with its configuration as decorator; of a module its
workers, or else all that is decorated in it and, if it is a package, in its modules."""


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add all but `serve`, which is a command of the test kit."""
    _add_register(commands)
    _add_workers(commands)
    _add_start(commands)
    _add_requests(commands)
    _add_list(commands)
    _add_history(commands)
    _add_replay(commands)
    _add_profile(commands)


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    help: str,
    module: str,
    *examples: str,
    about: str = "",
    usage: str | None = None,
) -> argparse.ArgumentParser:
    """A command with the options that all have."""
    lines = "\n".join(f"  flowy swf {name} {example}" for example in examples)
    made = commands.add_parser(
        name,
        help=help,
        description=help[0].upper() + help[1:] + ".",
        usage=usage,
        epilog=f"{about}\n\nexamples:\n{lines}\n\n{STATUS}".lstrip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument(
        "--domain",
        default=os.environ.get("FLOWY_SWF_DOMAIN"),
        help="of Amazon SWF; default: $FLOWY_SWF_DOMAIN",
    )
    made.add_argument(
        "--endpoint-url",
        metavar="URL",
        help="of another SWF, such as http://127.0.0.1:8477; default: $AWS_ENDPOINT_URL_SWF, or AWS",
    )
    made.add_argument("--region", help="of AWS; default: as AWS's own tools take it")
    made.set_defaults(run=_later(module, name))
    return made


def _later(module: str, name: str) -> Callable[[argparse.Namespace], int]:
    def run(options: argparse.Namespace) -> int:
        act: Callable[[argparse.Namespace], int] = getattr(importlib.import_module(module), f"on_{name}")
        return act(options)

    return run


VERBS, LOOKING = "flowy.swf.verbs", "flowy.swf.looking"


def _add_register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    made = _command(
        commands,
        "register",
        "register the types of workflows and activities, or make sure that they are the same",
        VERBS,
        "--domain shop shop.workflows shop.activities",
        "--domain test --create-domain --retention 1 shop.py",
        about=TARGETS,
    )
    _add_targets(made)
    made.add_argument("--create-domain", action="store_true", help="make the domain if it is not there")
    made.add_argument(
        "--retention",
        type=days,
        default=7,
        metavar="DAYS",
        help="how long a new domain keeps what has ended; default: 7",
    )


def _add_workers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    decider = _command(
        commands,
        "decider",
        "decide for workflows, until SIGTERM or Ctrl-C",
        VERBS,
        "--domain shop shop.workflows",
        "--domain shop --processes 4 --task-list orders shop.workflows:Order",
        about=TARGETS,
    )
    worker = _command(
        commands,
        "worker",
        "run activities, until SIGTERM or Ctrl-C",
        VERBS,
        "--domain shop shop.activities",
        "--domain shop --processes 8 --max-memory 500M --grace 60 shop.activities",
        about=TARGETS,
    )
    for made in (decider, worker):
        _add_targets(made)
        made.add_argument(
            "--task-list",
            metavar="NAME",
            help="default: that of the registered types, if it is the same",
        )
        made.add_argument(
            "--processes", type=positive, default=1, metavar="N", help="so many at a time; default: 1"
        )
        made.add_argument(
            "--max-tasks", type=positive, metavar="N", help="replace a process after so many tasks"
        )
        made.add_argument(
            "--max-memory",
            type=size,
            metavar="SIZE",
            help="replace a process that uses more, such as 500M or 2G",
        )
        made.add_argument(
            "--grace",
            type=seconds,
            metavar="SECONDS",
            help="at the end, for what is under way; default: 20",
        )
        made.add_argument("--identity", help="how it shows in histories; default: host and process")
        made.add_argument(
            "--no-register", action="store_true", help="do not register the types at the beginning"
        )
        made.add_argument("--quiet", action="store_true", help="log warnings and errors only")
        _add_payloads(made)
    decider.add_argument(
        "--keep",
        type=count,
        metavar="N",
        help="runs kept in memory between decisions, a process; default: 1000",
    )
    worker.add_argument(
        "--heartbeat",
        type=seconds,
        metavar="SECONDS",
        help="the shortest heartbeat time-out that workflows give, if not the activity's own",
    )


def _add_start(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    made = _command(
        commands,
        "start",
        "start a workflow, and print its workflow id and run id, or wait and print its value",
        VERBS,
        "--domain shop Order 17",
        "--domain shop --wait --timeout 60 Order 17 --express --note 'by hand'",
        """--domain shop --id order-17 --version 2 --input '[[17], {"express": true}]' Order""",
        about="All behind WORKFLOW is for the workflow: arguments are JSON, and what is none is text.",
        usage="flowy swf start [options] WORKFLOW [ARGUMENT …] [--name VALUE …]",
    )
    made.add_argument("workflow", metavar="WORKFLOW", help="the name of its type")
    made.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENT", help="its input")
    made.add_argument("--version", help="of the type; default: the one that is registered")
    made.add_argument("--id", metavar="ID", help="the workflow id; default: a new one")
    made.add_argument(
        "--input", metavar="JSON", help="instead of arguments: [args, kwargs], sent as it is"
    )
    made.add_argument("--wait", action="store_true", help="until it ends, and print its value")
    made.add_argument("--timeout", type=seconds, metavar="SECONDS", help="to wait at most")
    made.add_argument("--task-list", metavar="NAME", help="where its decision tasks wait")
    made.add_argument("--workflow-duration", metavar="SECONDS", help="that it may take, or NONE")
    made.add_argument("--decision-duration", metavar="SECONDS", help="that a decision may take, or NONE")
    made.add_argument("--child-policy", choices=["TERMINATE", "REQUEST_CANCEL", "ABANDON"])
    made.add_argument("--priority", metavar="N", help="more is more urgent")
    made.add_argument("--tag", action="append", metavar="TAG", dest="tags", help="up to five times")
    _add_payloads(made)


def _add_requests(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    signal = _command(
        commands,
        "signal",
        "send a signal to a workflow",
        VERBS,
        "--domain shop order-17 approve",
        """--domain shop order-17 add '{"item": 3}'""",
        about="VALUE is JSON, and what is no JSON is text. Without it the workflow gets None.",
    )
    cancel = _command(
        commands,
        "cancel",
        "ask a workflow to end: its code may clean up",
        VERBS,
        "--domain shop order-17",
    )
    terminate = _command(
        commands,
        "terminate",
        "end a workflow at once, without its code",
        VERBS,
        "--domain shop order-17 --reason 'lost its customer'",
    )
    for made in (signal, cancel, terminate):
        _add_execution(made)
    signal.add_argument("name", metavar="NAME", help="of the signal")
    signal.add_argument("values", nargs="*", metavar="VALUE")
    signal.set_defaults(more="values")
    _add_payloads(signal)
    terminate.add_argument("--reason", help="for whoever asks later")
    terminate.add_argument("--details", help="more of it")
    terminate.add_argument("--child-policy", choices=["TERMINATE", "REQUEST_CANCEL", "ABANDON"])


def _add_list(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    made = _command(
        commands,
        "list",
        "list executions",
        LOOKING,
        "--domain shop",
        "--domain shop --status FAILED --since 1d --type Order",
        "--domain shop --status ALL --id order-17 --json",
    )
    made.add_argument(
        "--status",
        default="OPEN",
        type=str.upper,
        choices=[
            "OPEN",
            "CLOSED",
            "ALL",
            "COMPLETED",
            "FAILED",
            "CANCELED",
            "TERMINATED",
            "CONTINUED_AS_NEW",
            "TIMED_OUT",
        ],
        metavar="STATUS",
        help="OPEN (the default), CLOSED, ALL, or how they ended: COMPLETED, FAILED, CANCELED, "
        "TERMINATED, CONTINUED_AS_NEW, TIMED_OUT",
    )
    made.add_argument("--id", metavar="ID", help="the workflow id")
    made.add_argument("--type", metavar="NAME", help="the name of the workflow type")
    made.add_argument("--tag", help="that they have")
    made.add_argument(
        "--since", metavar="AGO", help="started at the earliest so long ago: 90s, 15m, 6h, 7d"
    )
    made.add_argument(
        "--limit", type=positive, default=100, metavar="N", help="so many at most; default: 100"
    )
    made.add_argument("--json", action="store_true", help="as SWF tells it, an object a line")


def _add_history(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    made = _command(
        commands,
        "history",
        "print the timeline of an execution",
        LOOKING,
        "--domain shop order-17",
        "--domain shop order-17 --json > order-17.json",
        "--file order-17.json --all --full",
    )
    _add_history_source(made)
    made.add_argument("--all", action="store_true", help="decision tasks and starts of tasks too")
    made.add_argument("--full", action="store_true", help="long texts as they are, not cut")
    made.add_argument("--json", action="store_true", help="the events, as `replay --file` takes them")


def _add_replay(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    made = _command(
        commands,
        "replay",
        "find out whether workflows still do what histories say; nothing is scheduled",
        LOOKING,
        "--domain shop shop.workflows order-17",
        "shop.workflows:Order --file order-17.json --file order-18.json",
        about=TARGETS,
    )
    made.add_argument("target", metavar="TARGET", help="the workflow, or what knows it")
    made.add_argument("ids", nargs="*", metavar="ID", help="workflow ids, of the latest run each")
    made.set_defaults(more="ids")
    made.add_argument("--run-id", metavar="ID", help="not the latest run")
    made.add_argument(
        "--file", action="append", default=[], metavar="FILE", help="a saved history, or - for stdin"
    )
    made.add_argument(
        "--lenient", action="store_true", help="other arguments or results are no difference"
    )
    _add_payloads(made)


def _add_profile(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    made = _command(
        commands,
        "profile",
        "measure a history: how long, how large, how near to the limits of Amazon SWF",
        LOOKING,
        "--domain shop order-17",
        "--workflow shop.workflows:Order --file order-17.json --json",
        about=f"--workflow also measures how long a replay takes.\n{TARGETS}",
    )
    _add_history_source(made)
    made.add_argument("--workflow", metavar="TARGET", help="replay it, and say how long that takes")
    made.add_argument("--json", action="store_true", help="as a JSON object")
    _add_payloads(made)


# ------------------------------------------------------------------ what several have


def _add_targets(made: argparse.ArgumentParser) -> None:
    made.add_argument("targets", nargs="+", metavar="TARGET")
    made.set_defaults(more="targets")


def _add_execution(made: argparse.ArgumentParser) -> None:
    made.add_argument("id", metavar="ID", help="the workflow id")
    made.add_argument("--run-id", metavar="ID", help="of one run only; default: the one that is open")


def _add_history_source(made: argparse.ArgumentParser) -> None:
    made.add_argument("id", nargs="?", metavar="ID", help="the workflow id")
    made.add_argument("--run-id", metavar="ID", help="default: the latest run")
    made.add_argument("--file", metavar="FILE", help="a saved history instead, or - for stdin")


def _add_payloads(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--payloads",
        metavar="WHERE",
        help="of texts that are too long for SWF: a folder, or s3://bucket/prefix",
    )


def positive(text: str) -> int:
    """An option that is a number above zero."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


def count(text: str) -> int:
    """An option that is a number from zero on."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"must not be negative, and is {number}")
    return number


def days(text: str) -> int:
    """An option that is a number of days, as SWF keeps things."""
    number = int(text)
    if not 0 <= number <= 90:
        raise argparse.ArgumentTypeError(f"must be from 0 to 90, not {number}")
    return number


def seconds(text: str) -> float:
    """An option that is a duration."""
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number of seconds, not {text}")
    return number


def size(text: str) -> int:
    """An option that is bytes: 500M, 2G, or a plain number.

    >>> size("1.5k"), size("2G")
    (1500, 2000000000)
    """
    units = {"K": 10**3, "M": 10**6, "G": 10**9}
    factor = units.get(text[-1:].upper(), 1)
    number = float(text[:-1] if factor > 1 else text)
    if not 0 < number * factor < 2**63:
        raise argparse.ArgumentTypeError(f"must be bytes, such as 500M, not {text}")
    return int(number * factor)
