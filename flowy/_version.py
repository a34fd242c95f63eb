"""The version of flowy, in its one place.

Owns one literal: the build reads it from here without importing the package, so nothing else
may stand in this file. Any module may import it.
"""

__version__ = "1.0.0.dev0"
