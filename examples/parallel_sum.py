"""Results in a list, added by Python's own `sum`.

A result stands for its value: `sum` adds results as if they were numbers, and waits for each as
it comes to it. The list matters: with a generator, `sum(self.subtotal(part) for ...)`, each call
would be made only after the one before was added, and nothing would run at the same time.
"""

import time

import flowy


def subtotal(numbers):
    time.sleep(0.1)
    return sum(numbers)


class ParallelSum:
    def __init__(self, subtotal):
        self.subtotal = subtotal

    def __call__(self, numbers, size):
        parts = [numbers[i : i + size] for i in range(0, len(numbers), size)]
        subtotals = [self.subtotal(part) for part in parts]
        return sum(subtotals)


w = flowy.LocalWorkflow(ParallelSum)
w.conf_activity("subtotal", subtotal)


def main():
    print("sum of 1 to 100:", w.run(range(1, 101), 25))


if __name__ == "__main__":
    main()
