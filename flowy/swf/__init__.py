"""Workflows on Amazon SWF: histories go in, decisions come out.

This file only hands on the public names of the part that needs no network.
"""

from flowy.swf.config import SWFActivityConfig, SWFWorkflowConfig
from flowy.swf.decider import SWFWorkflowWorker
from flowy.swf.decisions import Decisions, Limits
from flowy.swf.history import Incomplete
from flowy.swf.kept import KeptRuns
from flowy.swf.payloads import Payloads
from flowy.swf.replaying import Replayed, replay
from flowy.swf.stores import FolderPayloads

__all__ = [
    "Decisions",
    "FolderPayloads",
    "Incomplete",
    "KeptRuns",
    "Limits",
    "Payloads",
    "Replayed",
    "SWFActivityConfig",
    "SWFWorkflowConfig",
    "SWFWorkflowWorker",
    "replay",
]
