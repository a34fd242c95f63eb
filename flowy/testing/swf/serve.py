"""`flowy swf serve`: a local SWF to develop against.

Owns: what it prints, how its options become limits, and its end.

May not know: how options are parsed. Its neighbours: `cli` calls it; `http` and `statefile` do the work.
"""

from __future__ import annotations

import dataclasses
import errno
import functools
import os
import signal
import sys
from collections.abc import Callable, Iterable

from flowy.errors import UsageError
from flowy.testing.swf.chaos import KINDS, Chaos
from flowy.testing.swf.clock import SystemClock
from flowy.testing.swf.http import Server, client_is_there
from flowy.testing.swf.limits import Limits
from flowy.testing.swf.service import Changes, Service
from flowy.testing.swf.statefile import StateFile

ENDS = (signal.SIGINT, signal.SIGTERM)
LOCAL = ("127.0.0.1", "::1", "localhost")
SETTABLE = {
    field.name: type(getattr(Limits(), field.name))
    for field in dataclasses.fields(Limits)
    if isinstance(getattr(Limits(), field.name), (int, float))
}


def serve(
    host: str,
    port: int,
    *,
    state: str | None = None,
    limits: Iterable[str] = (),
    throttling: bool = True,
    faults: Iterable[str] = (),
) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit status."""
    store = None
    try:
        allowed = limits_of(limits)
        allowed = allowed if throttling else allowed.without_throttling()
        chances = faults_of(faults)
        store = StateFile(state) if state is not None else None
        return _serve(host, port, allowed, chances, store)
    except UsageError as error:
        print(f"flowy swf serve: {error}", file=sys.stderr)
        return 1
    finally:
        if store is not None:
            store.close()


def _serve(
    host: str, port: int, limits: Limits, faults: dict[str, float], store: StateFile | None
) -> int:
    lost: list[Exception] = []
    on_change = _keeper(store, lost) if store is not None else None
    service = Service(clock=SystemClock(), limits=limits, on_change=on_change)
    if store is not None:
        _load(service, store)
    chaos = Chaos(functools.partial(service.call, alive=client_is_there))
    for kind, probability in faults.items():
        chaos.inject(kind, probability=probability)
    # Blocked before there are threads, and waited for: the kernel may give a signal to any thread, and
    # Python's handler would run when the main thread wakes by itself, which it does not.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
    try:
        with Server(chaos.call, host, port, wake=service.wake, largest=limits.request) as server:
            print(greeting(server.endpoint_url, host, store), flush=True)
            signal.sigwait(ENDS)
    except BrokenPipeError:
        raise  # whoever read what we print has gone: for `cli`
    except (OSError, OverflowError) as error:
        taken = getattr(error, "errno", None) == errno.EADDRINUSE
        more = " (give another --port, or 0 for any that is free)" if taken else ""
        print(f"flowy swf serve: can't listen on {host} port {port}: {error}{more}", file=sys.stderr)
        return 1
    finally:
        for number in signal.sigpending() & set(ENDS):
            signal.sigwait({number})  # asked again while it ended: it has
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    print("ended", flush=True)
    if store is not None and lost:
        raise UsageError(
            f"ended, because it can't write the state file {store.path}: {lost[0]}. Make it writable "
            "again, and start again: all that was answered is in it"
        )
    return 0


def _keeper(store: StateFile, lost: list[Exception]) -> Callable[[Changes], None]:
    """What writes changes to the file. If one can't be, it is `lost`, and the service is to end."""

    def keep(changes: Changes) -> None:
        try:
            store.write(changes)
        except Exception as error:
            lost.append(error)
            os.kill(os.getpid(), signal.SIGTERM)  # `_serve` waits for it
            raise

    return keep


def _load(service: Service, store: StateFile) -> None:
    """Go on with what was kept."""
    try:
        kept = store.read()
        if kept is not None:
            service.load(kept)
    except Exception as error:  # of SQLite, of JSON, or events that no service wrote
        raise store.damaged(error) from error


def greeting(url: str, host: str, store: StateFile | None) -> str:
    """What is printed when it is ready: lines to paste."""
    if host in LOCAL:
        reach = f"It listens on {host} only: other machines can't reach it."
    else:
        reach = f"It listens on {host}: WHOEVER REACHES THIS MACHINE CAN USE IT, unsigned."
    kept = f"State is kept in {store.path}." if store else "State is in memory, and gone with it."
    keys = "aws_access_key_id='local', aws_secret_access_key='local'"
    nobody = "--region us-east-1 --no-sign-request"
    return f"""\
A local Amazon SWF is ready at {url}

  boto3.client('swf', region_name='us-east-1', endpoint_url='{url}', {keys})
  aws swf list-domains --registration-status REGISTERED --endpoint-url {url} {nobody}

{reach}
{kept} Ctrl-C ends it."""


def limits_of(given: Iterable[str]) -> Limits:
    """AWS's limits, but for those `given` as "name=number"."""
    changes: dict[str, float] = {}
    for text in given:
        name, _, number = text.partition("=")
        if name not in SETTABLE:
            raise UsageError(f"there is no limit {name!r}; there are {', '.join(SETTABLE)}")
        try:
            changes[name] = value = SETTABLE[name](number)
        except ValueError:
            raise UsageError(f"--limits {text}: {number!r} is no number") from None
        if not 0 < value < float("inf"):
            raise UsageError(f"--limits {text}: must be more than 0")
    return dataclasses.replace(Limits(), **changes)  # type: ignore[arg-type]


def faults_of(given: Iterable[str]) -> dict[str, float]:
    """How probable each kind of fault is, `given` as "kind=probability"."""
    chances: dict[str, float] = {}
    for text in given:
        kind, _, number = text.partition("=")
        if kind not in KINDS:
            raise UsageError(f"there is no fault {kind!r}; there are {', '.join(KINDS)}")
        try:
            chances[kind] = float(number)
        except ValueError:
            raise UsageError(f"--faults {text}: {number!r} is no number") from None
        if not 0 <= chances[kind] <= 1:
            raise UsageError(f"--faults {text}: must be from 0 to 1")
    return chances
