"""Where a writer begins: the last segment that can be opened, and what may be behind it."""

from collections.abc import Callable
from typing import NamedTuple

from ._errors import LogDamagedError, NotALogError
from ._frame import RECORD_BYTES_MIN
from ._index import preamble_copy
from ._mark import decode_mark
from ._recovery import End, find_end
from ._segment import SEGMENT_MAX, Opening, Previous, Window, read_preamble
from ._storage import Storage


class Start(NamedTuple):
    """What an opened log goes on from."""

    log_id: bytes
    segment: int
    epoch: int
    end: End
    previous: Previous | None


def find_start(storage: Storage, entropy: Callable[[int], bytes], *, settle: bool) -> Start:
    """Find what to go on from: the last segment that can be opened, and what may be behind it."""
    segments = storage.segments()
    if segments and segments[-1] >= SEGMENT_MAX:
        message = f"{storage.path}: no segment can follow number {segments[-1]}; "
        raise LogDamagedError(message + "no writer gave that number, so move it away", storage.path)
    closed: list[Window] = []
    sights: list[str] = []
    for segment in reversed(segments):
        if settle:
            storage.settle(segment)
        window = Window(storage, segment)
        opening = read_preamble(window)
        if isinstance(opening, Opening) and opening.preamble.segment == segment:
            return _continue(storage, window, opening, closed)
        closed.append(window)
        sights.append(opening if isinstance(opening, str) else "bad")
    if segments and set(sights) == {"foreign"}:
        message = f"{storage.path}: the segments here are not a log's; name another path"
        raise NotALogError(message, storage.path)
    if "bad" in sights:
        message = f"{storage.path}: no segment says which log this is, so it cannot be continued; "
        raise LogDamagedError(message + "begin a new log beside it", storage.path)
    end = End(0, 0, bytes(32), 1)
    segment = segments[-1] if segments else 0
    return Start(entropy(16), segment + 1, 1, end, None)


def _continue(storage: Storage, window: Window, opening: Opening, closed: list[Window]) -> Start:
    """Go on behind a segment, or behind a later one that is closed but for its index."""
    mark = decode_mark(storage.mark())
    newest = closed[0].segment if closed else window.segment
    for at, later in enumerate(closed):
        copy = preamble_copy(later, opening.preamble.salt)
        if copy is not None and copy.preamble.segment == later.segment:
            window, opening, closed = later, copy, closed[:at]
            break
    end = find_end(window, opening, mark)
    previous = Previous(opening.preamble.segment, end.end, end.last)
    if skipped := sum(map(_may_hold, closed)):
        lost = skipped // RECORD_BYTES_MIN
        end = end._replace(last=end.last + lost, actors_next=end.actors_next + skipped)
    epoch = opening.preamble.epoch + 1 + newest - opening.preamble.segment
    if epoch > SEGMENT_MAX:
        message = f"{window.path}: no epoch can follow {opening.preamble.epoch}: no writer gave it"
        raise LogDamagedError(message, window.path)
    return Start(opening.preamble.log, newest + 1, epoch, end, previous)


def _may_hold(window: Window) -> int:
    """How many bytes of records may stand in a segment that cannot be opened."""
    return 0 if read_preamble(window) in ("short", "foreign") else window.size()
