"""Actors whose state comes from events, for the tests of recovery."""

from typing import Any

from rescind import Actor, Supervision, event, message
from rescind.actors.runtime import Terminated


@message
class Put:
    name: str
    amount: int = 1


@message
class Wait:
    name: str


@message
class Adopt:
    name: str


@message
class Watch:
    other: Any


@event
class Kept:
    name: str
    amount: int


@event
class Adopted:
    child: Any


@event
class Told:
    what: str


class Store(Actor):
    """Keeps what it is given; all of its state comes from events."""

    total: int = 0
    child: Any = None

    def __init__(self, title: str, other: Any = None) -> None:
        self.title = title
        self.other = other
        self.names: list[str] = []
        self.chance = self.random.random()
        self.recovered = False

    def on_put(self, m: Put) -> int:
        self.record(Kept(m.name, m.amount))
        return m.amount

    def apply_kept(self, e: Kept) -> None:
        self.total += e.amount
        self.names.append(e.name)

    def on_wait(self, m: Wait) -> Any:
        return self.work(len, m.name, then=self.waited)

    def waited(self, m: Wait, size: int) -> int:
        self.record(Kept(m.name, size))
        return size

    def on_adopt(self, m: Adopt) -> None:
        self.record(Adopted(Store.start(m.name, other=self.actor_ref)))

    def apply_adopted(self, e: Adopted) -> None:
        self.child = e.child

    def on_watch(self, m: Watch) -> None:
        m.other.watch(self.actor_ref)

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, Terminated):
            self.record(Told(f"{message.actor} {message.error}"))
            return None
        return super().on_receive(message)

    def apply_told(self, e: Told) -> None:
        self.names.append(e.what)

    def on_recover(self) -> None:
        self.recovered = True


@message
class Fall:
    """Raise something."""


class Boss(Store):
    """Restarts its children."""

    supervision = Supervision()

    def on_fall(self, _: Fall) -> None:
        raise LookupError("as asked")

    def on_adopt(self, m: Adopt) -> None:
        self.record(Adopted(Boss.start(m.name, other=self.actor_ref)))


class Plain(Actor):
    """Its state is its own business."""

    def on_receive(self, message: Any) -> Any:
        return message


class Asker(Actor):
    def on_receive(self, store: Any) -> Any:
        return store.request(Put("a"), sink="orders")


class Late(Store):
    """Sets its timer again."""

    def on_recover(self) -> None:
        self.send_after(5, Put("late"))


class Broken(Store):
    def on_recover(self) -> None:
        raise LookupError("no")
