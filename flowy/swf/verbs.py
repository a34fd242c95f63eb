"""`flowy swf`: what its commands do that change something.

Owns: `on_register`, `on_decider`, `on_worker`, `on_start`, `on_signal`, `on_cancel`, `on_terminate`; and
`Command`, which turns whatever goes wrong into one message on stderr and an exit status, without a
traceback of flowy's own.

May not know: how options are parsed (`swf_options`). Neighbours: `finding`, `operating`, `starter`.

What comes from SWF is printed so that it can't control a terminal.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from flowy.command import read_arguments, show_value
from flowy.errors import NondeterminismError, TaskError, UsageError
from flowy.swf import operating, serialization
from flowy.swf.finding import find_workers
from flowy.swf.kept import KeptRuns
from flowy.swf.payloads import NoStore, Payloads
from flowy.swf.remote import Remote
from flowy.swf.stores import FolderPayloads
from flowy.swf.timeline import harmless

if TYPE_CHECKING:
    from flowy.swf.client import SWFClient

OK, FAILED, MISUSED, REFUSED, RUNNING = 0, 1, 2, 3, 4
"""Exit statuses."""


class Command:
    """One command under way: its name, and how it ends."""

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        self.name = name
        self.options = options
        self.status = OK
        self._client: SWFClient | None = None

    def connect(self) -> tuple[SWFClient, str]:
        """(client, domain) that the options say."""
        from flowy.swf.client import connect

        if not self.options.domain:
            raise UsageError("no domain is given: --domain NAME, or set FLOWY_SWF_DOMAIN")
        if self._client is None:
            self._client = connect(self.options.endpoint_url, self.options.region)
        return self._client, self.options.domain

    def say(self, text: str, status: int) -> None:
        """Tell why it does not end well."""
        print(f"flowy swf {self.name}: {harmless(text, lines=True)}", file=sys.stderr)
        self.status = status

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """Errors inside become a message and a status; bugs of flowy stay what they are."""
        try:
            yield
        except (TaskError, NondeterminismError) as error:
            self.say(str(error), FAILED)
        except NoStore as error:
            self.say(str(error).replace("payloads=…", "--payloads WHERE"), MISUSED)
        except UsageError as error:
            self.say(str(error), MISUSED)
        except ImportError as error:
            self.say(str(error), MISUSED)
        except BrokenPipeError:
            raise  # whoever read what we print has gone: for `cli`
        except TimeoutError as error:
            self.say(str(error), RUNNING)
        except Exception as error:
            self._tell(error)
        finally:
            if self._client is not None:
                self._client.close()

    def _tell(self, error: Exception) -> None:
        try:
            from flowy.swf.client import Refused, Unreachable
        except ImportError:
            raise error from None
        if isinstance(error, Refused):
            self.say(f"Amazon SWF refused: {error.kind}: {error.message}{_hint(error)}", REFUSED)
        elif isinstance(error, Unreachable):
            self.say(f"Amazon SWF can't be reached: {error}", REFUSED)
        elif isinstance(error, OSError):
            self.say(f"{error.filename or ''}: {error.strerror or error}".lstrip(": "), MISUSED)
        else:
            raise error


def _hint(error: Any) -> str:
    """What to do about it."""
    about = error.message.lower()
    if error.kind == "UnknownResourceFault":
        if "domain" in about:
            return " (flowy swf register --create-domain makes it)"
        if "execution" in about:
            return " (flowy swf list shows those that are open)"
        if "type" in about:
            return " (flowy swf register makes it known)"
    if error.kind == "WorkflowExecutionAlreadyStartedFault":
        return ": one with this id is open (give another --id, or end it: flowy swf cancel, terminate)"
    if error.kind in (
        "UnrecognizedClientException",
        "AccessDeniedException",
        "OperationNotPermittedFault",
    ):
        return " (check the credentials and their rights)"
    return ""


def store_of(where: str | None) -> Payloads | None:
    """The payload store that --payloads says."""
    if where is None:
        return None
    if not where.startswith("s3://"):
        return FolderPayloads(where)
    from flowy.swf.client import S3Payloads

    bucket, _, prefix = where.removeprefix("s3://").partition("/")
    if not bucket:
        raise UsageError(f"--payloads {where} names no bucket: write s3://bucket or s3://bucket/prefix")
    return S3Payloads(bucket, prefix) if prefix else S3Payloads(bucket)


# ------------------------------------------------------------------ types and workers


def on_register(options: argparse.Namespace) -> int:
    """Register types, and the domain if that is asked for."""
    command = Command("register", options)
    with command.guarded():
        from flowy.swf.registering import register_type

        found = find_workers(options.targets)
        client, domain = command.connect()
        if options.create_domain:
            made = _create_domain(client, domain, options.retention)
            print(f"domain {domain}: {'created' if made else 'there already'}")
        for worker in (found.activities, found.decider):
            if worker is None:
                continue
            for key, defaults in worker.types():
                new = register_type(client, domain, worker.kind, key, defaults)
                print(f"{worker.kind} {key[0]} {key[1]}: {'registered' if new else 'there already'}")
    return command.status


def _create_domain(client: SWFClient, domain: str, retention: int) -> bool:
    from flowy.swf.client import Refused

    try:
        client.register_domain(domain, retention)
    except Refused as error:
        if error.kind != "DomainAlreadyExistsFault":
            raise
        return False
    return True


def on_decider(options: argparse.Namespace) -> int:
    """Decide until it is stopped. Options go before what a worker that was found says."""
    command = Command("decider", options)
    with command.guarded():
        store = store_of(options.payloads)
        found = find_workers(options.targets)
        if found.decider is None:
            raise UsageError(
                f"{' '.join(options.targets)}: activities only, no workflow; `flowy swf worker` runs "
                "them"
            )
        if store is not None:
            found.decider.payloads = store
        if options.keep is not None:
            found.decider.kept = KeptRuns(options.keep)
        _work(found.decider, command)
    return command.status


def on_worker(options: argparse.Namespace) -> int:
    """Run activities until it is stopped. Options go before what a worker that was found says."""
    command = Command("worker", options)
    with command.guarded():
        store = store_of(options.payloads)
        found = find_workers(options.targets)
        if found.activities is None:
            raise UsageError(
                f"{' '.join(options.targets)}: workflows only, no activity; `flowy swf decider` decides "
                "for them"
            )
        if store is not None:
            found.activities.payloads = store
        if options.heartbeat:
            found.activities.heartbeat = options.heartbeat
        _work(found.activities, command)
    return command.status


def _work(worker: Remote, command: Command) -> None:
    options = command.options
    client, domain = command.connect()
    task_list = options.task_list or _task_list(worker)
    logging.basicConfig(
        level=logging.WARNING if options.quiet else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    logging.getLogger("flowy.swf").info(
        "%s %s polls the list %s of the domain %s",
        worker.kind,
        ", ".join(sorted(f"{name} {version}" for (name, version), _ in worker.types())) or "nothing",
        task_list,
        domain,
    )
    worker.run_forever(
        domain,
        task_list,
        client,
        setup_log=False,
        register_remote=not options.no_register,
        identity=options.identity,
        grace=options.grace,
        processes=options.processes,
        max_tasks=options.max_tasks,
        max_memory=options.max_memory,
    )


def _task_list(worker: Remote) -> str:
    lists = {
        str((defaults.get("defaultTaskList") or {}).get("name") or "") for _, defaults in worker.types()
    }
    if len(lists) == 1 and (only := lists.pop()):
        return only
    names = ", ".join(sorted(name or "none" for name in lists)) or "no type at all"
    raise UsageError(f"which task list? The registered types have {names}: give --task-list NAME")


# ------------------------------------------------------------------ executions


def on_start(options: argparse.Namespace) -> int:
    """Start an execution; wait for it, if that is asked for."""
    command = Command("start", options)
    with command.guarded():
        _check_words(options)
        args, kwargs = read_arguments(options.arguments)
        if options.input is not None:
            if options.arguments:
                raise UsageError("give --input or arguments, not both")
            args, kwargs = _read_input(options.input)
        if options.timeout is not None and not options.wait:
            raise UsageError("--timeout is for --wait")
        client, domain = command.connect()
        started = _starter(options, client, domain)(*args, **kwargs)
        if not options.wait:
            print(f"{started.workflow_id} {started.run_id}")
        else:
            print(harmless(show_value(started.wait(options.timeout))))
    return command.status


def _starter(options: argparse.Namespace, client: SWFClient, domain: str) -> Any:
    from flowy.swf.starter import SWFWorkflowStarter

    name = options.workflow
    version = options.version or operating.only_version(client, domain, name)
    return SWFWorkflowStarter(
        domain,
        name,
        version,
        client,
        task_list=options.task_list,
        task_duration=options.decision_duration,
        workflow_duration=options.workflow_duration,
        wid=options.id,
        tags=options.tags,
        child_policy=options.child_policy,
        priority=options.priority,
        payloads=store_of(options.payloads),
    )


_OWN = re.compile(
    "--(domain|endpoint-url|region|version|id|input|wait|timeout|task-list|tag|workflow-duration|"
    "decision-duration|child-policy|priority|payloads)(=.*)?",
    re.DOTALL,
)


def _check_words(options: argparse.Namespace) -> None:
    """Raises `UsageError` where an option stands behind the workflow, which would get it in silence."""
    words = options.arguments
    for word in words[: words.index("--") if "--" in words else None]:
        if _OWN.fullmatch(word):
            raise UsageError(
                f"{word} stands behind {options.workflow}, where all is for the workflow: put it "
                "before. If it is meant for the workflow, give --input JSON"
            )


def _read_input(text: str) -> tuple[Any, Any]:
    try:
        return serialization.load_call(text)
    except ValueError as error:
        raise UsageError(f"--input is [args, kwargs] as JSON, such as '[[17], {{}}]': {error}") from None


def on_signal(options: argparse.Namespace) -> int:
    """Signal an execution."""
    command = Command("signal", options)
    with command.guarded():
        if len(options.values) > 1:
            raise UsageError(
                f"a signal has one value, not {len(options.values)}: write a list as JSON, '[1, 2]'"
            )
        value = _value(options.values[0] if options.values else None)
        store = store_of(options.payloads)
        client, domain = command.connect()
        operating.signal(
            client, domain, options.id, options.name, value, run_id=options.run_id, payloads=store
        )
    return command.status


def _value(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def on_cancel(options: argparse.Namespace) -> int:
    """Ask an execution to end."""
    command = Command("cancel", options)
    with command.guarded():
        client, domain = command.connect()
        operating.cancel(client, domain, options.id, options.run_id)
    return command.status


def on_terminate(options: argparse.Namespace) -> int:
    """End an execution."""
    command = Command("terminate", options)
    with command.guarded():
        client, domain = command.connect()
        operating.terminate(
            client,
            domain,
            options.id,
            run_id=options.run_id,
            reason=options.reason,
            details=options.details,
            child_policy=options.child_policy,
        )
    return command.status
