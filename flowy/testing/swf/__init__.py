"""A local Amazon SWF: its operations, decisions, time-outs, limits and faults, in memory.

Owns the public names of the service itself.

    faces (HTTP, client) ─> service ─> world ─> executions, decisions, task lists, registry
                            model      clock

May not know: the network, boto3, files.
"""

from flowy.testing.swf.clock import Clock, SystemClock, VirtualClock
from flowy.testing.swf.faults import Fault
from flowy.testing.swf.limits import Bucket, Limits
from flowy.testing.swf.service import Service

__all__ = ["Bucket", "Clock", "Fault", "Limits", "Service", "SystemClock", "VirtualClock"]
