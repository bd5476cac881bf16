"""Parents and children that these tests use; each does the same when it is executed again."""

import contextlib

import pykka

from rescind import Actor, Decision, Supervision, event, message
from rescind.actors.runtime import DeadlockError, Reply


def by_type(error):
    """Decide by the kind of exception, so that one rule serves many tests."""
    match error:
        case LookupError():
            return Decision.RESTART
        case ArithmeticError():
            return Decision.RESUME
        case BufferError():
            return Decision.STOP
        case _:
            return Decision.ESCALATE


def always(decision):
    return lambda _: decision


RULES = {
    "by type": by_type,
    "always restart": always(Decision.RESTART),
    "always resume": always(Decision.RESUME),
    "as text": always("restart"),
    "wrong": lambda error: error.nothing,
}

ERRORS = {
    "restart": LookupError,
    "resume": ArithmeticError,
    "stop": BufferError,
    "escalate": RuntimeError,
    "leave": SystemExit,
    "fail": ValueError,
}


class Child(Actor):
    """Notes what it takes, and fails when it is told how."""

    def __init__(self, name, sink=None):
        self.name = name
        self.sink = sink
        self.taken = []
        self.say("made")

    def say(self, what):
        if self.sink is not None:
            self.sink.tell((self.name, what))

    def on_receive(self, message):
        if message == "taken?":
            return list(self.taken)
        if message == "incarnation?":
            return self.actor_ref.incarnation
        if message in ERRORS:
            raise ERRORS[message]("as asked")
        self.taken.append(message)
        return message

    def on_start(self):
        self.say("started")

    def on_failure(self, *_):
        self.say("failed")

    def on_stop(self):
        self.say("stopped")


class Parent(Child):
    """Starts what it is told to, and says what became of whom it watches."""

    supervision = Supervision(decide=by_type)

    def __init__(self, name="parent", sink=None, rule=None):
        super().__init__(name, sink)
        if rule is not None:
            decide = RULES[rule.get("decide", "by type")]
            self.supervision = Supervision(**{**rule, "decide": decide})

    def on_receive(self, message):
        match message:
            case ("start", name, *arguments):
                ref = CLASSES[name].start(*arguments)
                ref.watch(self.actor_ref)
                return ref
            case ("start and fail", name, *arguments):
                CLASSES[name].start(*arguments)
                raise LookupError("as asked")
            case _:
                return super().on_receive(message)


class Sink(Actor):
    """Keeps what it is told, in order."""

    def __init__(self):
        self.told = []

    def on_receive(self, message):
        if message == "told?":
            return list(self.told)
        self.told.append(message)
        return None


@message
class Add:
    number: int


@message
class Break:
    how: str


@event
class Added:
    number: int


class Account(Actor):
    """Its state is made by its events, but for what it should not have."""

    sum = 0
    loose = 0

    def on_add(self, m: Add):
        self.record(Added(m.number))
        if m.number < 0:
            raise SystemExit("as asked")
        return self.sum + m.number

    def on_break(self, m: Break):
        self.record(Added(1000))
        raise ERRORS[m.how]("as asked")

    def on_receive(self, message):
        if message == "sum?":
            return self.sum
        if message == "incarnation?":
            return self.actor_ref.incarnation
        return super().on_receive(message)

    def apply_added(self, e: Added):
        self.sum += e.number


class Stillborn(Actor):
    def __init__(self):
        raise LookupError("as asked")


class Ticks(Child):
    """Tells itself something every second."""

    def __init__(self):
        super().__init__("ticks")

    def on_start(self):
        self.send_after(1, "tick")

    def on_receive(self, message):
        if message == "tick":
            self.send_after(1, "tick")
        return super().on_receive(message)


class Says(Parent):
    supervision = Supervision(decide=always("restart"))


class Plain(Actor):
    """A parent without a rule."""

    def on_receive(self, _):
        return Child.start("child")


class Waits(Child):
    """Waits inside a turn for as long as it is told."""

    def __init__(self, sink):
        super().__init__("waits", sink)

    def on_receive(self, seconds):
        with contextlib.suppress(pykka.Timeout):
            Reply(self.runtime).get(timeout=seconds)
        return seconds


class Asks(Child):
    """Waits for its parent inside a turn, at once or when some time has passed."""

    def __init__(self, parent, sink):
        self.parent = parent
        super().__init__("asks", sink)

    def on_receive(self, message):
        match message:
            case ("wait", how, seconds):
                if seconds:
                    with contextlib.suppress(pykka.Timeout):
                        Reply(self.runtime).get(timeout=seconds)
                return self.say(self.wait(how))
            case _:
                return super().on_receive(message)

    def wait(self, how):
        try:
            if how == "ask":
                return self.parent.ask("from a child")
            return self.parent.request("from a child").get()
        except DeadlockError:
            return "deadlock"


CLASSES = {
    each.__name__: each for each in (Account, Asks, Child, Parent, Says, Stillborn, Ticks, Waits)
}
