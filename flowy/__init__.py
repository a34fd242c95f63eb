"""Workflows as plain single-threaded Python.

A call of a dependency returns a result at once; what can run at the same time is inferred from where
results go. See the README for the tour, `LocalWorkflow` for running on this machine, and `wait`,
`first`, `finish_order`, `parallel_reduce` and `map` for the verbs of workflow code.

This file only hands on the public names.
"""

import gc
from typing import TYPE_CHECKING, Any

_collects = gc.isenabled()
gc.disable()  # nothing dies while modules are loaded; the looks for it are a tenth of the import
try:
    from flowy._version import __version__
    from flowy.activity import heartbeat, last_heartbeat
    from flowy.clock import now, random, sleep, timer, uuid4
    from flowy.errors import (
        CancelRequested,
        FlowyError,
        InternalError,
        NondeterminismError,
        TaskCancelled,
        TaskError,
        TaskTimedout,
        TaskUsageError,
        UsageError,
        WorkerDied,
    )
    from flowy.local.engine import LocalWorkflow, Progress, Run, Usage
    from flowy.options import Retry
    from flowy.plain import plain
    from flowy.results import (
        cancel,
        changed,
        continue_suggested,
        finish_order,
        first,
        is_result,
        map,
        parallel_reduce,
        restart,
        send_signal,
        share,
        side_effect,
        signal,
        wait,
    )
finally:
    if _collects:
        gc.enable()
    del gc, _collects

if TYPE_CHECKING:
    from flowy import swf as swf
    from flowy.replay import Replay as Replay
    from flowy.swf import SWFActivityConfig as SWFActivityConfig
    from flowy.swf import SWFActivityWorker as SWFActivityWorker
    from flowy.swf import SWFClient as SWFClient
    from flowy.swf import SWFWorkflowConfig as SWFWorkflowConfig
    from flowy.swf import SWFWorkflowStarter as SWFWorkflowStarter
    from flowy.swf import SWFWorkflowWorker as SWFWorkflowWorker

__all__ = [
    "CancelRequested",
    "FlowyError",
    "InternalError",
    "LocalWorkflow",
    "NondeterminismError",
    "Progress",
    "Replay",
    "Retry",
    "Run",
    "TaskCancelled",
    "TaskError",
    "TaskTimedout",
    "TaskUsageError",
    "Usage",
    "UsageError",
    "WorkerDied",
    "__version__",
    "cancel",
    "changed",
    "continue_suggested",
    "finish_order",
    "first",
    "heartbeat",
    "is_result",
    "last_heartbeat",
    "map",
    "now",
    "parallel_reduce",
    "plain",
    "random",
    "restart",
    "send_signal",
    "share",
    "side_effect",
    "signal",
    "sleep",
    "timer",
    "uuid4",
    "wait",
]

_LATER = {
    "Replay": "replay",
    "SWFActivityConfig": "swf",
    "SWFActivityWorker": "swf",
    "SWFClient": "swf",
    "SWFWorkflowConfig": "swf",
    "SWFWorkflowStarter": "swf",
    "SWFWorkflowWorker": "swf",
    "swf": "swf",
}
"""Names, and the modules that have them."""


def __getattr__(name: str) -> Any:
    """What few programs need, imported when it is first used: `import flowy` should be quick."""
    if name in _LATER:
        import importlib

        module = importlib.import_module(f"flowy.{_LATER[name]}")
        value = globals()[name] = module if name == "swf" else getattr(module, name)
        return value
    raise AttributeError(f"module 'flowy' has no attribute {name!r}")
