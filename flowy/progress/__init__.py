"""How far a run is, shown while it runs.

`LocalWorkflow.run(…, _progress=True)` and `flowy run` on a terminal use this. A thread looks at what is
counted anyway, now and then; tasks know nothing of it.

    counts that runs keep ─> look() ─> Snapshot ─> terminal │ log lines │ notebook │ your function

This file only hands on the public names.
"""

from flowy.progress.counts import Row, Snapshot
from flowy.progress.reporter import Choice, check_choice, reporting

__all__ = ["Choice", "Row", "Snapshot", "check_choice", "reporting"]
