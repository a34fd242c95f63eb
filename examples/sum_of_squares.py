"""A workflow, its two activities, and a run.

Each activity takes a second. The two squares do not need each other, so they run at the same time:
the three calls take two seconds, not three. No `if __name__ == '__main__'` guard is needed.
"""

import time

import flowy


def square(n):
    time.sleep(1)
    return n * n


def add(a, b):
    time.sleep(1)
    return a + b


class SumOfSquares:
    def __init__(self, square, add):
        self.square = square
        self.add = add

    def __call__(self, a, b):
        return self.add(self.square(a), self.square(b))


w = flowy.LocalWorkflow(SumOfSquares)
w.conf_activity("square", square)
w.conf_activity("add", add)
print(w.run(2, 10))  # 104; the two squares ran at the same time
