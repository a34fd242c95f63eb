"""Workflows on Amazon SWF: histories go in, decisions come out.

This file only hands on the public names. Those that need boto3 are imported when they are first used,
and say what to install if it is not there.
"""

from typing import TYPE_CHECKING, Any

from flowy.swf.activities import SWFActivityWorker
from flowy.swf.config import SWFActivityConfig, SWFWorkflowConfig
from flowy.swf.decider import SWFWorkflowWorker
from flowy.swf.decisions import Decisions, Limits
from flowy.swf.history import Incomplete
from flowy.swf.kept import KeptRuns
from flowy.swf.payloads import Payloads
from flowy.swf.replaying import Replayed, replay
from flowy.swf.stores import FolderPayloads

if TYPE_CHECKING:
    from flowy.swf.client import Refused, S3Payloads, SWFClient, Unreachable
    from flowy.swf.starter import SWFWorkflowStarter

__all__ = [
    "Decisions",
    "FolderPayloads",
    "Incomplete",
    "KeptRuns",
    "Limits",
    "Payloads",
    "Refused",
    "Replayed",
    "S3Payloads",
    "SWFActivityConfig",
    "SWFActivityWorker",
    "SWFClient",
    "SWFWorkflowConfig",
    "SWFWorkflowStarter",
    "SWFWorkflowWorker",
    "Unreachable",
    "replay",
]

_OVER_THE_NETWORK = {
    "Refused": "client",
    "S3Payloads": "client",
    "SWFClient": "client",
    "SWFWorkflowStarter": "starter",
    "Unreachable": "client",
}


def __getattr__(name: str) -> Any:
    if name in _OVER_THE_NETWORK:
        import importlib

        return getattr(importlib.import_module(f"flowy.swf.{_OVER_THE_NETWORK[name]}"), name)
    raise AttributeError(f"module 'flowy.swf' has no attribute {name!r}")
