"""What moto has of Amazon SWF is enough for what the suite needs of it.

Owns: the cases of the suite that need nothing that moto does not have, on moto's server: a second
service, written by others. It ignores the list that a decider asks for, so no run is kept here; it
schedules more than one decision task at a time, so some answers are refused.

May not know: the local SWF.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Mapping
from typing import Any

import pytest
from conformance import CASES
from conformance.case import SCALE, Case
from conformance.fleet import Ran, sail
from moto.server import ThreadedMotoServer
from swf_network import KEEPING, KEYS, Site
from test_conformance import at_swf

from flowy import swf

MISSING = {
    "child": "StartChildWorkflowExecution",
    "continue": "ContinueAsNewWorkflowExecution",
    "send": "SignalExternalWorkflowExecution",
    "cancel": "RequestCancelActivityTask, RequestCancelWorkflowExecution",
    "cancel-timer": "TimerCanceled: it writes TimerCancelled, which SWF does not have",
    "terminate": "the operations that the case needs beside it",
    "time-outs": "three of the four time-outs of activities",
}
"""What moto does not have, by what a case needs."""


def missing(case: Case) -> str:
    return "; ".join(MISSING[need] for need in sorted(case.needs)) or case.why_not("moto")


@pytest.fixture(scope="module")
def at_moto(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Ran]:
    cases = [case for case in CASES.values() if not missing(case)]
    logging.getLogger("werkzeug").disabled = True
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    kwargs = {**KEYS, "endpoint_url": f"http://{host}:{port}"}
    try:
        place = Site(None, lambda: swf.SWFClient(kwargs=kwargs))
        with contextlib.closing(place.client), contextlib.closing(place):
            return sail(
                place,
                cases,
                KEEPING["full"](),
                folder=tmp_path_factory.mktemp("payloads"),
                workers=1,  # it numbers events without a lock: with more, some have one number
                lapse=lambda seconds: time.sleep(seconds * SCALE),
            )
    finally:
        server.stop()
        logging.getLogger("werkzeug").disabled = False


@pytest.mark.slow
@pytest.mark.parametrize("case", [pytest.param(c, id=n) for n, c in CASES.items() if not missing(c)])
def test_what_moto_has(case: Case, at_moto: Any) -> None:
    ran = at_moto[case.name]
    assert ran.outcome == at_swf(case)
    assert not ran.dirty


def test_most_of_the_suite_needs_no_more() -> None:
    assert sum(not missing(case) for case in CASES.values()) > 70
