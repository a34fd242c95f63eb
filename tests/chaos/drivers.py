"""`kill -9` of the driver, idle and busy: no worker stays, and the next start finds nothing.

Owns: "killed-driver". Workers are idle, asleep, computing, inside C code that holds the GIL for minutes,
moving large values, about to start, or have started processes of their own.

May not know: how a worker learns of it. Its neighbour is `framework`.
"""

from __future__ import annotations

import random
import signal

from chaos.framework import LIMIT, Driver, Failed, Figures, scenario, times, wait_until

FULL = 100
GONE = 1.0
"""Seconds until the last worker is gone."""

PROGRAM = """
    import re, subprocess, time
    import flowy

    def begun(n):
        open(n, "w").close()

    def sleeping(n):
        begun(n)
        time.sleep(600)

    def computing(n):
        begun(n)
        while True:
            pass

    def matching(n):
        begun(n)
        re.match(r"(a+)+$", "a" * 60 + "b")

    def multiplying(n):
        x = 7 ** 3_000_000
        begun(n)
        for _ in range(1000):
            x * x

    def starting(n):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        sleeping(n)

    def moving(n):
        begun(n)
        return bytes(1 << 22)

    def nothing(n):
        begun(n)

    act = globals()[sys.argv[1]]

    class Code:
        def __init__(self, act):
            self.act = act

        def __call__(self):
            results = [self.act("0"), self.act("1")]
            while sys.argv[1] == "moving":
                results = flowy.wait([self.act("0"), self.act("1")])
            return flowy.wait(results)

    w = flowy.LocalWorkflow(Code, 2)
    w.conf_activity("act", act)
    with w:
        begun("entered")
        w.run()
        time.sleep(600)
"""
ACTIVITIES = ("nothing", "sleeping", "computing", "matching", "multiplying", "starting", "moving")


@scenario("killed-driver")
def kill(scale: float, gone: float = GONE) -> Figures:
    n = times(FULL, scale)
    took = sorted(one(i, gone) for i in range(n))
    return {
        "kills": n,
        "last worker gone after (median, most)": f"{took[n // 2]:.2f}, {took[-1]:.2f} s",
        "left after the next start": 0,
    }


def one(i: int, gone: float) -> float:
    rng = random.Random()
    activity = ACTIVITIES[i % len(ACTIVITIES)]
    with Driver(PROGRAM, activity) as driver:
        if i // len(ACTIVITIES) % 4 == 3:  # at start-up
            driver.wait_for_file("entered")
        else:
            driver.wait_for_file("0", "1")
        wait_until(lambda: False, rng.uniform(0, 0.1))
        driver.send(signal.SIGKILL)
        driver.process.wait(LIMIT)
        seconds = wait_until(lambda: not driver.family(), gone)
        if seconds is None:
            raise Failed(f"{activity}: {driver.family()} are there {gone} s after their driver")
        driver.sweep()
        if driver.left():
            raise Failed(f"{activity}: after the next start there are still {driver.left()}")
        return seconds
