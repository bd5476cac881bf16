"""Look a host up while its name is typed: each key cancels the lookup of what stood there before.

Type a name and end it with Enter.  Then ask the log: `rescind sequences type_ahead.log`.
"""

import argparse
import asyncio
import codecs
import contextlib
import os
import socket
import sys
import termios
import threading
import tty
from collections.abc import AsyncIterator, Iterator

from rescind import Runtime, winsock

ENDS = ("\r", "\n", "\x04")  # Enter in two forms, and Ctrl-D
ERASES = ("\x7f", "\b")
CTRL_C = "\x03"
KNOWN = {"a.test": "192.0.2.1", "www.test": "192.0.2.80"}


async def type_ahead(app: winsock.Application) -> None:
    typed, lookup = "", None
    show(typed)
    async with asyncio.TaskGroup() as group:  # waits for the last lookup
        async for key in keys():
            if lookup is not None:
                lookup.cancel()  # and so the lookup: nobody wants to know any more
            if key == CTRL_C:
                break
            typed = typed[:-1] if key in ERASES else typed + key
            lookup = group.create_task(look_up(app, typed)) if typed else None
            show(typed)


async def look_up(app: winsock.Application, name: str) -> None:
    try:
        host = await app.host_by_name(name)
    except winsock.WinsockError as error:
        show(name, winsock.meaning(error.code))
    else:
        show(name, ", ".join(host.addresses))


async def keys() -> AsyncIterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while some := await asyncio.to_thread(os.read, 0, 1):
        key = decoder.decode(some)
        if key in ENDS:
            return
        if key:
            yield key


def show(name: str, found: str = "") -> None:
    if sys.stdout.isatty():
        print(f"\r\x1b[K{name}  {found}", end="", flush=True)
    elif found:
        print(f"{name}  {found}", flush=True)


@contextlib.contextmanager
def key_by_key() -> Iterator[None]:
    """Have a terminal hand over each key as it is pressed; a pipe does so anyway."""
    before = termios.tcgetattr(0) if sys.stdin.isatty() else None
    try:
        if before is not None:
            tty.setraw(0)
        yield
    finally:
        if before is not None:
            termios.tcsetattr(0, termios.TCSADRAIN, before)
        if sys.stdout.isatty():
            print()


class SlowTwin(winsock.TwinResolver):
    """Stands in for a network: knows two names, and takes half a second for each answer."""

    def begin(self, request, operation, question):
        super().begin(request, operation, question)
        threading.Timer(0.5, self.answer, (request, *question)).start()

    def answer(self, request, name):
        if request not in self.pending:
            return  # the lookup was cancelled
        if name in KNOWN:
            addresses = (KNOWN[name],)
            self.complete(winsock.HostEntry(name, (), socket.AF_INET, addresses), request)
        else:
            self.fail(winsock.Code.HOST_NOT_FOUND, request)


async def main() -> None:
    options = argparse.ArgumentParser(description="Looks a host up while its name is typed.")
    options.add_argument("--server", help="a name server, like 127.0.0.1:53; else the system's")
    options.add_argument("--offline", action="store_true", help="no network: www.test and a.test")
    options.add_argument("--log", default="type_ahead.log", help="where the log goes")
    args = options.parse_args()
    servers = [args.server] if args.server else None
    resolver = SlowTwin() if args.offline else winsock.dns(servers=servers)
    async with Runtime.open(args.log) as runtime:
        with winsock.Application(runtime, resolver) as app, key_by_key():
            await type_ahead(app)


if __name__ == "__main__":
    asyncio.run(main())
