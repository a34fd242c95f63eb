"""The command line of the scenarios: `python -m chaos --scale 0.1 --only interrupts,threads`.

Owns: which modules have scenarios. May not know: what they do. Its neighbour is `framework`.
"""

from __future__ import annotations

import argparse
import signal
import sys

from chaos import drivers, framework, interrupts, malice, soak, swf, threads, workers

MODULES = (interrupts, drivers, threads, workers, malice, swf, soak)
LONG = frozenset({"soak"})
"""Those that run only when they are named."""


def main() -> int:
    names = ", ".join(framework.SCENARIOS)
    parser = argparse.ArgumentParser(prog="chaos", description=f"Scenarios: {names}.")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full size (default: 1)")
    parser.add_argument("--only", default="", help="names of scenarios, with commas between them")
    options = parser.parse_args()
    wanted = [name for name in options.only.split(",") if name] or [
        name for name in framework.SCENARIOS if name not in LONG
    ]
    unknown = [name for name in wanted if name not in framework.SCENARIOS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {names}")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts things in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return framework.run_all(wanted, options.scale)


if __name__ == "__main__":
    sys.exit(main())
