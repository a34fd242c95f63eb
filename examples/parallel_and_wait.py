"""Many calls at once, then a look at all of them.

A call returns at once, so the list comprehension starts every call. `flowy.wait` then waits
until all results in the list are known, and gives the list with the values in place.
"""

import time

import flowy


def measure(city):
    time.sleep(0.1)
    return {"Bucharest": 24.5, "Oslo": 11.0, "Quito": 14.2, "Perth": 18.7}[city]


class Warmest:
    def __init__(self, measure):
        self.measure = measure

    def __call__(self, cities):
        results = [self.measure(city) for city in cities]  # all are under way
        degrees = flowy.wait(results)  # here the workflow waits
        return max(zip(degrees, cities, strict=True))


w = flowy.LocalWorkflow(Warmest, activity_workers=4)
w.conf_activity("measure", measure)


def main():
    started = time.monotonic()
    degrees, city = w.run(["Bucharest", "Oslo", "Quito", "Perth"])
    print(f"warmest: {city}, {degrees} degrees")
    print(f"four measurements of 0.1 s each took {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    main()
