"""A workflow as a dependency of another.

For the parent a sub-workflow is a call like any other: it cannot tell whether `variance` is an
activity or a workflow. A sub-workflow has dependencies of its own, and takes no worker while it
waits for them.
"""

import time

import flowy


def mean(numbers):
    time.sleep(0.05)
    return sum(numbers) / len(numbers)


def squares(numbers, centre):
    time.sleep(0.05)
    return [(n - centre) ** 2 for n in numbers]


class Variance:
    def __init__(self, mean, squares):
        self.mean = mean
        self.squares = squares

    def __call__(self, numbers):
        return self.mean(self.squares(numbers, self.mean(numbers)))


class MostVaried:
    def __init__(self, variance):
        self.variance = variance

    def __call__(self, samples):
        variances = {name: self.variance(numbers) for name, numbers in samples.items()}
        return max(variances, key=lambda name: variances[name])


variance = flowy.LocalWorkflow(Variance)
variance.conf_activity("mean", mean)
variance.conf_activity("squares", squares)

w = flowy.LocalWorkflow(MostVaried)
w.conf_workflow("variance", variance)


def main():
    print("most varied:", w.run({"rain": [3, 3, 4, 2], "wind": [1, 30, 12, 7], "sun": [8, 9, 9, 8]}))


if __name__ == "__main__":
    main()
