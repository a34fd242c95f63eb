"""The state of a local SWF in a file: SQLite, every change written before it is answered.

Owns: the file, its format, and the one place where flowy's test kit knows SQLite.

May not know: what the records mean. Its neighbour `service` says what changed (`Changes`) and takes
back what was kept.

A change is one transaction, so that a service that is killed is found again as its clients knew it.
Write-ahead logging without a sync of each commit: this outlives the process, `kill -9` included; a
power cut may take the last changes, but never half of one.
"""

from __future__ import annotations

import json
import os
import sqlite3
from typing import Any

from flowy.errors import UsageError
from flowy.testing.swf.service import Changes

OURS = 0x666C7377  # "flsw", SQLite's application id
FORMAT = 1

SCHEMA = """
CREATE TABLE records (kind TEXT, key TEXT, value TEXT NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TABLE events (run TEXT, id INTEGER, value TEXT NOT NULL, PRIMARY KEY (run, id)) WITHOUT ROWID;
"""


class StateFile:
    """The file at `path`, made if there is none, held for this process alone.

    Raises:
        UsageError: the file is of something else, of a newer flowy, in use, or can't be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        if not self.path:
            raise UsageError("the state file has no name")
        if os.path.exists(self.path) and not os.path.isfile(self.path):
            # Before it is opened: what follows would change the mode of a device, /dev/null say.
            raise UsageError(f"can't use {self.path} as a state file: it is no regular file")
        try:
            # The service calls from many threads, one at a time. A path, because SQLite takes some
            # names, such as ":memory:", for no file's.
            self._db = sqlite3.connect(
                os.path.abspath(self.path), timeout=0, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise UsageError(f"can't open the state file {self.path}: {error}") from None
        try:
            self._open()
        except (sqlite3.Error, OSError) as error:
            self._db.close()
            raise UsageError(self._why(error)) from None
        except BaseException:
            self._db.close()
            raise

    def _open(self) -> None:
        run = self._db.execute
        run("PRAGMA locking_mode = EXCLUSIVE")
        run("BEGIN EXCLUSIVE")  # fails at once if another service has the file
        (application,) = run("PRAGMA application_id").fetchone()
        (version,) = run("PRAGMA user_version").fetchone()
        empty = not run("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        if not (application == OURS or (empty and application == version == 0)):
            raise UsageError(
                f"{self.path} is a database, but not the state of a local SWF: give another file"
            )
        if version > FORMAT:
            raise UsageError(
                f"{self.path} is of a newer flowy (format {version}, this one reads up to {FORMAT})"
            )
        if empty:
            os.chmod(self.path, 0o600)  # inputs and results may be secrets
            for statement in SCHEMA.split(";"):
                run(statement)
        run(f"PRAGMA application_id = {OURS}")
        run(f"PRAGMA user_version = {FORMAT}")  # each time: a file that can't be written fails here
        run("COMMIT")
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = NORMAL")

    def _why(self, error: Exception) -> str:
        if "not a database" in str(error):
            return f"{self.path} is not the state of a local SWF, and no database: give another file"
        if "locked" in str(error):
            return f"{self.path} is in use, by another local SWF perhaps"
        return f"can't use the state file {self.path}: {error}"

    def write(self, changes: Changes) -> None:
        """Keep a change; it is in the file when this returns."""
        gone, records = [], []
        for (kind, key), record in changes.records.items():
            if record is None:
                gone.append((kind, key))
            else:
                records.append((kind, key, _text(record)))
        run, many = self._db.execute, self._db.executemany
        run("BEGIN")
        try:
            many("DELETE FROM records WHERE kind = ? AND key = ?", gone)
            many("DELETE FROM events WHERE run = ?", [(k,) for kind, k in gone if kind == "executions"])
            many("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", records)
            many(
                "INSERT OR REPLACE INTO events VALUES (?, ?, ?)",
                [(run_id, event["eventId"], _text(event)) for run_id, event in changes.events],
            )
            run("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # a full disk ends it by itself
                run("ROLLBACK")
            raise

    def read(self) -> dict[str, Any] | None:
        """All that was kept, as `Service.load` takes it; None if the file is new.

        Raises:
            Exception: the file is damaged: see `damaged`.
        """
        records: dict[str, dict[str, Any]] = {}
        events: dict[str, list[Any]] = {}
        latest = 0.0
        for kind, key, value in self._db.execute("SELECT kind, key, value FROM records"):
            records.setdefault(kind, {})[key] = json.loads(value)
        for run_id, value in self._db.execute("SELECT run, value FROM events ORDER BY run, id"):
            event = json.loads(value)
            latest = max(latest, event["eventTimestamp"])
            events.setdefault(run_id, []).append(event)
            if event["eventId"] != len(events[run_id]):
                raise ValueError(f"an event is missing before event {event['eventId']} of run {run_id}")
        if not records:
            return None
        return {"time": latest, "records": records, "events": events}

    def damaged(self, error: Exception) -> UsageError:
        """What to tell whose file can't be read, or was read and does not add up."""
        return UsageError(
            f"the state file {self.path} is damaged ({type(error).__name__}: {error}): give another "
            "file, or a copy of this one from before"
        )

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
