"""Log records of activities, on their way from a worker into the driver's logging.

Owns: `Habits`, what the user chose; `Forward`, the handler of a worker, and the levels below which it
makes no record; `Arrival`, a record at its driver, and the fields that tell where it is from.

    activity ─ log.info ─> Forward ── LOG ──> pool ─ Arrival ─> driver ─> logging.getLogger(name)

The driver's levels are known in the worker, so that what nobody wants is never made. Nothing here costs
anything where nobody logs.

May not know: pipes, processes, when a record may be handled. Neighbours: `worker` sends what `Forward`
packs; `pool` makes an `Arrival` of it, and `driver` lets that be handled.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Any, Literal

from flowy import serialization
from flowy._record import Record
from flowy.errors import UsageError
from flowy.local.mailbox import Parcel
from flowy.local.status import IDLE, Page

OutputChoice = Literal["lines", "inherit"]

LARGEST = 1 << 20
"""Bytes of a further field of a record; of a larger one only the beginning of its `repr` travels."""
_PLAIN = (str, int, float, bool, type(None))
_FORMATTER = logging.Formatter()


class Levels(Record):
    """Which records are made."""

    disabled: int
    """What `logging.disable` says."""
    loggers: dict[str, int]
    """By name, as far as they are set; `""` is the root."""


class Habits(Record):
    """How workers log and print."""

    level: int | None = logging.NOTSET
    """Records below it stay in the worker; None: all do, and its logging is left alone."""
    lines: bool = True
    """Whether what is printed comes out in whole lines."""

    @classmethod
    def of(cls, logs: Any, output: Any) -> Habits:
        """Those of the options `logs` and `output`.

        Raises:
            UsageError: with what can be.
        """
        if output not in ("lines", "inherit"):
            raise UsageError(f"output={output!r} is unknown: use 'lines' or 'inherit'")
        return cls(_level(logs), output == "lines")

    def levels(self) -> Levels | None:
        """The levels of this process's loggers, as far as they are set; None if records stay."""
        floor = self.level
        if floor is None:
            return None
        manager = logging.root.manager
        levels = {"": max(floor, logging.root.level)}
        for name, logger in list(manager.loggerDict.items()):
            if isinstance(logger, logging.Logger) and logger.level:
                levels[name] = max(floor, logger.level)
        return Levels(manager.disable, levels)


def _level(logs: Any) -> int | None:
    """The level that `logs` stands for."""
    if logs is True:
        return logging.NOTSET
    if logs is False:
        return None
    if isinstance(logs, int):
        return logs
    number = logging.getLevelName(logs) if isinstance(logs, str) else None
    if isinstance(number, int):
        return number
    raise UsageError(f"logs={logs!r} is no level: use True, False, or a level such as 'INFO'")


# in the worker


class Forward(logging.Handler):
    """Sends each record to the driver.

    Args:
        send: takes the number of the message whose call runs, and the record as bytes.
        page: tells which call runs.
        level: no record below it goes, whatever levels an activity sets.
    """

    def __init__(self, send: Callable[[int, bytes], None], page: Page, level: int) -> None:
        super().__init__(level)
        self._send = send
        self._page = page
        self._pid = os.getpid()
        self._seen = threading.local()
        self._loggers: dict[str, int] = {}

    def install(self, levels: Levels, *, forked: bool) -> None:
        """Become the handler of this process; a forked one has the driver's, which are not for here."""
        if forked:
            for logger in logging.root.manager.loggerDict.values():
                if isinstance(logger, logging.Logger) and logger.handlers:
                    logger.handlers.clear()
                    logger.propagate = True
            logging.root.handlers.clear()
        logging.root.addHandler(self)
        logging.captureWarnings(True)
        self.set_levels(levels)

    def set_levels(self, levels: Levels) -> None:
        """From now on make only records that the driver's loggers let through."""
        for name in self._loggers.keys() - levels.loggers.keys():
            logging.getLogger(name).setLevel(logging.NOTSET)
        self._loggers = levels.loggers
        logging.disable(levels.disabled)
        for name, level in levels.loggers.items():
            logging.getLogger(name).setLevel(level)

    def emit(self, record: logging.LogRecord) -> None:
        if os.getpid() != self._pid:
            logging.StreamHandler().handle(record)  # a process that an activity forked has no driver
            return
        try:
            message, at = self._call()
            self._send(message, pack(record, at))
        except Exception:
            self.handleError(record)

    def _call(self) -> tuple[int, int]:
        """The call that this thread works for: the number of its message, and its position there.

        A thread that goes on after the call in which it was first heard works for none.
        """
        call = self._page.read()[:2]
        if threading.current_thread() is threading.main_thread():
            return call
        first: tuple[int, int] = self._seen.__dict__.setdefault("call", call)
        return call if call == first else (call[0], IDLE)


def pack(record: logging.LogRecord, at: int) -> bytes:
    """A record as bytes: its plain fields as they are, others pickled one by one."""
    fields: dict[str, Any] = {}
    objects: dict[str, bytes] = {}
    for name, value in record.__dict__.items():
        if type(value) in _PLAIN:
            fields[name] = value
        elif name not in ("msg", "args", "exc_info"):
            try:
                data = serialization.dumps(value)
            except Exception:
                data = b""
            if data and len(data) <= LARGEST:
                objects[name] = data
            else:
                fields[name] = _shown(value)
    text = record.exc_text
    if record.exc_info and not text:
        text = _FORMATTER.formatException(record.exc_info)
    message = "".join((record.getMessage(),))  # never of a class that the driver may not know
    fields |= {"msg": message, "args": None, "levelno": int(record.levelno)}
    fields |= {"exc_info": None, "exc_text": text}
    return serialization.dumps_plain((at, fields, objects))


def _shown(value: Any) -> str:
    try:
        return repr(value)[:1000]
    except Exception:
        return object.__repr__(value)


# in the driver


class Arrival:
    """A record that came from a worker.

    Args:
        payload: what `pack` made.
        worker: the number of the worker.
        parcel: what the worker was at; None if that is over.
    """

    __slots__ = ("_at", "_fields", "_objects", "_parcel", "_worker")

    def __init__(self, payload: memoryview, worker: int, parcel: Parcel | None) -> None:
        self._at, self._fields, self._objects = serialization.loads(payload)
        self._worker = worker
        self._parcel = parcel
        if parcel is not None and self._at < parcel.received:
            self._parcel = None  # between calls, or the outcome was quicker: its place may be another's

    def handle(self) -> None:
        """Give it to the logger of its name; trouble is told as `logging` tells it."""
        logger = logging.getLogger(self._fields["name"])
        if not logger.isEnabledFor(self._fields["levelno"]):
            return
        objects = {name: _open(data) for name, data in self._objects.items()}
        fields = {**self._fields, **objects, **origin(self._worker, self._parcel, self._at)}
        try:
            logger.handle(logging.makeLogRecord(fields))
        except Exception:
            bare = logging.LogRecord("", 0, "", 0, "", None, None)
            bare.__dict__.update(fields)
            logging.Handler().handleError(bare)


def origin(worker: int, parcel: Parcel | None = None, at: int = IDLE) -> dict[str, Any]:
    """The fields that flowy adds: for the call at this position of the parcel, or for none."""
    run = key = attempt = None
    if parcel is not None:
        batch, i = parcel.batch, parcel.first + at
        run, key = batch.run(i).owner.id, batch.key(i)
        number = key.rpartition("-")[2]
        attempt = int(number) if number.isdigit() else None
    return {"flowy_run": run, "flowy_task": key, "flowy_attempt": attempt, "flowy_worker": worker}


def _open(data: bytes) -> Any:
    try:
        return serialization.loads(data)
    except Exception as error:
        return f"<can't be unpickled: {error!r}>"
