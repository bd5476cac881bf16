"""Where one piece of input ends: the termination rules of spec/newton.md 3.3, over bytes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Piece:
    """A complete piece: how many bytes it takes from the buffer, and what ended it."""

    length: int
    condition: str


def find_piece(
    buffer: bytes | bytearray, byte_count: int | None, end_sequence: bytes | None
) -> Piece | None:
    """Return the first complete piece; byteCount goes before endSequence.

    Without either nothing ever completes a piece by itself.
    """
    if byte_count is not None and len(buffer) >= byte_count:
        return Piece(byte_count, "byteCount")
    if end_sequence is not None:
        at = buffer.find(end_sequence)
        if at >= 0:
            return Piece(at + len(end_sequence), "endSequence")
    return None


def discard_oldest(buffer: bytearray, limit: int) -> None:
    """Keep at most ``limit`` bytes, the newest (discardAfter)."""
    if len(buffer) > limit:
        del buffer[: len(buffer) - limit]
