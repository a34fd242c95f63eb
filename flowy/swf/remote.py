"""What deciders and activity workers share: their life with the service.

Owns: `Remote`: `register_remote`, `run_forever`, `run_once` and `stop`, with the arguments of flowy
0.4.

May not know: what kind of tasks there are. Its neighbours are `decider` and `activities`, which say so,
and `polling`, which does the work. boto3 is imported when the service is first needed: `decide` needs
none.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from flowy.errors import UsageError
from flowy.swf.registering import register_type, scan

if TYPE_CHECKING:
    from flowy.swf.client import SWFClient

__all__ = ["Crew", "Many", "Place", "Recycling", "Remote", "Tasks"]

Tasks = tuple[
    Mapping[str, Callable[[], dict[str, Any]]],  # what is to be polled, by name
    Callable[[dict[str, Any]], None],  # what answers a task
]


class Place(NamedTuple):
    """Where tasks come from, and who asks for them."""

    client: SWFClient
    domain: str
    task_list: str
    identity: str


class Recycling(NamedTuple):
    """When a process is replaced, between two tasks; None never."""

    tasks: int | None = None
    memory: int | None = None
    """Bytes."""


class Many(NamedTuple):
    """Processes instead of this one."""

    processes: int
    recycling: Recycling


class Crew(Protocol):
    """What works until it is stopped: in this process, or by others."""

    def run(self) -> None: ...

    def stop(self) -> None: ...


class Remote:
    """A worker that takes tasks from Amazon SWF."""

    kind = ""
    """Of its types: 'activity' or 'workflow'."""
    categories: tuple[str, ...] = ()
    _running: Any = None

    def types(self) -> Iterator[tuple[tuple[str, str], Mapping[str, Any]]]:
        """The types that are registered with it: (name, version), and their defaults at SWF."""
        raise NotImplementedError

    def register(self, config: Any, func: Any, version: Any, name: str | None = None) -> None:
        """Know a function or class from now on."""
        raise NotImplementedError

    def tasks(
        self, client: SWFClient, domain: str, task_list: str, identity: str, stop: threading.Event
    ) -> Tasks:
        """What to poll and how to answer."""
        raise NotImplementedError

    def crew(self, place: Place, many: Many, stop: threading.Event, grace: float) -> Crew:
        """What works in several processes."""
        raise NotImplementedError

    def ended(self) -> None:
        """`run_forever` is about to return, in its thread."""

    def break_loop(self) -> bool:
        """Asked after each task and every second; overridden, it may end `run_forever` by True."""
        return False

    def scan(
        self,
        categories: tuple[str, ...] | None = None,
        package: Any = None,
        ignore: Any = None,
        level: int = 0,
    ) -> None:
        """Register all that is bound to a configuration in a package, found through venusian.

        Args:
            categories: of configurations; those of this kind of worker by default.
            package: where to look; the package of the caller by default.
            ignore: as venusian takes it.
            level: how many more callers up that is.

        Raises:
            ImportError: venusian is not installed.
        """
        scan(self.register, categories or self.categories, package, ignore, level)

    def register_remote(self, swf_client: SWFClient | None, domain: str) -> None:
        """Register all types at SWF, or make sure that what is registered there is the same.

        Raises:
            UsageError: a type is registered with other defaults, or deprecated.
            ImportError: boto3 is not installed.
        """
        client = swf_client or _default_client()
        for key, defaults in self.types():
            register_type(client, domain, self.kind, key, defaults)

    def run_forever(
        self,
        domain: str,
        task_list: str,
        swf_client: SWFClient | None = None,
        setup_log: bool = True,
        register_remote: bool = True,
        identity: str | None = None,
        *,
        grace: float | None = None,
        processes: int | None = None,
        max_tasks: int | None = None,
        max_memory: int | None = None,
    ) -> None:
        """Take tasks and answer them until SIGTERM, SIGINT or `stop`; what is in hand is finished.

        Args:
            domain, task_list: where tasks are.
            swf_client: how to reach SWF; a default one is made.
            setup_log: log to stderr, if logging is not set up.
            register_remote: register the types first.
            identity: how this worker shows in histories; its machine and process by default.
            grace: seconds that polls under way get at the end, 20 by default: SWF may be handing them a
                task, which else had to wait for its time-out. In processes also for what they have in
                hand.
            processes: work in so many processes, started clean, instead of in this one: deciders, or a
                process for each activity that runs, which is killed when SWF has given it up. Those
                that die are replaced. The client must be made here: `SWFClient(kwargs=…)`.
            max_tasks, max_memory: replace a process after so many tasks, or when it uses more bytes.

        Raises:
            UsageError: it runs already, the types can't be registered, or what is registered or the
                client can't travel to other processes.
            ImportError: boto3 is not installed.
        """
        many = _many(processes, max_tasks, max_memory)
        client = swf_client or _default_client()
        from flowy.swf.polling import GRACE, Worker, default_identity, signals

        if self._running is not None:
            raise UsageError("this worker runs already: make another one for another thread")
        if setup_log:
            logging.basicConfig(
                level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
            )
        if register_remote:
            self.register_remote(client, domain)
        stop = threading.Event()
        place = Place(client, domain, task_list, identity or default_identity())
        grace = GRACE if grace is None else grace
        crew: Crew
        if many is None:
            polls, answer = self.tasks(*place, stop)
            crew = Worker(dict(polls), answer, stop, self.break_loop, grace)
        else:
            crew = self.crew(place, many, stop, grace)
        self._running = crew
        try:
            with signals(crew.stop):
                crew.run()
        finally:
            self._running = None
            self.ended()

    def run_once(
        self,
        domain: str,
        task_list: str,
        swf_client: SWFClient | None = None,
        identity: str | None = None,
    ) -> bool:
        """Poll once and answer what came; whether anything did. For tests.

        Raises:
            Unreachable, Refused: the poll failed.
        """
        client = swf_client or _default_client()
        from flowy.swf.polling import default_identity

        stop = threading.Event()
        stop.set()  # the next task shall come to whoever polls the shared list
        polls, answer = self.tasks(client, domain, task_list, identity or default_identity(), stop)
        task = next(iter(polls.values()))()
        if not task.get("taskToken"):
            return False
        answer(task)
        return True

    def stop(self) -> None:
        """Let `run_forever` return when the task in hand is answered; from any thread."""
        running = self._running
        if running is not None:
            running.stop()


def _many(processes: int | None, tasks: int | None, memory: int | None) -> Many | None:
    for name, number in (("processes", processes), ("max_tasks", tasks), ("max_memory", memory)):
        if number is not None and (type(number) is not int or number < 1):
            raise UsageError(f"{name} is a number from 1 on or None, not {number!r}")
    if processes is not None:
        return Many(processes, Recycling(tasks, memory))
    if tasks is not None or memory is not None:
        raise UsageError(
            "max_tasks and max_memory are for processes that can be replaced: give processes="
        )
    return None


def _default_client() -> SWFClient:
    from flowy.swf.client import SWFClient

    return SWFClient()
