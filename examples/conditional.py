"""An `if` on a result waits for it, and only for it.

While the workflow waits for the score, the greeting that it has already asked for is being made.
"""

import time

import flowy


def score(name):
    time.sleep(0.1)
    return len(name)


def greeting(name):
    time.sleep(0.1)
    return f"Dear {name}"


def offer(greeting, gift):
    time.sleep(0.1)
    return f"{greeting}, we send you {gift}."


class Conditional:
    def __init__(self, score, greeting, offer):
        self.score = score
        self.greeting = greeting
        self.offer = offer

    def __call__(self, name):
        greeting = self.greeting(name)
        if self.score(name) > 4:  # waits for the score, not for the greeting
            return self.offer(greeting, "a book")
        return self.offer(greeting, "a card")


w = flowy.LocalWorkflow(Conditional)
w.conf_activity("score", score)
w.conf_activity("greeting", greeting)
w.conf_activity("offer", offer)


def main():
    with w:  # the workers stay for both runs
        print(w.run("Ada"))
        print(w.run("Edsger"))


if __name__ == "__main__":
    main()
