"""`make demo-swf`: an order on a local Amazon SWF, by the commands that one would type.

Owns: the processes it starts (the service, a decider, two activity workers), their order and their end.
All they do is in `orders.py` and in `flowy swf`; at AWS it is the same without the endpoint.
"""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
FLOWY = [sys.executable, "-m", "flowy", "swf"]
PATIENCE = 90  # seconds


class Shell:
    """Runs commands, shows them, and ends what still runs."""

    def __init__(self):
        self.background = []
        self.environment = dict(os.environ, FLOWY_SWF_DOMAIN="demo", PYTHONDONTWRITEBYTECODE="1")
        self.environment.pop("AWS_ENDPOINT_URL", None)

    def show(self, words, more=""):
        print(f"\n$ flowy swf {shlex.join(words)}{more}", flush=True)

    def start(self, *words, **given):
        """One that goes on, shown with an ampersand."""
        self.show(words, " &")
        process = subprocess.Popen([*FLOWY, *words], cwd=HERE, env=self.environment, text=True, **given)
        self.background.append(process)
        return process

    def run(self, *words, quiet=False):
        """One that ends; its output is shown and returned. Raises `SystemExit` if it fails."""
        if not quiet:
            self.show(words)
        done = subprocess.run(
            [*FLOWY, *words],
            cwd=HERE,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if quiet else None,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        if done.returncode:
            print(done.stderr or "", end="", file=sys.stderr)
            raise SystemExit(f"demo-swf: flowy swf {shlex.join(words)} ended with {done.returncode}")
        if not quiet:
            print(done.stdout, end="", flush=True)
        return done.stdout

    def end(self):
        """SIGTERM to all, the youngest first; whether each went of itself, and well."""
        well = True
        for process in reversed(self.background):
            process.terminate()
            try:
                well &= process.wait(PATIENCE) == 0
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                well = False
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
        return well


def play(shell):
    service = shell.start("serve", "--port", "0", stdout=subprocess.PIPE)
    url = service.stdout.readline().split()[-1]
    shell.environment["AWS_ENDPOINT_URL_SWF"] = url
    print(f"A local Amazon SWF is ready at {url}.")
    print(f"\n$ export AWS_ENDPOINT_URL_SWF={url} FLOWY_SWF_DOMAIN=demo")
    shell.run("register", "--create-domain", "orders.py")
    shell.start("decider", "--quiet", "--grace", "1", "orders.py")
    for _ in range(2):
        shell.start("worker", "--quiet", "--grace", "1", "orders.py")
    order = shell.start(
        *("start", "--wait", "--timeout", "90", "--id", "order-17"),
        *("Order", '["pen", "book", "lamp", "desk"]', "--address", "Cluj"),
        stdout=subprocess.PIPE,
    )
    wait_for(lambda: shell.run("list", "--id", "order-17", quiet=True), order)
    shell.run("signal", "order-17", "paid", "184")
    value, _ = order.communicate(timeout=PATIENCE)
    shell.background.remove(order)
    if order.returncode:
        raise SystemExit(f"demo-swf: the order ended with {order.returncode}")
    print(f"\nThe order is done: {value}", end="", flush=True)
    shell.run("history", "order-17")
    shell.run("replay", "orders.py", "order-17")
    shell.run("list", "--status", "all")


def wait_for(condition, process):
    end = time.monotonic() + PATIENCE
    while not condition():
        if process.poll() is not None or time.monotonic() > end:
            raise SystemExit("demo-swf: the order did not begin")
        time.sleep(0.1)


def main():
    shell = Shell()
    well = False
    try:
        play(shell)
    finally:
        well = shell.end()
    print("\nThe workers and the service have ended.")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
