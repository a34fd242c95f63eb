"""A run that starts again with new input.

A workflow that goes on for long would gather a long history. Returned by the workflow,
`flowy.restart` ends this run and starts the next with the given arguments and an empty history;
`run` gives the value of the last.
"""

import time

import flowy


def fetch(page):
    time.sleep(0.05)
    pages = [["ant", "bee"], ["cat", "dog", "elk"], ["fox"]]
    return pages[page], page + 1 < len(pages)


class Collect:
    def __init__(self, fetch):
        self.fetch = fetch

    def __call__(self, page=0, found=()):
        names, more = self.fetch(page)
        if more:
            return flowy.restart(page + 1, [*found, *names])
        return [*found, *names]


w = flowy.LocalWorkflow(Collect)
w.conf_activity("fetch", fetch)


def main():
    print("collected:", w.run())

    # Without an engine a restart is just a value; `flowy.plain` knows what it means.
    print("plain:    ", flowy.plain(Collect, fetch=fetch)())


if __name__ == "__main__":
    main()
