"""Ports that note what a driver reports, and a channel and a listener that are joined by them."""

import itertools
import os
from queue import Empty, SimpleQueue
from typing import Any

from rescind.actors.rpc.drivers import Call

WAIT_S = 20.0
"""How long anything may take before the test fails; nothing normally comes near it."""
SERVER_LOG = bytes(range(16))


class Notes:
    """What was reported and nobody has asked for yet, in order."""

    def __init__(self) -> None:
        self.said: SimpleQueue[tuple[Any, ...]] = SimpleQueue()

    def next(self) -> tuple[Any, ...]:
        return self.said.get(timeout=WAIT_S)

    def is_silent(self) -> bool:
        """Whether nothing was reported; only behind something that would come later."""
        try:
            print("not silent:", self.said.get_nowait())  # noqa: T201
        except Empty:
            return True
        return False


class Client(Notes):
    def answer(self, request, code, payload, cause=None, *, carries=False):  # noqa: ARG002
        self.said.put((request, code, payload, cause))

    def carry(self):
        pass


class Server(Notes):
    def called(self, key, call, *, carries=False):  # noqa: ARG002
        self.said.put(("called", key, call))

    def carry(self):
        pass

    def cancelled(self, key, *, abort, cause):
        self.said.put(("cancelled", key, abort, cause))

    def disconnected(self, key):
        self.said.put(("disconnected", key))


class Pair:
    """A client's driver and a server's, and what each reported."""

    def __init__(self, channel: Any, listener: Any = None, server: Server | None = None) -> None:
        self.channel, self.listener = channel, listener
        self.client, self.server = Client(), server or Server()
        self.log_id = os.urandom(16)
        self.numbers = itertools.count(3, 2)
        self.channel.open(self.client)

    def call(self, procedure="render", payload=b"\x90", deadline_s=None, metadata=()):
        """Begin a call; its number."""
        request = next(self.numbers)
        call = Call(request, self.log_id, request, procedure, payload, deadline_s, metadata)
        self.channel.begin(call)
        return request

    def called(self):
        """The next call that the server hears of: its key and itself."""
        what, key, call = self.server.next()
        assert what == "called"
        return key, call

    def reply(self, key, code=None, payload: bytes | str | None = b"\xc0", turn=77):
        self.listener.reply(key, code, payload, (SERVER_LOG, turn))

    def exchange(self):
        """Let a call go there and back: what was under way before it has arrived."""
        request = self.call("exchange")
        key, _ = self.called()
        self.reply(key)
        assert self.client.next() == (request, None, b"\xc0", (SERVER_LOG, 77))

    def close(self):
        self.channel.close()
        self.listener.close()
