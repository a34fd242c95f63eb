"""The same job three ways: count the letters of some words, and merge the counts.

In order, each merge takes the next word's count, though others may be there before it.
In finish order, each merge takes the count that is there next, but still one merge follows another.
In parallel, any two counts that are there are merged at once, and merges run beside each other.
The last two ask that merging gives the same in any order; the last, in any grouping too.
"""

import functools
import time
from collections import Counter

import flowy


def letters(word):
    time.sleep(len(word) / 100)
    return Counter(word)


def merge(a, b):
    time.sleep(0.05)
    return a + b


class InOrder:
    def __init__(self, letters, merge):
        self.letters = letters
        self.merge = merge

    def __call__(self, words):
        return functools.reduce(self.merge, flowy.map(self.letters, words))


class InFinishOrder(InOrder):
    def __call__(self, words):
        return functools.reduce(self.merge, flowy.finish_order(flowy.map(self.letters, words)))


class Parallel(InOrder):
    def __call__(self, words):
        return flowy.parallel_reduce(self.merge, flowy.map(self.letters, words))


def local(factory):
    w = flowy.LocalWorkflow(factory, activity_workers=4)
    w.conf_activity("letters", letters)
    w.conf_activity("merge", merge)
    return w


in_order = local(InOrder)
in_finish_order = local(InFinishOrder)
parallel = local(Parallel)


def main():
    words = [
        "incomprehensibility",
        "is",
        "a",
        "long",
        "word",
        "and",
        "so",
        "is",
        "interdisciplinary",
    ]
    for name, w in ("InOrder", in_order), ("InFinishOrder", in_finish_order), ("Parallel", parallel):
        started = time.monotonic()
        counts = w.run(words)
        seconds = time.monotonic() - started
        print(f"{name:13} {seconds:.2f} s  {dict(counts.most_common(3))}")


if __name__ == "__main__":
    main()
