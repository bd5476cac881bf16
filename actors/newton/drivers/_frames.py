"""Frames that go out in several Outputs: nothing else may come between their chunks."""

from collections.abc import Sequence


class FrameUnderWay:
    """Follows the frame that a connection sends in chunks; a chunk is ``[offset, total]``.

    Until the last chunk the peer takes whatever comes for the frame's rest.  So no other Output is
    let in, not even when nobody means to send the rest any more.
    """

    def __init__(self) -> None:
        """Begin with no frame."""
        self._next: list[int] | None = None

    def reset(self) -> None:
        """Forget it: a new connection, or a frame of which nothing was sent."""
        self._next = None

    def lets_in(self, chunk: Sequence[int] | None, length: int) -> bool:
        """Tell whether an Output may be sent next; if it is a chunk, the frame is under way."""
        if chunk is None:
            return self._next is None
        if list(chunk) != (self._next or [0, chunk[1]]):
            return False
        end = chunk[0] + length
        self._next = [end, chunk[1]] if end < chunk[1] else None
        return True

    def __str__(self) -> str:
        """Say how far it is."""
        sent, total = self._next or (0, 0)
        return f"a frame is under way, {sent:,} of {total:,} bytes of it"
