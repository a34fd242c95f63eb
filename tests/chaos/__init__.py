"""What goes wrong, done on purpose and often: for anyone to run, with figures.

`make chaos` runs every scenario at full size; `make chaos CHAOS='--scale 0.1 --only interrupts'` one of
them at a tenth. A scenario is a function in a module here, given to `framework.scenario`; the package
prints a line for each, and ends with 1 if one failed. tests/test_chaos.py runs small versions.
"""
