"""A botocore client for SWF whose requests reach the local service without a socket.

Owns: how it is made. It is botocore's own client: parameters are checked, requests written, replies
read, faults raised and failed calls tried again by the code that does it for AWS; only the sending
is replaced, by botocore's event `before-send`.

May not know: the service. Its neighbours: `wire`, which makes a request into a reply, and `local`,
which users see.

Nothing of the user's AWS set-up is read: no profile, no credentials, no region. Tests give the same
everywhere.
"""

from __future__ import annotations

import io
import os
import threading
from typing import Any

import botocore.session
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError

from flowy.testing.swf.wire import LARGEST_REQUEST, Cut, Door, answer

REGION = "us-east-1"
ENDPOINT = "http://local-swf.invalid"  # never resolved: nothing is sent there

_lock = threading.Lock()  # sessions are not thread safe
_session: botocore.session.Session | None = None


def session() -> botocore.session.Session:
    """A session that reads no files and knows no profile. Made once: it loads SWF's service model."""
    global _session
    if _session is None:
        made = botocore.session.Session(
            session_vars={
                "profile": (None, None, None, None),
                "config_file": (None, None, os.devnull, None),
                "credentials_file": (None, None, os.devnull, None),
            }
        )
        made.set_credentials("local", "local")
        _session = made
    return _session


def make_client(door: Door, config: Config | None = None, largest: int = LARGEST_REQUEST) -> Any:
    """A client of the service behind `door`.

    Args:
        config: botocore's.
        largest: how many bytes a request may have.
    """
    with _lock:
        client = session().create_client("swf", region_name=REGION, endpoint_url=ENDPOINT, config=config)

    def send(request: Any, **_: Any) -> AWSResponse:
        target = _text(request.headers["X-Amz-Target"])
        try:
            reply = answer(door, target, _bytes(request.body), largest)
        except Cut as cut:
            # What urllib3's end of a connection without a reply becomes in botocore.
            raise ConnectionClosedError(endpoint_url=request.url, request=request) from cut
        return AWSResponse(request.url, reply.status, reply.headers, _Body(reply.body))

    client.meta.events.register("before-send.swf", send)
    return client


class _Body(io.BytesIO):
    """A reply's body as urllib3 gives it."""

    def stream(self, **_: Any) -> Any:
        yield self.read()


def _text(given: str | bytes) -> str:
    return given.decode() if isinstance(given, bytes) else given


def _bytes(given: str | bytes | None) -> bytes:
    return given.encode() if isinstance(given, str) else given or b""
