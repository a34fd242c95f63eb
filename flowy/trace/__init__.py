"""What a run did, to look at and to reckon with.

`Trace` is what `LocalWorkflow.run(…, _trace=…)` leaves and what `Trace.from_swf` makes of a history of
Amazon SWF. The drawings are functions of it: `dot`, `mermaid`, `chrome` and `html`, each
returns text.

This file only hands on the public names.
"""

from flowy.trace.analysis import Path, Prediction, Row, Wait
from flowy.trace.chrome import chrome
from flowy.trace.dot import dot
from flowy.trace.mermaid import mermaid
from flowy.trace.page import html
from flowy.trace.record import Attempt, Execution, Task
from flowy.trace.trace import Trace

__all__ = [
    "Attempt",
    "Execution",
    "Path",
    "Prediction",
    "Row",
    "Task",
    "Trace",
    "Wait",
    "chrome",
    "dot",
    "html",
    "mermaid",
]
