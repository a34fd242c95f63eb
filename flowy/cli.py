"""The command line: `flowy` and `python -m flowy`.

Owns the options and the exit status. Knows nothing of what a command does: each is a function
elsewhere, imported only when it is asked for. Its neighbours are `__main__`, which calls it, and the
commands: `demo`, `command`, `completion`, `testing.swf.serve`, and those whose options are in
`swf_options`.

Exit status: 0 if all went well, 1 if the command failed, 2 for wrong options, 130 if interrupted; those
of `flowy swf` that have more say so.
"""

from __future__ import annotations

import argparse
import sys

from flowy import swf_options
from flowy._version import __version__
from flowy.saying import OutputError, fill_streams, say, silence
from flowy.swf_options import positive

SHELLS = ("bash", "zsh", "fish")


def main(argv: list[str] | None = None) -> int:
    """Run the command line `argv` (default: `sys.argv[1:]`) and return the exit status."""
    fill_streams()
    options = read(argv)
    try:
        status: int = options.run(options)
        say("")
        return status
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader has gone, as in `flowy demo | head`
        silence()
        return 1
    except OutputError as error:
        silence()
        print(f"flowy {options.command}: stdout can't be written: {error.strerror}", file=sys.stderr)
        return 1


def read(argv: list[str] | None) -> argparse.Namespace:
    """The options. argparse gives up on what stands alone behind an option, as in `worker a --quiet b`,
    once some of it stood before: `options.more` says where such words belong."""
    reader = parser()
    options, left = reader.parse_known_args(argv)
    if left:
        more = getattr(options, "more", None)
        if more is None or any(word.startswith("-") for word in left):
            reader.error(f"unrecognized arguments: {' '.join(left)}")
        getattr(options, more).extend(left)
    return options


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = argparse.ArgumentParser(
        prog="flowy", description="Workflows in plain Python, run in parallel."
    )
    top.add_argument("--version", action="version", version=f"flowy {__version__}")
    commands = top.add_subparsers(dest="command", metavar="command", required=True)
    demo = commands.add_parser("demo", help="index Python's standard library on all cores")
    demo.add_argument("--limit", type=positive, metavar="N", help="only the first N files")
    demo.add_argument("--workers", type=positive, metavar="N", help="default: one for each CPU")
    demo.add_argument(
        "--no-compare", action="store_true", help="do not run it as plain Python for comparison"
    )
    demo.set_defaults(run=run_demo)
    add_run(
        commands.add_parser(
            "run",
            help="run a workflow",
            usage="flowy run [options] WORKFLOW [ARGUMENT …] [--name VALUE …]",
            epilog=RUN_EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    add_trace(
        commands.add_parser(
            "trace",
            help="look at what a run did",
            epilog=TRACE_EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    add_swf(
        commands.add_parser(
            "swf",
            help="workflows on Amazon SWF, and a local one to develop against",
            epilog=swf_options.GENERAL,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    completion = commands.add_parser(
        "completion",
        help="what makes a shell complete flowy's options",
        epilog=COMPLETION_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    completion.add_argument("shell", choices=SHELLS)
    completion.set_defaults(run=run_completion)
    return top


EXIT_STATUS = """exit status: 0 if all went well, 1 if the workflow failed, 2 for misuse (of flowy by
the workflow too), 130 after Control-C. After SIGTERM the process ends by that signal."""

RUN_EXAMPLES = f"""examples:
  flowy run shop.orders:workflow 17
  flowy run --workers 4 --trace run.svg orders.py:workflow '[1, 2]' --currency EUR
  flowy run --set fetch.retry=3 --set fetch.start_to_close=30 orders.py:workflow 17
  flowy run --set 'retry={{"attempts": 4, "delay": 1}}' --set sub.parse.priority=2 orders.py:workflow 17

WORKFLOW is a LocalWorkflow, or a function that returns one. All behind it is for the
workflow: arguments are JSON, and what is no JSON is taken as text. The value is printed as JSON,
or as Python shows it. Progress is shown on stderr if that is a terminal.

{EXIT_STATUS}"""

TRACE_EXAMPLES = """examples:
  flowy run --trace run.json orders.py:workflow 17
  flowy trace summary run.json
  flowy trace convert run.json run.svg
  flowy trace predict run.json --workers 4 16 64"""

COMPLETION_EXAMPLES = """examples:
  source <(flowy completion bash)                      in ~/.bashrc
  source <(flowy completion zsh)                       in ~/.zshrc, after compinit
  flowy completion fish | source                       in ~/.config/fish/config.fish"""


def add_run(run: argparse.ArgumentParser) -> None:
    run.add_argument("--workers", type=positive, metavar="N", help="default: as the workflow says")
    run.add_argument("--executor", choices=["processes", "threads", "inline"])
    run.add_argument(
        "--trace",
        metavar="FILE",
        help="write what was done: .html, .svg, .dot, .chrome.json, .json …",
    )
    run.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        help="show how far it is; default: if stderr is a terminal",
    )
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME.OPTION=VALUE",
        help="an option of an activity, as conf_activity takes it; without NAME: of all",
    )
    run.add_argument("workflow", metavar="WORKFLOW", help="module:name, or file.py:name")
    rest = run.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENT", help="its input")
    rest.required = False  # or it would be asked for where WORKFLOW is missing
    run.set_defaults(run=run_workflow)


def add_trace(trace: argparse.ArgumentParser) -> None:
    commands = trace.add_subparsers(dest="trace_command", metavar="command", required=True)
    show = commands.add_parser("show", help="draw it, and open the picture")
    convert = commands.add_parser("convert", help="write it in another form")
    summary = commands.add_parser("summary", help="a table by name, and the critical path")
    predict = commands.add_parser("predict", help="how long it would take on other machines")
    for command in (show, convert, summary, predict):
        command.add_argument("file", metavar="FILE", help="a trace, as .json")
        command.set_defaults(run=run_trace)
    convert.add_argument(
        "target", metavar="TARGET", help=".html, .svg, .dot, .mmd, .chrome.json, or .json"
    )
    predict.add_argument(
        "--workers", type=positive, nargs="+", default=[1, 2, 4, 8, 16, 32, 64], metavar="N"
    )


def add_swf(swf: argparse.ArgumentParser) -> None:
    commands = swf.add_subparsers(dest="swf_command", metavar="command", required=True)
    serve = commands.add_parser("serve", help="serve a local SWF for boto3, until Ctrl-C")
    serve.add_argument(
        "--host", default="127.0.0.1", help="where to listen; default: 127.0.0.1, this machine only"
    )
    serve.add_argument("--port", type=port, default=8477, help="default: 8477; 0 takes any that is free")
    serve.add_argument(
        "--state", metavar="FILE", help="keep all state in this SQLite file, and go on from it"
    )
    serve.add_argument(
        "--limits", nargs="+", default=[], metavar="NAME=N", help="such as events=1000; default: AWS's"
    )
    serve.add_argument("--no-throttling", action="store_true", help="as many requests a second as come")
    serve.add_argument(
        "--faults",
        nargs="+",
        default=[],
        metavar="KIND=P",
        help="make calls fail, such as throttle=0.05",
    )
    serve.set_defaults(run=run_swf_serve)
    swf_options.add_commands(commands)


def run_demo(options: argparse.Namespace) -> int:
    from flowy.demo import demo

    return demo(limit=options.limit, workers=options.workers, compare=not options.no_compare)


def run_workflow(options: argparse.Namespace) -> int:
    from flowy.command import run

    return run(
        options.workflow,
        options.arguments,
        workers=options.workers,
        executor=options.executor,
        trace=options.trace,
        progress=options.progress,
        settings=options.set,
    )


def run_completion(options: argparse.Namespace) -> int:
    from flowy.completion import script

    say(script(options.shell, parser()))
    return 0


def run_trace(options: argparse.Namespace) -> int:
    from flowy import command

    if options.trace_command == "convert":
        return command.on_trace(options.file, lambda trace: command.convert(trace, options.target))
    if options.trace_command == "predict":
        return command.on_trace(options.file, lambda trace: command.predict(trace, options.workers))
    return command.on_trace(
        options.file, command.show if options.trace_command == "show" else command.summary
    )


def run_swf_serve(options: argparse.Namespace) -> int:
    try:
        from flowy.testing.swf.serve import serve
    except ImportError as error:
        print(f"flowy swf serve: {error}", file=sys.stderr)
        return 1
    return serve(
        options.host,
        options.port,
        state=options.state,
        limits=options.limits,
        throttling=not options.no_throttling,
        faults=options.faults,
    )


def port(text: str) -> int:
    """An option that is a TCP port."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"must be from 0 to 65535, not {number}")
    return number
