"""Go on with whichever answers first.

`flowy.first` does not wait: it gives a result that stands for the one that finishes first,
whichever that will be. The run ends while the far mirror is still being asked, and flowy says so
in a warning.
"""

import time

import flowy


def ask(mirror, delay):
    time.sleep(delay)
    return f"answer of {mirror}"


def publish(answer):
    return f"published: {answer}"


class First:
    def __init__(self, ask, publish):
        self.ask = ask
        self.publish = publish

    def __call__(self, mirrors):
        answers = [self.ask(mirror, delay) for mirror, delay in mirrors]
        return self.publish(flowy.first(answers))


w = flowy.LocalWorkflow(First, activity_workers=2)
w.conf_activity("ask", ask)
w.conf_activity("publish", publish)


def main():
    print(w.run([("the far mirror", 0.5), ("the near mirror", 0.05)]))


if __name__ == "__main__":
    main()
