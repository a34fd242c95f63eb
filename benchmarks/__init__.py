"""The benchmarks: what flowy costs, from one version to the next (asv) and beside its peers (`peers`).

Owns one line: it puts the checkout at the end of the path, where workers, which import task functions
by name, find them; asv imports this package without that. At the end, so that the installed flowy is
what is measured.

May not know flowy: environments of peers import this package too, and don't have it. Its
neighbours: `docs/benchmarks.md` tells how to run what is here, `asv.conf.json` how asv does.
"""

import os
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
