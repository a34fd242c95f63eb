"""The test kit: what workflows are developed and tested against.

Owns nothing yet but its parts: `swf`, a local Amazon SWF.

May not know: the engines; they don't know it either.
"""
