"""What `module:name` stands for on the command line of Amazon SWF: workers with what they know.

Owns: `find_workers`, which takes what is there: a worker, a function that makes one, a workflow or an
activity with its configuration bound by a decorator, or a module: its workers, or else, inside packages
too, all that is decorated.

May not know: SWF, or what the workers are for. Neighbours: `flowy.command`, which loads modules and
files, and the commands. Names come from the command line of whoever starts this, never from SWF.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, NamedTuple

from flowy.command import describe_type, load, pick, their_part
from flowy.errors import UsageError, describe
from flowy.swf.activities import SWFActivityWorker
from flowy.swf.config import CATEGORIES, SWFActivityConfig, SWFWorkflowConfig
from flowy.swf.decider import SWFWorkflowWorker
from flowy.swf.remote import Remote

__all__ = ["Found", "find_workers"]

_HOW = (
    "give a worker, a function that makes one, a workflow or activity with its configuration as "
    "decorator (@config(version=1)), or a module to look through"
)


class Found(NamedTuple):
    """What was found: workers, one of each kind at most."""

    decider: SWFWorkflowWorker | None
    activities: SWFActivityWorker | None


def find_workers(targets: Sequence[str]) -> Found:
    """The workers that `targets` name: as they are, or made for what is configured.

    Args:
        targets: `module`, `module:name`, `file.py` or `file.py:name`.

    Raises:
        UsageError: a target names nothing of the kind.
    """
    finder = _Finder()
    for target in targets:
        finder.take(target)
    return Found(finder.decider, finder.activities)


class _Finder:
    def __init__(self) -> None:
        self.decider: SWFWorkflowWorker | None = None
        self.activities: SWFActivityWorker | None = None

    def take(self, target: str) -> None:
        where, name = split(target)
        module = load(where)
        if not name:
            self._look_through(target, module)
            return
        self._take(target, pick(module, where, name, _others))

    def _take(self, target: str, found: Any) -> None:
        if isinstance(found, Remote):
            self._take_worker(target, found)
        elif isinstance(found, ModuleType):
            self._look_through(target, found)
        elif _is_bound(found):
            self._take_bound(target, found)
        elif callable(found) and not isinstance(found, type):
            made = _make(target, found)
            if not isinstance(made, Remote):
                raise UsageError(f"{target}() returned {describe_type(made)}, no worker: {_HOW}")
            self._take_worker(target, made)
        else:
            kind = "a class without a configuration" if isinstance(found, type) else describe_type(found)
            raise UsageError(f"{target} is {kind}: {_HOW}")

    def _take_worker(self, target: str, worker: Remote) -> None:
        kind = type(worker)
        if isinstance(worker, SWFWorkflowWorker):
            if self.decider is not None:
                raise UsageError(f"{target} is a second decider: register all its workflows with one")
            self.decider = worker
        elif isinstance(worker, SWFActivityWorker):
            if self.activities is not None:
                raise UsageError(
                    f"{target} is a second activity worker: register all its activities with one"
                )
            self.activities = worker
        else:
            raise UsageError(f"{target} is a worker of a kind that is not known, {kind.__name__}")

    # ------------------------------------------------------------ configurations bound by decorators

    def register(self, config: Any, function: Any, version: Any, name: str | None = None) -> None:
        """What a scan found."""
        if isinstance(config, SWFWorkflowConfig):
            if self.decider is None:
                self.decider = SWFWorkflowWorker()
            self.decider.register(config, function, version, name)
        elif isinstance(config, SWFActivityConfig):
            if self.activities is None:
                self.activities = SWFActivityWorker()
            self.activities.register(config, function, version, name)
        else:
            raise UsageError(f"{config!r} is no configuration: {_HOW}")

    def _scanner(self, target: str) -> Any:
        try:
            import venusian
        except ImportError:
            raise UsageError(
                f"{target}: decorated functions are found through venusian: pip install 'flowy[swf]'"
            ) from None
        return venusian.Scanner(register=self.register)

    def _look_through(self, target: str, module: ModuleType) -> None:
        """Its workers; what is decorated in it only if there are none, or it would be there twice."""
        workers = {id(x): x for x in vars(module).values() if isinstance(x, Remote)}
        for worker in workers.values():
            self._take_worker(target, worker)
        if not workers:
            self._scan(target, module)

    def _scan(self, target: str, module: ModuleType) -> None:
        before = self._count()
        try:
            self._scanner(target).scan(module, categories=CATEGORIES)
        except UsageError:
            raise
        except (Exception, SystemExit) as error:
            raise UsageError(
                f"{target} can't be looked through: {describe(error)}\n{their_part(error)}".rstrip()
            ) from None
        if self._count() == before:
            raise UsageError(
                f"{target} has no worker, and no workflow or activity with a configuration as decorator"
                f"{_others(module)}: {_HOW}"
            )

    def _take_bound(self, target: str, found: Any) -> None:
        """One decorated object, by the call-backs that venusian attached to it."""
        scanner = self._scanner(target)
        for category in CATEGORIES:
            for callback, *_ in found.__venusian_callbacks__.get(category, ()):
                callback(scanner, getattr(found, "__name__", target), found)

    def _count(self) -> int:
        workflows = len(self.decider.workflows) if self.decider else 0
        return workflows + (len(self.activities.activities) if self.activities else 0)


def split(target: str) -> tuple[str, str]:
    """(module or file, name in it, '' for all of it)."""
    where, colon, name = target.rpartition(":")
    if not colon:
        where, name = target, ""
    if not where or (colon and not name):
        raise UsageError(f"{target!r} names nothing: write module:name, file.py:name, or module")
    return where, name


def _make(target: str, function: Callable[[], Any]) -> Any:
    try:
        return function()
    except Exception as error:
        raise UsageError(
            f"{target} has no configuration, and {target}() failed: {describe(error)}\n"
            f"{their_part(error)}".rstrip()
        ) from None


def _is_bound(found: Any) -> bool:
    """Whether a configuration was bound to it; a subclass does not inherit one."""
    attached = getattr(found, "__venusian_callbacks__", None)
    if attached is None or not hasattr(attached, "attached_to"):
        return False
    module, name = getattr(found, "__module__", ""), getattr(found, "__name__", "")
    return bool(attached.attached_to(module, name, found)) and any(c in attached for c in CATEGORIES)


def _others(module: ModuleType) -> str:
    """What there is, for whoever missed it."""
    names = [n for n, x in vars(module).items() if isinstance(x, Remote) or _is_bound(x)]
    if names:
        return f"; there are {', '.join(sorted(names))}"
    if hasattr(module, "__path__"):
        inside = sorted(each.name for each in pkgutil.iter_modules(module.__path__))
        return f"; its modules are {', '.join(inside)}" if inside else ""
    return ""
