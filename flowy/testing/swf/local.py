"""`LocalSWF`: the local service with all that a test wants around it.

Owns: what is put together by default: a virtual clock, no rates, chaos before the service.

May not know: how any of it works. Its neighbours: `service`, `chaos`, `client`, `http`.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from flowy.errors import UsageError
from flowy.testing.swf.chaos import Chaos, Injection
from flowy.testing.swf.client import make_client
from flowy.testing.swf.clock import Clock, VirtualClock
from flowy.testing.swf.http import Server, client_is_there
from flowy.testing.swf.limits import Limits
from flowy.testing.swf.service import Service

if TYPE_CHECKING:
    from botocore.config import Config


class LocalSWF:
    """An Amazon SWF of your own, empty, in memory, in this process.

    Args:
        limits: what the service allows; by default AWS's sizes and counts. AWS's rates
            (`ThrottlingException`) are only in it by default if the clock goes by itself: under a
            virtual clock, which stands while requests are made, each rate would be used up for good.
        clock: a `VirtualClock` by default, which starts at the same time in each test, or a
            `SystemClock`.
        auto_advance: whether the virtual clock jumps to what is due next when everybody waits, so that
            nothing takes longer than its work. False: only `advance` moves it.

    >>> swf = LocalSWF()
    >>> client = swf.client()
    >>> _ = client.register_domain(name='test', workflowExecutionRetentionPeriodInDays='1')
    >>> client.describe_domain(name='test')['domainInfo']['status']
    'REGISTERED'
    """

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        clock: Clock | None = None,
        auto_advance: bool = True,
    ) -> None:
        if clock is None:
            clock = VirtualClock(auto_advance=auto_advance)
        if limits is None:
            limits = Limits() if clock.moves_itself else Limits.unthrottled()
        self.clock = clock
        self.service = Service(clock=clock, limits=limits)
        self._chaos = Chaos(functools.partial(self.service.call, alive=client_is_there))

    def client(self, config: Config | None = None) -> Any:
        """A client that behaves as `boto3.client('swf')`, without a socket.

        It is botocore's own client but for the sending: the same methods, exceptions, paginators,
        checks of parameters, and retries with their pauses (`config` says how many, as at AWS).
        """
        return make_client(self._chaos.call, config, self.service.limits.request)

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass at once. What is due in them has happened when this returns.

        Raises:
            UsageError: the clock is not a virtual one.
            ValueError: `seconds` is negative.
        """
        if not isinstance(self.clock, VirtualClock):
            raise UsageError("the machine's time can't be moved: use LocalSWF with a VirtualClock")
        self.clock.advance(seconds)

    @contextlib.contextmanager
    def serve(self, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
        """Serve it over HTTP inside a `with`, which gets the `endpoint_url`; at its end polls wake up.

        Raises:
            OSError: can't listen there.
        """
        limit = self.service.limits.request
        with Server(self._chaos.call, host, port, wake=self.service.wake, largest=limit) as server:
            yield server.endpoint_url

    def inject(
        self,
        kind: str,
        operation: str | Iterable[str] | None = None,
        *,
        times: int | None = None,
        after: int = 0,
        probability: float = 1.0,
        seed: int | None = None,
        events: int = 1,
    ) -> Injection:
        """Make calls meet a fault, in process and over HTTP alike.

        Args:
            kind: `"throttle"` (ThrottlingException), `"server_error"` (HTTP 500), `"unavailable"` (HTTP
                503), `"reset"` (the connection breaks before the call), `"lost_reply"` (it breaks after
                the call was done), `"empty_poll"` (a poll finds nothing, at once), `"stale_history"`
                (GetWorkflowExecutionHistory lacks the newest events), `"expired_token"` (a next page
                comes too late).
            operation: which, as `"PollForDecisionTask"` or `"poll_for_decision_task"`, or several; by
                default every one that the fault can strike.
            times: strike so often, then no more; by default without end.
            after: let so many calls of them pass first.
            probability, seed: strike by chance; the same seed strikes the same calls.
            events: how many of the newest events a stale history lacks.

        Returns:
            A handle with `hits` and `remove()`; in a `with` it is removed at the end.

        Raises:
            UsageError: there is no such fault, or it can't strike that operation.
        """
        return self._chaos.inject(
            kind,
            operation,
            times=times,
            after=after,
            probability=probability,
            seed=seed,
            events=events,
        )
