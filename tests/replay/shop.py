"""A small shop of actors: what is re-executed by these tests, and changed by them."""

import random
import time
from typing import Any

from rescind import Actor, event, message

SALT = 0
"""Stands for what a process adds to the hashes of its texts."""


class Thing:
    """Has a hash that another process may compute differently."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __hash__(self) -> int:
        return (len(self.name) * 7 + SALT) % 8


@message
class Pay:
    cents: int


@message
class Order:
    names: Any


@message
class Total:
    pass


@message
class Remind:
    after_s: float


@message
class Deliver:
    name: str


@event
class Paid:
    cents: int


@event
class Noted:
    text: str


class Till(Actor):
    """Counts money; event-sourced."""

    total: int = 0

    def on_pay(self, m: Pay) -> int:
        self.record(Paid(m.cents))
        if m.cents > 100:
            self.record(Noted("much"))
        return self.total

    def on_total(self, m: Total) -> int:
        del m
        return self.total

    def on_remind(self, m: Remind) -> None:
        self.send_after(m.after_s, Total())

    def apply_paid(self, e: Paid) -> None:
        self.total += e.cents

    def apply_noted(self, e: Noted) -> None:
        del e


class Clerk(Actor):
    """Takes orders, hands them on; an ordinary actor."""

    def __init__(self, till: Any, porter: Any) -> None:
        super().__init__()
        self.till = till
        self.porter = porter

    def on_order(self, m: Order) -> list[str]:
        for name in m.names:
            self.porter.tell(Deliver(name))
        self.till.tell(Pay(len(m.names)))
        return list(m.names)

    def on_pay(self, m: Pay) -> Any:
        return self.till.request(m, timeout_s=5)


class Porter(Actor):
    """Notes what it carries."""

    def on_deliver(self, m: Deliver) -> None:
        self.record(Noted(m.name))

    def apply_noted(self, e: Noted) -> None:
        del e


def clock() -> int:
    return time.time_ns()


def chance() -> float:
    return random.random()
