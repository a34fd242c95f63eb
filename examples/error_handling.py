"""A failed call, looked at and not.

A look at a failed result raises `TaskError`; what the activity raised is its `__cause__`.
A result that no one looks at passes its failure on: a call that takes it fails with the same
error, without being run.
"""

import time

import flowy


def divide(a, b):
    time.sleep(0.05)
    return a / b


def half(n):
    return n / 2


class ErrorHandling:
    def __init__(self, divide, half):
        self.divide = divide
        self.half = half

    def __call__(self, a, b):
        answer = self.half(self.divide(a, b))
        try:
            return f"half of {a} / {b} is {flowy.wait(answer)}"
        except flowy.TaskError as error:
            return f"half of {a} / {b} is unknown: {error.__cause__!r}"


class NoHandling(ErrorHandling):
    def __call__(self, a, b):
        return self.half(self.divide(a, b))


def local(factory):
    w = flowy.LocalWorkflow(factory)
    w.conf_activity("divide", divide)
    w.conf_activity("half", half)
    return w


handling = local(ErrorHandling)
no_handling = local(NoHandling)


def main():
    with handling:
        print(handling.run(10, 4))
        print(handling.run(1, 0))
    try:
        no_handling.run(1, 0)
    except flowy.TaskError as error:
        print("the run failed:", repr(error.__cause__))


if __name__ == "__main__":
    main()
