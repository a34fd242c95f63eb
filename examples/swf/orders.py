"""An order on Amazon SWF: prices side by side, a payment waited for, parcels by a child workflow.

Owns: two workflows and two activities, with their configurations as decorators, so that
`flowy swf decider orders.py` and `flowy swf worker orders.py` find them.
"""

import flowy

activity = flowy.SWFActivityConfig(
    default_task_list="orders-activities",
    default_heartbeat=30,
    default_schedule_to_start=300,
    default_start_to_close=60,
    default_schedule_to_close=360,
)


def workflow():
    return flowy.SWFWorkflowConfig(
        default_task_list="orders-decisions",
        default_workflow_duration=3600,
        default_decision_duration=30,
        default_child_policy="TERMINATE",
    )


order = workflow()
order.conf_activity("price", version=1)
order.conf_workflow("ship", version=1, name="Shipment")
shipment = workflow()
shipment.conf_activity("label", version=1)

PRICES = {"pen": 2, "book": 12, "lamp": 30, "desk": 140}


@activity(version=1)
def price(item):
    """What an item costs."""
    return PRICES[item]


@activity(version=1)
def label(address, n):
    """The label of one of the parcels."""
    return f"{address}, parcel {n}"


@order(version=1)
class Order:
    """Takes a minute for the payment, a second for second thoughts, and ships."""

    def __init__(self, price, ship):
        self.price = price
        self.ship = ship

    def __call__(self, items, address="Bucharest"):
        prices = [self.price(item) for item in items]  # all at once
        paid, late = flowy.signal("paid"), flowy.timer(60)
        if flowy.wait(flowy.first(paid, late)) is None:
            return "not paid in time"
        total = sum(prices)
        if flowy.wait(paid) < total:
            return f"{total} were due"
        flowy.sleep(1)
        return {"total": total, "labels": self.ship(address, len(items))}


@shipment(version=1)
class Shipment:
    """A label for each parcel."""

    def __init__(self, label):
        self.label = label

    def __call__(self, address, parcels):
        return [self.label(address, n) for n in range(1, parcels + 1)]
