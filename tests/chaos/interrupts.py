"""Control-C and SIGTERM at random moments: the driver goes, and leaves nothing.

Owns: "interrupts". A program makes cold and warm engines one after another, with short and endless
tasks, large values, sub-workflows and busy workflow code; the signal comes at any moment of that, at
start-up and shutdown of workers too, to the process or to its group, sometimes twice.

May not know: when flowy holds signals off. Its neighbour is `framework`.
"""

from __future__ import annotations

import random
import signal

from chaos.framework import Driver, Failed, Figures, expect, scenario, times, wait_until

FULL = 200
GONE = 3.0
"""Seconds from the signal to the end of the driver."""
LEFT = 1.0
"""Seconds after that until nothing of it is there any more."""

PROGRAM = """
    import random, time
    print("started", flush=True)
    import flowy

    def quick(n):
        return n + 1

    def nap(seconds):
        time.sleep(seconds)
        return seconds

    def large(n):
        return bytes(n)

    class Inner:
        def __init__(self, quick):
            self.quick = quick

        def __call__(self, n):
            return self.quick(self.quick(n)) + 0

    class Outer:
        def __init__(self, quick, nap, large, inner):
            self.quick, self.nap, self.large, self.inner = quick, nap, large, inner

        def __call__(self, endless):
            sizes = [len(self.large(1 << 20)) for _ in range(3)]
            quick = flowy.map(self.quick, range(5000))
            inner = [self.inner(n) for n in range(20)]
            naps = [self.nap(0.03) for _ in range(4)] + [self.nap(600)] * endless
            chained = self.quick(0)
            for _ in range(200):
                chained = self.quick(chained)
            total = sum(n * n for n in range(50_000)) + chained
            return flowy.wait([quick, inner, naps, total, sizes])

    inner = flowy.LocalWorkflow(Inner)
    inner.conf_activity("quick", quick)
    w = flowy.LocalWorkflow(Outer, 2, executor=sys.argv[1])
    for name in ("quick", "nap", "large"):
        w.conf_activity(name, globals()[name])
    w.conf_workflow("inner", inner)
    print("ready", flush=True)
    endless = int(sys.argv[2])
    while True:
        w.run(0)
        with w:
            w.run(0)
            w.run(endless)
"""


@scenario("interrupts")
def interrupt(scale: float, gone: float = GONE, seed: int | None = None) -> Figures:
    """Each moment has its own seed, which a failure tells."""
    n = times(FULL, scale)
    first = random.randrange(1 << 30) if seed is None else seed
    took = [one(first + i, gone) for i in range(n)]
    took.sort()
    return {
        "moments": n,
        "gone after (median, most)": f"{took[n // 2]:.2f}, {took[-1]:.2f} s",
        "left": 0,
    }


def one(seed: int, gone: float) -> float:
    """One program, one moment; the seconds that it took to go."""
    rng = random.Random(seed)
    number = rng.choice((signal.SIGINT, signal.SIGINT, signal.SIGTERM))
    executor = rng.choice(("processes", "processes", "processes", "threads", "inline"))
    endless = str(int(executor == "processes" and rng.random() < 0.3))
    group, twice = rng.random() < 0.5, rng.random() < 0.25
    story = f"seed {seed}: {signal.Signals(number).name} {executor=} {endless=} {group=} {twice=}"
    # An interpreter that is not up yet has no say in what a signal does, nor have its imports.
    with Driver(PROGRAM, executor, endless) as driver:
        for line in ("started", "ready")[: rng.choice((1, 2, 2, 2, 2))]:
            expect(driver.wait_for_line() == f"{line}\n", f"{story}: it never was {line}")
        driver.process.poll()
        wait_until(lambda: False, rng.uniform(0, 1.0))
        driver.send(number, group=group)
        if twice:
            wait_until(lambda: False, rng.uniform(0, 0.3))
            driver.send(number, group=group)
        seconds = wait_until(lambda: driver.process.poll() is not None, gone)
        if seconds is None:
            raise Failed(f"{story}: it is there after {gone} s; {driver.family()}")
        expect(driver.process.returncode != 0, f"{story}: it ended as if nothing had been")
        clean = wait_until(lambda: not driver.family() and not driver.left(), LEFT)
        if clean is None:
            raise Failed(f"{story}: left behind are {driver.family()} and {driver.left()}")
        return seconds
