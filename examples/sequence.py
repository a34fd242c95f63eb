"""Each call takes the result of the one before.

The workflow never waits: it hands results on, and flowy sees from this which call must come
after which.
"""

import time

import flowy


def fetch(title):
    time.sleep(0.1)
    return f"It was the best of {title}, it was the worst of {title}"


def split(text):
    time.sleep(0.1)
    return text.lower().replace(",", "").split()


def count(words):
    time.sleep(0.1)
    return {word: words.count(word) for word in sorted(set(words))}


class Sequence:
    def __init__(self, fetch, split, count):
        self.fetch = fetch
        self.split = split
        self.count = count

    def __call__(self, title):
        text = self.fetch(title)
        words = self.split(text)
        return self.count(words)


w = flowy.LocalWorkflow(Sequence)
w.conf_activity("fetch", fetch)
w.conf_activity("split", split)
w.conf_activity("count", count)


def main():
    print("words:", w.run("times"))


if __name__ == "__main__":
    main()
