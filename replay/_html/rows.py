"""A log's turns as a page holds them: one JSON array each, names and places pooled.

Every text is cut and made plain here, so nothing that stands in a page acts on anything.
"""

import json
from collections import deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from rescind.events import Turn
from rescind.events._mentions import Mentions
from rescind.replay._ledger.model import Ledger
from rescind.replay._ledger.numbers import NumberSet
from rescind.replay._words.describe import event_text, message_text, said
from rescind.replay._words.text import Clock, clip, place, value_text
from rescind.replay._words.turns import fields_of, kind_name, mentions_of, origin_text

from .own import Changes
from .standings import OVER, Standing, owner_letter, standings_after

EVENTS_MAX = 40
"""Events of one turn that a page holds; further ones are counted."""
VALUE_MAX = 160
PHRASE_MAX = 200
CODES_MAX = 8
"""Codes of one turn that it is found by."""
RANGES_MAX = 200
"""Ranges of numbers of one turn that it is found by."""


class Pool:
    """Gives equal things one number, in the order in which they are met."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._numbers: dict[Hashable, int] = {}

    def number(self, thing: Hashable) -> int:
        """Return a thing's number."""
        return self._numbers.setdefault(thing, len(self._numbers))

    def things(self) -> list[Any]:
        """Return all that it was given, by number."""
        return list(self._numbers)


class _Taken(NamedTuple):
    number: int
    actor: int


class Rows:
    """The newest turns that were taken, of at most so many characters, and how all stood before.

    Attributes:
        first: The first turn that is still held; 0 when there is none.
        last: The last one.
        dropped: How many turns were given up for want of room.
    """

    def __init__(self, ledger: Ledger, chars_max: int) -> None:
        """Begin with nothing; whoever feeds it has had the ledger take each turn before."""
        self.first = self.last = self.dropped = 0
        self._ledger = ledger
        self._room = chars_max
        self._rows: deque[tuple[_Taken, str, list[Standing], Changes]] = deque()
        self._before: dict[tuple[str, int], Standing] = {}
        self._clock: Clock | None = None
        self._kinds, self._origins, self._callers, self._logs = Pool(), Pool(), Pool(), Pool()
        self._codes: dict[int, str] = {}
        self._things: dict[tuple[str, int], int] = {}
        self._own: dict[int, dict[str, str]] = {}

    def __len__(self) -> int:
        """Return how many turns are held."""
        return len(self._rows)

    def begin(self, before: Iterable[Standing], own: Mapping[int, Mapping[str, str]]) -> None:
        """Note how all stood before the first turn, and what the application's actors held."""
        self._note(before)
        self._own = {number: dict(fields) for number, fields in own.items()}

    def take(self, turn: Turn, own: Changes) -> None:
        """Hold a turn, with what its own actor changed in itself.

        The oldest ones are given up where the room is used up.
        """
        changes = standings_after(turn, self._ledger)
        changed = list({(one.letter, one.number): one for one in changes}.values())
        row = encode([*self._row(turn, changed), own])
        self._rows.append((_Taken(turn.number, turn.actor), row, changed, own))
        self._room -= len(row)
        while self._room < 0 and len(self._rows) > 1:
            taken, oldest, dropped, own = self._rows.popleft()
            self._room += len(oldest)
            self.dropped += 1
            self._note(dropped)
            self._note_own(taken.actor, own)
        self.first, self.last = self._rows[0][0].number, turn.number

    def _note_own(self, actor: int, changes: Changes) -> None:
        if changes:
            fields = self._own.setdefault(actor, {})
            for name, text in changes:
                fields.pop(name, None)
                if text is not None:
                    fields[name] = text

    def _note(self, standings: Iterable[Standing]) -> None:
        for standing in standings:
            key = (standing.letter, standing.number)
            if standing.phase == OVER:
                self._before.pop(key, None)
            else:
                self._before[key] = standing

    def rows(self) -> Sequence[str]:
        """Return the turns, each as JSON."""
        return [row for _, row, _, _ in self._rows]

    def pools(self) -> dict[str, Any]:
        """Return what the rows name by number, and how all stood before them."""
        own = [[self._things_index(n), list(f.items())] for n, f in sorted(self._own.items())]
        initial = [[self._thing(s), s.phase, s.text] for s in self._before.values()]
        return {
            "is_virtual": self._clock is not None and self._clock.is_virtual,
            "kinds": [[name, list(fields)] for name, fields in self._kinds.things()],
            "origins": self._origins.things(),
            "callers": self._callers.things(),
            "logs": self._logs.things(),
            "codes": sorted(self._codes.items()),
            "things": [self._named(letter, number) for letter, number in self._things],
            "initial": initial,
            "own": own,
        }

    # --- one turn --------------------------------------------------------------------------------

    def _row(self, turn: Turn, changed: Sequence[Standing]) -> list[Any]:
        clock = self._clock = self._clock or Clock(turn.time_ns)
        cause = turn.cause
        foreign = -1 if cause is None or cause.log is None else self._logs.number(cause.log.hex())
        found = mentions_of(turn)
        return [
            turn.number,
            turn.time_ns - clock.begin_ns,
            clock.moment(turn.time_ns),
            self._things_index(turn.actor),
            self._origins.number(origin_text(turn.origin)),
            cause.number if cause else 0,
            cause.request if cause else 0,
            foreign,
            self._caller(turn),
            None if turn.message is None else self._kind(turn.message, message_text),
            [self._kind(event, event_text) for event in turn.events[:EVENTS_MAX]],
            max(0, len(turn.events) - EVENTS_MAX),
            [[self._thing(s), s.phase, s.text] for s in changed],
            _ranges(found),
            self._codes_of(found, turn),
        ]

    def _caller(self, turn: Turn) -> int:
        by = turn.by
        if by is None:
            return -1
        full = f"{by.file}:{by.line}"
        return self._callers.number((clip(by.who, 80), place(by), clip(full, 400)))

    def _kind(self, kind: Any, phrase: Any) -> list[Any]:
        names, values = fields_of(kind)
        fields = tuple(clip(str(name), 40) for name in names)
        number = self._kinds.number((clip(kind_name(kind), 60), fields))
        text = clip(phrase(kind, self._ledger), PHRASE_MAX)
        return [number, text, *(value_text(value, VALUE_MAX) for value in values)]

    def _codes_of(self, found: Mentions, turn: Turn) -> list[int]:
        codes = sorted(found.codes)[:CODES_MAX]
        for code in codes:
            if code not in self._codes:
                self._codes[code] = clip(said(code, self._ledger, turn.actor), 60)
        return codes

    # --- who is who ------------------------------------------------------------------------------

    def _thing(self, standing: Standing) -> int:
        return self._things.setdefault((standing.letter, standing.number), len(self._things))

    def _things_index(self, actor: int) -> int:
        ledger = self._ledger
        letter = "r" if actor in ledger.requests else owner_letter(actor, ledger)
        return self._things.setdefault((letter, actor), len(self._things))

    def _named(self, letter: str, number: int) -> list[Any]:
        ledger = self._ledger
        cancel = ledger.cancels.get(number) if letter == "c" else None
        if cancel is None:
            return [letter, number, clip(ledger.label(number), 60), ledger.owner_of(number)]
        return [letter, number, clip(f"c{number} {cancel.trigger}", 60), cancel.endpoint]


def _ranges(found: Mentions) -> list[int]:
    """Return the numbers that a turn mentions as sorted pairs, first and last."""
    joined = NumberSet()
    for first, last in sorted({*found.spans, *((number, number) for number in found.numbers)}):
        joined.add(first, last)
    return [number for pair in joined.ranges[:RANGES_MAX] for number in pair]


def fit(value: Any, width: int = 300) -> Any:
    """Return a JSON document in which every text, also of a key, is plain and of bounded length."""
    match value:
        case str():
            return clip(value, width)
        case dict():
            named = cast("Mapping[Any, Any]", value)
            return {clip(str(key), width): fit(item, width) for key, item in named.items()}
        case list() | tuple():
            return [fit(item, width) for item in cast("Sequence[Any]", value)]
        case _:
            return value


def encode(document: Any) -> str:
    """Return JSON that may stand in a script element: ASCII, and nothing in it is markup."""
    text = json.dumps(document, ensure_ascii=True, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
