"""Other engines that replay histories of Amazon SWF: what runs in their environments.

Owns: for each the packages of its environment, and a program that takes a file with a decision task (as
JSON) and how often to replay it, and prints what `replaying` compares.

May not know: flowy. The programs import nothing of this package, for their environments have none of it.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["REPLAYERS", "Replayer"]


class Replayer(NamedTuple):
    """Another engine."""

    packages: tuple[str, ...]
    """Installed without what they depend on: the boto3 of then does not run on Pythons of today."""
    program: str


_FLOWY = """
import collections, collections.abc, json, sys, time
for name in collections.abc.__all__:  # where they were for Pythons of its time
    setattr(collections, name, getattr(collections.abc, name))
import flowy.swf.worker as w
from flowy.swf.config import SWFWorkflowConfig

class Waves(object):
    def __init__(self, square):
        self.square = square

    def __call__(self, calls, width):
        total = 0
        for first in range(0, calls, width):
            total += sum([self.square(first + n) for n in range(width)])
        return total

class Client(object):
    decisions = None

    def poll_for_decision_task(self, *args, **kwargs):
        return task

    def respond_decision_task_completed(self, task_token, decisions=None, exec_context=None):
        self.decisions = decisions

with open(sys.argv[1]) as file:
    task = json.load(file)
config = SWFWorkflowConfig(rate_limit=1000)
config.conf_activity("square", version=1)
worker = w.SWFWorkflowWorker()
worker.register(config, Waves, version="1", name="Waves")
took = []
for _ in range(int(sys.argv[2])):
    client = Client()
    began = time.process_time()
    name, version, data, history, decision = w.poll_decision(client, "d", "l")
    worker(name, version, data, decision, history)
    took.append(time.process_time() - began)
print(json.dumps({"seconds": min(took), "decisions": client.decisions}))
"""

_SIMPLEFLOW = """
import json, logging, sys, time
from simpleflow import Workflow, activity, futures
from simpleflow.swf.executor import Executor
from simpleflow.swf.mapper.models.history.base import History
logging.disable(logging.CRITICAL)

@activity.with_attributes(task_list="l", version="1")
def square(n):
    raise AssertionError("it is not done here")

class Waves(Workflow):
    name = "Waves"
    version = "1"
    task_list = "l"

    def run(self, calls, width):
        total = 0
        for first in range(0, calls, width):
            made = [self.submit(square, first + n) for n in range(width)]
            futures.wait(*made)
            total += sum(each.result for each in made)
        return total

class Domain:
    name = "d"

class Response:
    execution = None

with open(sys.argv[1]) as file:
    events = json.load(file)["events"]
scheduled = 0
for event in events:  # what the same history is for it: ids of its own, and another form of input
    says = next(value for key, value in event.items() if key.endswith("Attributes"))
    if event["eventType"] == "ActivityTaskScheduled":
        scheduled += 1
        says.update(
            activityId="activity-%s-%d" % (square.name, scheduled),
            activityType={"name": square.name, "version": "1"},
            taskList={"name": "l"},
            decisionTaskCompletedEventId=1,
        )
    elif event["eventType"].endswith("TaskStarted"):
        says["identity"] = "w"
    elif event["eventType"] == "WorkflowExecutionStarted":
        args, kwargs = json.loads(says["input"])
        says["input"] = json.dumps({"args": args, "kwargs": kwargs})
took = []
for _ in range(int(sys.argv[2])):
    executor = Executor(Domain(), Waves, "l")
    began = time.process_time()
    Response.history = History.from_event_list(events)
    made = executor.replay(Response)
    took.append(time.process_time() - began)
print(json.dumps({"seconds": min(took), "decisions": [dict(each) for each in made.decisions]}))
"""

REPLAYERS = {
    "flowy 0.4": Replayer(
        (
            "flowy==0.4.1",
            "boto3",
            "botocore",
            "jmespath",
            "lazy-object-proxy",
            "python-dateutil",
            "s3transfer",
            "setuptools<80",
            "six",
            "urllib3",
            "venusian",
        ),
        _FLOWY,
    ),
    "simpleflow": Replayer(("simpleflow==0.36.0",), _SIMPLEFLOW),
}
