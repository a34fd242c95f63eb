"""`make demo-swf`: what it shows, and that it leaves nothing.

Owns: the demo as a user runs it, by its file. What the commands do is tested in `test_swf_command`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).parent.parent / "examples" / "swf" / "demo.py"


@pytest.mark.slow
def test_the_demo_shows_an_order_from_start_to_end() -> None:
    before = set(DEMO.parent.iterdir())
    done = subprocess.run(
        [sys.executable, DEMO], capture_output=True, text=True, check=False, timeout=110
    )
    assert done.returncode == 0, done.stderr
    shown = done.stdout
    labels = ", ".join(f'"Cluj, parcel {n}"' for n in range(1, 5))
    assert f'The order is done: {{"total": 184, "labels": [{labels}]}}\n' in shown
    assert shown.count("$ flowy swf worker") == 2
    for told in (
        "activity task completed  price-3-0",
        "timer fired",
        "workflow execution signaled  paid  input: 184",
        "child workflow execution completed",
        "order-17: replays clean",
    ):
        assert told in shown
    assert shown.endswith("The workers and the service have ended.\n")
    assert done.stderr == ""
    assert set(DEMO.parent.iterdir()) == before
