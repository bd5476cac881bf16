"""A listener in a process of its own, moved and heard over its standard streams in MessagePack.

It says ``[address]``, then every report; it is told ``["reply", ...]`` and ``["close"]``.
"""

import os
import sys

import msgpack  # type: ignore[import-untyped]

from rescind.actors.rpc.drivers import grpc_listener


def say(*what):
    sys.stdout.buffer.write(msgpack.packb(what))
    sys.stdout.buffer.flush()


class Port:
    def called(self, key, call, *, carries=False):  # noqa: ARG002
        say("called", key, call)

    def carry(self):
        pass

    def cancelled(self, key, *, abort, cause):
        say("cancelled", key, abort, cause)

    def disconnected(self, key):
        say("disconnected", key)


def main():
    listener = grpc_listener()
    listener.open(Port())
    say(listener.address)
    for what, *rest in msgpack.Unpacker(os.fdopen(0, "rb", 0), use_list=False):
        if what == "close":
            listener.close()
        else:
            listener.reply(*rest)


if __name__ == "__main__":
    main()
