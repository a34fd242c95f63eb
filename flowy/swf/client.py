"""Amazon SWF over the network, and S3 for long texts: the only room of boto3.

Owns: `SWFClient`, with the names and arguments of flowy 0.4; how its requests are tried again; the two
errors that all failures become; `S3Payloads`.

May not know: what a history means, or who calls. Its neighbours are `polling` (who asks for tasks),
`deciding` and `activities`.

There are two clients of botocore below. Polls have connections and a time-out of their own, and are not
tried again by the SDK: a poll whose reply was lost may have started a task, and a second one in silence
would hide that. All else is tried again as boto3 does. Histories are read by `json.loads`: botocore's
parser takes 16 ms for 1,000 events, `json` one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

try:
    import boto3
    import botocore.parsers
    import botocore.session
    from botocore.config import Config
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        NoCredentialsError,
        NoRegionError,
        ParamValidationError,
    )
except ModuleNotFoundError as error:
    if error.name is None or error.name.split(".")[0] not in ("boto3", "botocore"):
        raise
    raise ImportError(
        f"Amazon SWF needs {error.name}, which is not installed: pip install 'flowy[swf]'"
    ) from error

from flowy.errors import FlowyError, UsageError
from flowy.swf.rates import Rate

__all__ = ["Refused", "S3Payloads", "SWFClient", "Unreachable", "connect"]

READ_TIMEOUT = 70
"""Seconds; SWF holds a poll for 60."""
CONNECT_TIMEOUT = 10
CONNECTIONS = 50
PAGE = 1000
HISTORY_RATE = 60
"""GetWorkflowExecutionHistory a second, for the whole account [AWS]."""
HISTORY_BURST = 400

_RAW = ("DecisionTask", "History")
"""The shapes of replies that hold events."""
_PASSING = frozenset(
    {
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestTimeout",
        "RequestTimeoutException",
        "SlowDown",
        "TooManyRequestsException",
    }
)


class Refused(FlowyError):
    """The service answered, and said no.

    Attributes:
        kind: the name of the fault, such as 'UnknownResourceFault'.
        message: what it says.
    """

    def __init__(self, operation: str, kind: str, message: str) -> None:
        super().__init__(f"{operation} was refused: {kind}: {message}")
        self.kind = kind
        self.message = message


class Unreachable(OSError):
    """There was no answer, or none that says anything: throttled, HTTP 5xx, a broken connection.

    The call may or may not have been done. It may be tried again later.
    """


# ------------------------------------------------------------------ how replies are read


class _Parser:
    """botocore's parser, but for replies that hold events."""

    def __init__(self, parser: Any) -> None:
        self._parser = parser

    def parse(self, response: Mapping[str, Any], shape: Any) -> Any:
        if shape is None or shape.name not in _RAW or response["status_code"] != 200:
            return self._parser.parse(response, shape)
        try:
            made = json.loads(response["body"])
        except ValueError as error:
            raise botocore.parsers.ResponseParserError(f"the reply is no JSON: {error}") from None
        if not isinstance(made, dict):
            raise botocore.parsers.ResponseParserError("the reply is no JSON object")
        headers = {str(name).lower(): value for name, value in response["headers"].items()}
        made["ResponseMetadata"] = {
            "RequestId": headers.get("x-amzn-requestid", ""),
            "HTTPStatusCode": 200,
            "HTTPHeaders": headers,
        }
        return made


class _Parsers(botocore.parsers.ResponseParserFactory):  # type: ignore[misc, unused-ignore]
    def create_parser(self, protocol_name: str) -> Any:
        return _Parser(super().create_parser(protocol_name))


def _session() -> Any:
    """A session of boto3 whose clients read histories fast."""
    below = botocore.session.get_session()
    below.register_component("response_parser_factory", _Parsers())
    return boto3.session.Session(botocore_session=below)


def _translated(operation: str, call: Callable[..., Any], given: Mapping[str, Any]) -> Any:
    """What a call gives; its failure as one of our errors.

    The frames of botocore are not kept with them: whoever keeps such an error would keep connections.
    """
    try:
        return call(**{name: value for name, value in given.items() if value is not None})
    except ClientError as error:
        says = error.response.get("Error") or {}
        kind, message = str(says.get("Code") or ""), str(says.get("Message") or "")
        status = (error.response.get("ResponseMetadata") or {}).get("HTTPStatusCode") or 0
        if status >= 500 or "Throttl" in kind or kind in _PASSING:
            raise Unreachable(f"{operation}: {kind}: {message}") from _bare(error)
        raise Refused(operation, kind, message) from _bare(error)
    except ParamValidationError as error:
        raise UsageError(f"{operation}: {error}") from error
    except (NoCredentialsError, NoRegionError) as error:
        raise UsageError(f"{operation}: {error} Set AWS up, or give SWFClient(kwargs=…)") from error
    except (BotoCoreError, OSError) as error:
        what = f"{operation}: {type(error).__name__}: {error}"
        raise Unreachable(what) from _bare(error)


def _bare(error: Exception) -> Exception:
    """The error without frames, its causes too: those of urllib3 refer to themselves, and would keep
    connections that were closed until the garbage collector comes by."""
    each: BaseException | None = error
    while each is not None and each.__traceback__ is not None:
        each.__traceback__ = None
        each = each.__cause__ or each.__context__
    return error


class SWFClient:
    """The operations of SWF that flowy uses; safe to share between threads.

    Args:
        client: a boto3 client to use for everything; its own retries, time-outs and parser are kept.
        config: of botocore, for the clients made here; what it says goes before flowy's settings.
        kwargs: arguments of `boto3.client('swf', …)`, such as `region_name` and `endpoint_url`.

    Raises:
        ImportError: boto3 is not installed.
    """

    def __init__(
        self, client: Any = None, config: Config | None = None, kwargs: Mapping[str, Any] | None = None
    ) -> None:
        if client is not None:
            self.client = self.polls = client
        else:
            given = dict(kwargs or {})
            said = given.pop("config", None) or config or Config()
            basic = Config(
                connect_timeout=CONNECT_TIMEOUT,
                read_timeout=READ_TIMEOUT,
                max_pool_connections=CONNECTIONS,
            )
            calls = Config(retries={"mode": "standard", "total_max_attempts": 5})
            never_again = Config(retries={"total_max_attempts": 1}, tcp_keepalive=True)
            session = _session()
            self.client = session.client("swf", config=basic.merge(calls).merge(said), **given)
            self.polls = session.client("swf", config=basic.merge(said).merge(never_again), **given)
        self._histories = Rate(HISTORY_RATE, HISTORY_BURST)
        self._made_by = None if client is not None else (None, config, dict(kwargs or {}))

    def __reduce__(self) -> tuple[Any, ...]:
        """One that was made here is made again in another process."""
        if self._made_by is None:
            raise UsageError(
                "a boto3 client can't travel to other processes: give SWFClient(kwargs={…})"
            )
        return SWFClient, self._made_by

    def call(self, operation: str, **given: Any) -> Any:
        """An operation by boto3's name of it; arguments that are None are left out.

        Raises:
            Refused: SWF said no.
            Unreachable: there was no answer, also when it was tried again.
            UsageError: an argument is none that boto3 takes, or AWS is not set up.
        """
        return _translated(operation, getattr(self.client, operation), given)

    # ------------------------------------------------------------ types

    def register_domain(self, name: str, retention: int = 7, description: str | None = None) -> Any:
        """RegisterDomain; `retention` is in days."""
        return self.call(
            "register_domain",
            name=name,
            workflowExecutionRetentionPeriodInDays=str(retention),
            description=description,
        )

    def register_activity_type(
        self,
        domain: str,
        name: str,
        version: Any,
        desc: str | None = None,
        default_task_list: str | None = None,
        default_priority: Any = None,
        default_heartbeat_timeout: Any = None,
        default_exec_timeout: Any = None,
        default_start_timeout: Any = None,
        default_close_timeout: Any = None,
    ) -> Any:
        """RegisterActivityType; time-outs in seconds or 'NONE'."""
        return self.call(
            "register_activity_type",
            domain=domain,
            name=name,
            version=str(version),
            description=desc,
            defaultTaskList=_named(default_task_list),
            defaultTaskPriority=_text(default_priority),
            defaultTaskHeartbeatTimeout=_text(default_heartbeat_timeout),
            defaultTaskStartToCloseTimeout=_text(default_exec_timeout),
            defaultTaskScheduleToStartTimeout=_text(default_start_timeout),
            defaultTaskScheduleToCloseTimeout=_text(default_close_timeout),
        )

    def register_workflow_type(
        self,
        domain: str,
        name: str,
        version: Any,
        desc: str | None = None,
        default_task_list: str | None = None,
        default_priority: Any = None,
        default_task_timeout: Any = None,
        default_exec_timeout: Any = None,
        default_child_policy: str | None = None,
        default_lambda_role: str | None = None,
    ) -> Any:
        """RegisterWorkflowType; time-outs in seconds or 'NONE'."""
        return self.call(
            "register_workflow_type",
            domain=domain,
            name=name,
            version=str(version),
            description=desc,
            defaultTaskList=_named(default_task_list),
            defaultTaskPriority=_text(default_priority),
            defaultTaskStartToCloseTimeout=_text(default_task_timeout),
            defaultExecutionStartToCloseTimeout=_text(default_exec_timeout),
            defaultChildPolicy=default_child_policy,
            defaultLambdaRole=default_lambda_role,
        )

    def describe_activity_type(self, domain: str, name: str, version: Any) -> Any:
        """DescribeActivityType."""
        type = {"name": name, "version": str(version)}
        return self.call("describe_activity_type", domain=domain, activityType=type)

    def describe_workflow_type(self, domain: str, name: str, version: Any) -> Any:
        """DescribeWorkflowType."""
        type = {"name": name, "version": str(version)}
        return self.call("describe_workflow_type", domain=domain, workflowType=type)

    def register_type(self, kind: str, domain: str, name: str, version: str, defaults: Any) -> Any:
        """Register a type, `kind` 'activity' or 'workflow', with SWF's own names of its defaults."""
        operation = f"register_{kind}_type"
        return self.call(operation, domain=domain, name=name, version=version, **defaults)

    # ------------------------------------------------------------ executions

    def start_workflow_execution(
        self,
        domain: str,
        wid: str,
        name: str,
        version: Any,
        input: str | None = None,
        priority: Any = None,
        task_list: str | None = None,
        execution_start_to_close_timeout: Any = None,
        task_start_to_close_timeout: Any = None,
        child_policy: str | None = None,
        tags: list[str] | None = None,
        lambda_role: str | None = None,
    ) -> Any:
        """StartWorkflowExecution; time-outs in seconds or 'NONE'."""
        return self.call(
            "start_workflow_execution",
            domain=domain,
            workflowId=str(wid),
            workflowType={"name": name, "version": str(version)},
            input=input,
            taskPriority=_text(priority),
            taskList=_named(task_list),
            executionStartToCloseTimeout=_text(execution_start_to_close_timeout),
            taskStartToCloseTimeout=_text(task_start_to_close_timeout),
            childPolicy=child_policy,
            tagList=tags,
            lambdaRole=lambda_role,
        )

    def find_run(self, domain: str, wid: str) -> str | None:
        """The latest run of a workflow id; None if there is none."""
        which = {"domain": domain, "executionFilter": {"workflowId": wid}, "maximumPageSize": 1}
        since = {"oldestDate": 0}
        for state in ("open", "closed"):
            operation = f"list_{state}_workflow_executions"
            found = self.call(operation, startTimeFilter=since, **which)["executionInfos"]
            if found:
                return str(found[0]["execution"]["runId"])
        return None

    def describe_workflow_execution(self, domain: str, wid: str, run_id: str) -> Any:
        """DescribeWorkflowExecution."""
        execution = {"workflowId": wid, "runId": run_id}
        return self.call("describe_workflow_execution", domain=domain, execution=execution)

    def history(
        self,
        domain: str,
        wid: str,
        run_id: str,
        reverse_order: bool = False,
        page_size: int = PAGE,
    ) -> Iterator[dict[str, Any]]:
        """The events of an execution, page by page, no faster than AWS lets an account read."""
        token = None
        while True:
            page = self.history_page(domain, wid, run_id, token, reverse_order, page_size)
            yield from page.get("events") or ()
            token = page.get("nextPageToken")
            if not token:
                return

    def history_page(
        self,
        domain: str,
        wid: str,
        run_id: str,
        token: str | None = None,
        reverse_order: bool = False,
        page_size: int = PAGE,
    ) -> Any:
        """GetWorkflowExecutionHistory: one page, no faster than AWS lets an account read."""
        self._histories.take()
        return self.call(
            "get_workflow_execution_history",
            domain=domain,
            execution={"workflowId": wid, "runId": run_id},
            maximumPageSize=page_size,
            nextPageToken=token,
            reverseOrder=reverse_order or None,
        )

    # ------------------------------------------------------------ decision tasks

    def poll_for_decision_task(
        self,
        domain: str,
        task_list: str,
        identity: str | None = None,
        next_page_token: str | None = None,
        max_page_size: int = PAGE,
        reverse_order: bool = False,
        start_at_previous: bool = False,
    ) -> Any:
        """PollForDecisionTask: a task, or the next page of one, which is no long poll."""
        client = self.polls if next_page_token is None else self.client
        given = {
            "domain": domain,
            "taskList": {"name": task_list},
            "identity": identity,
            "nextPageToken": next_page_token,
            "maximumPageSize": max_page_size,
            "reverseOrder": reverse_order or None,
            "startAtPreviousStartedEvent": start_at_previous or None,
        }
        return _translated("poll_for_decision_task", client.poll_for_decision_task, given)

    def respond_decision_task_completed(
        self,
        task_token: str,
        decisions: list[dict[str, Any]] | None = None,
        exec_context: str | None = None,
        task_list: str | None = None,
        schedule_to_start: Any = None,
    ) -> Any:
        """RespondDecisionTaskCompleted; `task_list` is where the next tasks of the run wait.

        Args:
            schedule_to_start: seconds after which a task that waits there goes back to the list of the
                run.
        """
        return self.call(
            "respond_decision_task_completed",
            taskToken=task_token,
            decisions=decisions,
            executionContext=exec_context,
            taskList=_named(task_list),
            taskListScheduleToStartTimeout=_text(schedule_to_start),
        )

    # ------------------------------------------------------------ activity tasks

    def poll_for_activity_task(self, domain: str, task_list: str, identity: str | None = None) -> Any:
        """PollForActivityTask."""
        given = {"domain": domain, "taskList": {"name": task_list}, "identity": identity}
        return _translated("poll_for_activity_task", self.polls.poll_for_activity_task, given)

    def record_activity_task_heartbeat(self, task_token: str, details: str | None = None) -> Any:
        """RecordActivityTaskHeartbeat."""
        return self.call("record_activity_task_heartbeat", taskToken=task_token, details=details)

    def respond_activity_task_completed(self, task_token: str, result: str | None = None) -> Any:
        """RespondActivityTaskCompleted."""
        return self.call("respond_activity_task_completed", taskToken=task_token, result=result)

    def respond_activity_task_failed(
        self, task_token: str, reason: str | None = None, details: str | None = None
    ) -> Any:
        """RespondActivityTaskFailed."""
        return self.call(
            "respond_activity_task_failed", taskToken=task_token, reason=reason, details=details
        )

    def respond_activity_task_canceled(self, task_token: str, details: str | None = None) -> Any:
        """RespondActivityTaskCanceled."""
        return self.call("respond_activity_task_canceled", taskToken=task_token, details=details)

    def close(self) -> None:
        """Close the connections that nobody uses now."""
        for client in (self.client, self.polls):
            client.close()


def connect(endpoint_url: str | None = None, region: str | None = None) -> SWFClient:
    """A client for the command line.

    An endpoint of this machine needs no credentials and no region: where the environment has none, it
    gets some that mean nothing. Without a URL the environment is asked, as newer versions of boto3 do.

    Raises:
        UsageError: there is no region, or this is no URL.
    """
    for name in ("AWS_ENDPOINT_URL_SWF", "AWS_ENDPOINT_URL"):
        endpoint_url = endpoint_url or os.environ.get(name) or None
    given: dict[str, Any] = {"endpoint_url": endpoint_url, "region_name": region}
    try:
        local = urlsplit(endpoint_url or "").hostname in ("127.0.0.1", "::1", "localhost")
        if local and not {"AWS_ACCESS_KEY_ID", "AWS_PROFILE"} & os.environ.keys():
            given.update(aws_access_key_id="local", aws_secret_access_key="local")
        if local and region is None and boto3.session.Session().region_name is None:
            given["region_name"] = "us-east-1"
        return SWFClient(kwargs=given)
    except NoRegionError:
        raise UsageError(
            "there is no AWS region: give --region, or set AWS_DEFAULT_REGION or a profile"
        ) from None
    except (BotoCoreError, ValueError) as error:
        raise UsageError(f"there can be no client of Amazon SWF: {error}") from None


def _named(name: str | None) -> dict[str, str] | None:
    return None if name is None else {"name": str(name)}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


class S3Payloads:
    """Keeps texts that are too long for SWF as objects of a bucket; nothing is ever removed by itself.

    Args:
        bucket: its name. A life-cycle rule may remove what is older than any run and its retention.
        prefix: what the names of the objects begin with.
        client: a boto3 client of S3; by default one is made.
        kwargs: arguments of `boto3.client('s3', …)`.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "flowy/",
        client: Any = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self.bucket = bucket
        self.prefix = prefix
        self.client = client or boto3.session.Session().client("s3", **(kwargs or {}))
        self._made_by = None if client is not None else (bucket, prefix, None, dict(kwargs or {}))

    def __reduce__(self) -> tuple[Any, ...]:
        """One that was made here is made again in another process."""
        if self._made_by is None:
            raise UsageError(
                "a boto3 client can't travel to other processes: give S3Payloads(bucket, kwargs={…})"
            )
        return S3Payloads, self._made_by

    def put(self, key: str, text: str) -> None:
        """Keep `text` under `key`. Raises `OSError` if the bucket could not be reached or refused."""
        body = text.encode("utf-8", "surrogatepass")
        given = {"Bucket": self.bucket, "Key": self.prefix + key, "Body": body}
        try:
            _translated(f"storing in the bucket {self.bucket}", self.client.put_object, given)
        except Refused as error:
            raise OSError(str(error)) from error  # rights and buckets can be put right meanwhile

    def get(self, key: str) -> str:
        """The text under `key`. Raises `KeyError` if there is none, and `OSError`."""
        given = {"Bucket": self.bucket, "Key": self.prefix + key}
        what = f"reading from the bucket {self.bucket}"
        try:
            body = _translated(what, self.client.get_object, given)["Body"]
            return str(body.read().decode("utf-8", "surrogatepass"))
        except Refused as error:
            if error.kind == "NoSuchKey":
                raise KeyError(f"the bucket {self.bucket} has no payload {key}") from None
            raise OSError(str(error)) from error
        except BotoCoreError as error:
            raise Unreachable(f"{what}: {error}") from error

    def __repr__(self) -> str:
        return f"S3Payloads({self.bucket!r}, {self.prefix!r})"
