"""Actors that several tests use; each does the same thing when it is executed again."""

from rescind.actors.runtime import Actor


class Doubler(Actor):
    """Answers with twice what it is given; has something for proxies."""

    sign = "*"

    def on_receive(self, message):
        if message == "fail":
            raise LookupError("as asked")
        return message * 2

    def add(self, x, *, y=0):
        return x + y

    def divide(self, x, y):
        return x / y


class Relay(Actor):
    """Asks another actor and adds one."""

    def __init__(self, other):
        self.other = other

    def on_receive(self, message):
        return self.other.ask(message) + 1


class Sums(Actor):
    """Adds up what it is told, and says the sum when asked for it."""

    def __init__(self):
        self.sum = 0
        self.told = []

    def on_receive(self, message):
        if message == "sum?":
            return self.sum
        if message == "told?":
            return list(self.told)
        self.told.append(message)
        self.sum += message if isinstance(message, int) else 0
        return None
