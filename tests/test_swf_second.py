"""Workflows on moto's SWF, which was written by others: what it has of the service is enough.

Owns: the features that moto has: activities, failures, timers, signals. It ignores the list that a
decider asks for, so no run is kept here; it schedules more than one decision task at a time, so some
answers are refused; and it does not wait in polls.

May not know: the local SWF.
"""

from __future__ import annotations

import threading
from typing import Any

import moto
import pytest
from swf_network import ACTIVITIES, DECIDERS, DOMAIN, KEYS, WAIT, activity_config
from test_swf_network import broken, configured, inc

from flowy import swf


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "args", "value"),
    [
        ("fan_out", (4,), sum(range(2, 6))),
        ("failing", (), 2),
        ("sleeping", (0,), 2),
        ("listening", (), 5),
    ],
)
def test_what_moto_has(name: str, args: Any, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowy.swf.polling.GRACE", 5.0)
    with moto.mock_aws():
        client = swf.SWFClient(kwargs=KEYS)
        client.register_domain(DOMAIN)
        decider = swf.SWFWorkflowWorker(keep=0)
        config, factory = configured()[name]
        decider.register(config, factory, 1, name)
        worker = swf.SWFActivityWorker()
        for function in (inc, broken):
            worker.register(activity_config(), function, 1)
        threads = []
        for each, task_list in ((decider, DECIDERS), (worker, ACTIVITIES)):
            each.register_remote(client, DOMAIN)
            given = {"setup_log": False, "register_remote": False}
            thread = threading.Thread(
                target=each.run_forever, args=(DOMAIN, task_list, client), kwargs=given
            )
            thread.start()
            threads.append(thread)
        try:
            run = swf.SWFWorkflowStarter(DOMAIN, name, 1, client)(*args)
            if name == "listening":
                for text in ("1", "2", "null"):
                    client.client.signal_workflow_execution(
                        domain=DOMAIN, workflowId=run.workflow_id, signalName="add", input=text
                    )
            assert run.wait(WAIT) == value
            events = list(client.history(DOMAIN, run.workflow_id, run.run_id))
            swf.replay(events, decider)
        finally:
            decider.stop()
            worker.stop()
            for thread in threads:
                thread.join()
            client.close()
