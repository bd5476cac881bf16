"""A program for SIGKILL at a chosen write: actors whose state is recorded, requests, a sink.

It forks a child for every line that it reads, so that a kill costs milliseconds, and says how each
ended.  Orders are ``PATH TAB EPISODE TAB WRITE TAB HOW TAB KEYFRAMES``: the child plays an episode
and is killed at its nth write, before it, after half of it, or after it; at write 0 it is not, and
says how many there were.  Every turn is written on its own.  ``heard NUMBER REDELIVERED`` is said
inside the sink, so that it is out whatever comes next.
"""

import os
import signal
import sys
import traceback
from typing import Any

from rescind import Actor, Runtime, Stepped, event, message, newton
from rescind.actors.native import Twin
from rescind.actors.runtime import Terminated
from rescind.events import DirectoryStorage, Pace

ALWAYS = Pace(log_bytes_min=0, log_bytes_factor=0, slice_entries=3)


@message
class Put:
    name: str


@message
class Wait:
    name: str


@message
class Pass:
    name: str


@message
class Adopt:
    name: str


@event
class Kept:
    name: str


@event
class Adopted:
    child: Any


class Store(Actor):
    child: Any = None

    def __init__(self, title: str, other: Any = None) -> None:
        self.title = title
        self.other = other
        self.names: list[str] = []

    def on_put(self, m: Put) -> int:
        self.record(Kept(m.name))
        return len(self.names)

    def apply_kept(self, e: Kept) -> None:
        self.names.append(e.name)

    def on_wait(self, m: Wait) -> Any:
        return self.work(len, m.name, then=self.waited)

    def waited(self, m: Wait, size: int) -> int:
        self.record(Kept(m.name))
        return size

    def on_pass(self, m: Pass) -> Any:
        self.record(Kept(m.name))
        return self.other.request(Put(m.name))

    def on_adopt(self, m: Adopt) -> None:
        child = Store.start(m.name, other=self.actor_ref)
        child.watch(self.actor_ref)
        self.record(Adopted(child))

    def apply_adopted(self, e: Adopted) -> None:
        self.child = e.child

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, Terminated):
            return self.record(Kept(f"end of {message.actor}"))
        return super().on_receive(message)

    def on_recover(self) -> None:
        self.send_after(1, Put("recovered"))


class Plain(Actor):
    def on_receive(self, message: Any) -> Any:
        return message


class TurnByTurn(Stepped):
    """Writes every turn on its own."""

    def step(self) -> bool:
        if self._runtime.run_turns(1):
            self._runtime.commit()
            return True
        return super().step()


class Killed:
    """Counts writes, and kills the process at the one that was chosen."""

    def __init__(self, at: int, how: str) -> None:
        self.count = 0
        self.at = at
        self.how = how
        self.write = DirectoryStorage.append

    def append(self, storage: Any, segment: int, offset: int, data: bytes) -> None:
        self.count += 1
        if self.count == self.at:
            part = {"before": b"", "torn": data[: len(data) // 2], "after": data}[self.how]
            self.write(storage, segment, offset, part)
            os.kill(os.getpid(), signal.SIGKILL)
        self.write(storage, segment, offset, data)


def say(*words: Any) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def hear(request: Any) -> None:
    say("heard", request.number, int(request.redelivered))


def open_runtime(path: str, keyframes: str, classes: Any = None) -> Any:
    sinks = {"orders": hear}
    runtime = Runtime.open(path, dispatcher=TurnByTurn(), sinks=sinks, classes=classes)
    if keyframes == "1":
        runtime.log.keyframes_from(runtime.entries, ALWAYS)
    return runtime


def first(path: str, keyframes: str) -> None:
    """Do a little of everything."""
    runtime = open_runtime(path, keyframes)
    run = runtime.dispatcher.run

    def acted() -> None:
        runtime.commit()
        run()

    one = runtime.start(Store, "one")
    acted()
    two = runtime.start(Store, "two", other=one)
    runtime.start(Plain)
    twin = Twin(runtime)
    acted()
    one.request(Put("a"), sink="orders")
    acted()
    two.request(Adopt("child"))
    acted()
    slow = one.request(Wait("slow"), sink="orders")
    stopped = one.request(Wait("stopped"), sink="orders")
    acted()
    two.request(Pass("b"), sink="orders")
    acted()
    endpoint = newton.Endpoint(runtime, newton.twin())
    endpoint.bind()
    endpoint.connect()
    acted()
    for line in "xyz":
        endpoint.output(line, asynchronous=True)
    acted()
    stopped.cancel("enough")
    acted()
    endpoint.cancel(asynchronous=True)
    acted()
    twin.complete(value=4)
    acted()
    assert slow.is_done
    endpoint.output("late", asynchronous=True)
    acted()
    runtime.actors[two.number].child.stop(block=False)
    acted()
    one.request(Wait("never"), sink="orders")
    two.request(Wait("nor"))
    acted()
    two.request(Put("c"), timeout_s=3, sink="orders")
    acted()


def second(path: str, keyframes: str) -> None:
    """Recover, and go on."""
    runtime = open_runtime(path, keyframes, [Store, Plain])
    runtime.commit()
    runtime.dispatcher.run()
    for ref in runtime.refs(Store):
        ref.request(Put("again"), sink="orders")
        runtime.commit()
        runtime.dispatcher.run()
    runtime.dispatcher.advance(2)


EPISODES = {"first": first, "second": second}


def play(path: str, episode: str, write: str, how: str, keyframes: str) -> None:
    killed = Killed(int(write), how)

    def append(storage: Any, segment: int, offset: int, data: bytes) -> None:
        killed.append(storage, segment, offset, data)

    DirectoryStorage.append = append  # type: ignore[method-assign,assignment]
    EPISODES[episode](path, keyframes)
    say("wrote", killed.count)


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if not child:
            try:
                play(*line.rstrip("\n").split("\t"))
            except BaseException:  # noqa: BLE001 - said by how the child ends
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        say("dead", os.waitstatus_to_exitcode(status))
