"""A local Amazon SWF: its operations, decisions, time-outs, limits and faults, in memory.

Owns the public names: `LocalSWF`, which most tests want, and those of the service itself.

    LocalSWF ─> client, http ─> wire ─> chaos ─> service ─> world ─> executions, decisions, …
                                                  model      clock

May not know: anything itself. Only `client` and `model` know botocore, only `http` sockets, only
`statefile` files.
"""

try:
    from flowy.testing.swf.chaos import Injection
    from flowy.testing.swf.clock import Clock, SystemClock, VirtualClock
    from flowy.testing.swf.faults import Fault
    from flowy.testing.swf.limits import Bucket, Limits
    from flowy.testing.swf.local import LocalSWF
    from flowy.testing.swf.service import Service
except ModuleNotFoundError as error:
    if error.name is None or error.name.split(".")[0] not in ("boto3", "botocore"):
        raise
    raise ImportError(
        f"the local SWF needs {error.name}, which is not installed: pip install 'flowy[swf]'"
    ) from error

__all__ = [
    "Bucket",
    "Clock",
    "Fault",
    "Injection",
    "Limits",
    "LocalSWF",
    "Service",
    "SystemClock",
    "VirtualClock",
]
