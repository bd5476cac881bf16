"""A log's storage over a replicated stream: what the interface asks for, and nothing more.

``Stream`` stands for what brokers offer: messages in order, an append that names the number it
expects to get, reading from a number, and waiting for one.  Nothing is ever written over.
"""

import errno
import os
from bisect import bisect_right
from threading import Condition

import msgpack  # type: ignore[import-untyped]

from rescind.events import LogLockedError

WAIT_S_MAX = 0.05


class LostRaceError(Exception):
    """Another message has the number that this one expected to get."""


class Stream:
    """Messages, numbered from 1; many may hold it, each in a thread of its own."""

    def __init__(self):
        self._messages: list[bytes] = []
        self._grown = Condition()

    def append(self, message, *, expected):
        with self._grown:
            if expected != len(self._messages) + 1:
                raise LostRaceError
            self._messages.append(message)
            self._grown.notify_all()

    def read(self, number, count=None):
        end = None if count is None else number - 1 + count
        return self._messages[number - 1 : end]

    def wait(self, number, timeout_s):
        with self._grown:
            return self._grown.wait_for(lambda: len(self._messages) >= number, timeout_s)


class StreamStorage:
    """Segments, mark and lock as messages of one stream.

    Every holder folds the messages into an index of its own.  A writer's first message is a fence:
    whoever wrote before expects the wrong number from then on, or reads that it was replaced.
    There is no flock, and the stream cannot tell whether a writer that did not say goodbye is
    still alive; who opens a log with ``take_over`` has decided that it is not.
    """

    def __init__(self, stream, *, take_over=False, message_bytes_max=1 << 20):
        self.path = None
        self._stream = stream
        self._take_over = take_over
        self._message_bytes_max = message_bytes_max
        self._next = 1
        self._fence = self._my_fence = 0
        self._holder: int | None = None
        self._pieces: dict[int, list[tuple[int, int, int]]] = {}
        self._latest = 0
        self._mark = b""

    # --- the interface -------------------------------------------------------------------------

    def segments(self):
        self._catch_up()
        return sorted(self._pieces)

    def size(self, segment):
        offset, length, _ = self._find(segment)[-1]
        return offset + length

    def read(self, segment, offset, length):
        pieces, end = self._find(segment), offset + length
        index = bisect_right(pieces, offset, key=lambda piece: piece[0]) - 1
        found, start = [], pieces[index][0]
        for piece_offset, _, number in pieces[index:]:
            if piece_offset >= end:
                break
            found.append(msgpack.unpackb(self._stream.read(number, 1)[0])[-1])
        return b"".join(found)[offset - start : end - start]

    def lock(self):
        self._catch_up()
        mine = self._my_fence and self._my_fence == self._fence
        if self._holder is not None and (mine or not self._take_over):
            raise LogLockedError("the stream", self._holder)
        number = self._next
        try:
            self._stream.append(msgpack.packb(("lock", os.getpid())), expected=number)
        except LostRaceError:
            self._catch_up()
            raise LogLockedError("the stream", self._holder) from None
        self._my_fence = number
        self._catch_up()

    def create(self, segment, data, *, sync):  # noqa: ARG002 - what the stream took is durable
        self._catch_up()
        if segment in self._pieces:
            raise FileExistsError(errno.EEXIST, "segment exists", str(segment))
        self._put("create", segment, data)

    def append(self, segment, offset, data):
        if self.size(segment) != offset:
            raise OSError(errno.ESTALE, "segment is not as long as its writer believes")
        if segment != self._latest:
            raise OSError(errno.EBADF, "segment is not open for writing", str(segment))
        for start in range(0, len(data), self._message_bytes_max):
            self._put("append", segment, data[start : start + self._message_bytes_max])

    def sync(self, segment):
        self._find(segment)

    def settle(self, segment):
        self._find(segment)

    def remove(self, segment):
        self._catch_up()
        if segment in self._pieces:
            self._put("remove", segment)

    def set_mark(self, mark, *, sync):  # noqa: ARG002
        self._put("mark", mark)

    def mark(self):
        self._catch_up()
        return self._mark

    def wait(self, timeout_s):
        return self._stream.wait(self._next, max(0.0, min(timeout_s, WAIT_S_MAX)))

    def close(self):
        self._catch_up()
        if self._my_fence and self._my_fence == self._fence:
            self._put("free")
        self._my_fence = 0

    # --- messages ------------------------------------------------------------------------------

    def _put(self, *message):
        """Append as the writer: exactly behind all that this writer knows of."""
        if self._my_fence != self._fence or not self._my_fence:
            raise OSError(errno.ESTALE, "another writer has taken the stream over")
        try:
            self._stream.append(msgpack.packb(message), expected=self._next)
        except LostRaceError:
            raise OSError(errno.ESTALE, "another writer has taken the stream over") from None
        self._catch_up()

    def _catch_up(self):
        for packed in self._stream.read(self._next):
            self._fold(*msgpack.unpackb(packed))
            self._next += 1

    def _fold(self, sort, *fields):
        match sort, fields:
            case "lock", (pid,):
                self._fence, self._holder = self._next, pid
            case "free", ():
                self._holder = None
            case "create", (segment, data):
                self._pieces[segment] = [(0, len(data), self._next)]
                self._latest = segment
            case "append", (segment, data):
                offset, length, _ = self._pieces[segment][-1]
                self._pieces[segment].append((offset + length, len(data), self._next))
            case "remove", (segment,):
                del self._pieces[segment]
            case "mark", (mark,):
                self._mark = mark
            case _:
                raise ValueError(sort)

    def _find(self, segment):
        self._catch_up()
        try:
            return self._pieces[segment]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, "No such segment", str(segment)) from None
