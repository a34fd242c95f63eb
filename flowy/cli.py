"""The command line: `flowy` and `python -m flowy`.

Owns the options and the exit status. Knows nothing of what a command does: each is a function
elsewhere, imported only when it is asked for. Its neighbours are `__main__`, which calls it, and
`demo`, the first of the commands.

Exit status: 0 if all went well, 1 if the command failed, 2 for wrong options, 130 if interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys

from flowy._version import __version__


def main(argv: list[str] | None = None) -> int:
    """Run the command line `argv` (default: `sys.argv[1:]`) and return the exit status."""
    options = parser().parse_args(argv)
    try:
        status = run_demo(options)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader has gone, as in `flowy demo | head`. Without this Python complains at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


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
    return top


def run_demo(options: argparse.Namespace) -> int:
    from flowy.demo import demo

    return demo(limit=options.limit, workers=options.workers, compare=not options.no_compare)


def positive(text: str) -> int:
    """An option that is a number above zero."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number
