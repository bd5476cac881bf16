"""Actors that several tests use; each does the same thing when it is executed again."""

from typing import Any

from rescind.actors.runtime import Actor, Mailbox, MailboxFullError, Runtime


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


class Bell(Actor):
    """Sets a timer for so many seconds when told to, and its bell when the timer fires."""

    def __init__(self, bell):
        self.bell = bell

    def on_receive(self, message):
        if message == "ring":
            self.bell.set()
        else:
            self.send_after(message, "ring")


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


class Sink(Actor):
    """Keeps what it takes."""

    def __init__(self):
        self.taken = []

    def on_receive(self, message):
        if message == "taken?":
            return list(self.taken)
        if message == "fail":
            raise LookupError("as asked")
        self.taken.append(message)
        return message


class Rejecting(Sink):
    mailbox = Mailbox(max=2)


class Dropping(Sink):
    mailbox = Mailbox(max=2, when_full="drop oldest")


class Blocking(Sink):
    mailbox = Mailbox(max=2, when_full="block")


class Sender(Actor):
    """Sends as many as it is told in one turn, and says which were refused."""

    def __init__(self, sink):
        self.sink = sink

    def on_receive(self, wanted):
        how, count = wanted
        refused = []
        for n in range(count):
            try:
                if how == "tell":
                    self.sink.tell(n)
                else:
                    self.sink.ask(n, block=False).get(timeout=0) if n >= 2 else self.sink.ask(
                        n, block=False
                    )
            except MailboxFullError:
                refused.append(n)
        return refused


def taken(ref: Any) -> list[Any]:
    """Stop a sink, which no bound keeps out, and return all that it had taken by then."""
    actor = ref._actor_weakref()
    ref.stop()
    return list(actor.taken)


def held(runtime: Runtime) -> Any:
    """Let no turn be run meanwhile; who sends from outside does not need the baton."""
    return runtime.baton
