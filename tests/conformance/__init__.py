"""One suite of workflows that must mean the same wherever they run.

Owns: what the suite is made of: modules of cases by theme, each case a small workflow class with its
activities and the value it must have, and where and why it can't be run.

`case` says what a case is; `ways` runs them as plain Python and on the local engine, `fleet` on Amazon
SWF. The tests are in test_conformance.py and its neighbours.
"""

from __future__ import annotations

from conformance import calls, children, failures, limits, order, outside, times, values
from conformance.case import CASES

__all__ = ["CASES", "calls", "children", "failures", "limits", "order", "outside", "times", "values"]
