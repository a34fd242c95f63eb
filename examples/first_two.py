"""Take results in the order in which they finish.

`flowy.finish_order` is an iterator of results: its k-th stands for the k-th to finish. It does
not wait either, so the call of `agree` below is made at once, and runs as soon as two of the
three have voted.
"""

import itertools
import time

import flowy


def vote(judge, delay):
    time.sleep(delay)
    return judge


def agree(judges):
    return f"decided by {judges[0]} and {judges[1]}"


class FirstTwo:
    def __init__(self, vote, agree):
        self.vote = vote
        self.agree = agree

    def __call__(self, judges):
        votes = [self.vote(judge, delay) for judge, delay in judges]
        return self.agree(list(itertools.islice(flowy.finish_order(votes), 2)))


w = flowy.LocalWorkflow(FirstTwo, activity_workers=3)
w.conf_activity("vote", vote)
w.conf_activity("agree", agree)


def main():
    print(w.run([("Slow", 0.6), ("Quick", 0.05), ("Steady", 0.25)]))


if __name__ == "__main__":
    main()
