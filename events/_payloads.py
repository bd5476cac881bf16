"""Payload policies: values that a log is told not to keep.

A policy names kinds and says for each ``full`` (the default), ``digest`` (the length and SHA-256 of
the value's MessagePack encoding) or ``none``.  It is applied while a record is packed, so that a
withheld value never reaches a buffer that is written.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from operator import is_
from typing import Any, NamedTuple

from ._errors import UsageError
from ._msgpack import CANNOT_PACK, Pack, packer
from ._packing import (
    MARK_WITHHELD,
    RECORD_ELEMENTS,
    Record,
    pack_value,
    pack_with_opaques,
    substitute,
    withheld,
)
from ._turn import Withheld
from ._vocabulary import (
    KINDS,
    Answer,
    Ask,
    Asked,
    Completed,
    Fail,
    Failed,
    Notified,
    Proxy,
    Raised,
    Received,
    Replied,
    Resume,
    Returned,
    ScriptRaised,
    Start,
    Stopped,
    Submit,
    Tell,
    ToolEvent,
)

POLICIES = ("full", "digest", "none")

PAYLOADS: dict[type[tuple[Any, ...]], tuple[str, ...]] = {
    Start: ("args", "kwargs"),
    Tell: ("value",),
    Ask: ("value",),
    Proxy: ("args", "kwargs"),
    Resume: ("value", "error"),
    Submit: ("arguments",),
    Returned: ("error",),
    Answer: ("value",),
    Received: ("data", "options"),
    ToolEvent: ("data",),
    Stopped: ("error",),
    Failed: ("error",),
    Replied: ("value",),
    Raised: ("error",),
    Notified: ("value",),
    Completed: ("value",),
    ScriptRaised: ("error",),
    Asked: ("arguments",),
    Fail: ("error",),
}
"""Which fields of a kind are payload: what applications and peers hand over, and no more.

Not payload is what the ledger, the laws or a re-execution reckon with: numbers, codes, states,
names of operations, which end ``Received.terminator`` names, whom ``Watch.watcher`` names.  Not
payload is what is said only to stand in the log: reasons, labels, rules, a violation's text.  An
exception's text is payload, because it likes to quote the value that caused it.
"""

_SEVERAL = frozenset({"args", "kwargs", "arguments"})
"""Fields that hold values of their own: each is withheld by itself, so that their number stays."""


class _Rule(NamedTuple):
    """What is done with one kind: which places of its wire form, by index, and how."""

    one: tuple[int, ...]
    several: tuple[int, ...]
    withhold: Callable[[Any], Any]


def digest_of(value: Any) -> Withheld:
    """What a log reads as in the place of ``value`` under the policy ``digest``.

    >>> digest_of("hi").length
    3
    """
    return _digest(packer(substitute), value)


def withholding(packing: Pack, policy: Mapping[str, str], kind_ids: Mapping[type, int]) -> Pack:
    """A function that packs records as ``policy`` says; ``packing`` itself when it says nothing.

    Other than ``packing``, what it returns never fails for a value: to pack the record again
    elsewhere would bring back what was withheld.

    Args:
        packing: Packs one object; asked for the encodings of withheld values too.
        policy: Kind name to policy.
        kind_ids: The wire's numbers for kinds.

    Raises:
        UsageError: There is no such kind or policy, or the kind carries no payload.
    """
    rules = _rules(packing, policy, kind_ids)
    if not rules:
        return packing

    def pack_rest(record: Record) -> bytes:
        # Most records hold nothing of these kinds, and are not to pay for those that do.
        message = record[4]
        has_payload = message is not None and message[0] in rules
        for event in record[5]:
            has_payload = has_payload or event[0] in rules
        if has_payload:
            record = _withheld_from(record, rules)
        try:
            return packing(record)
        except CANNOT_PACK:
            return pack_with_opaques(packing, record)

    return pack_rest


def _rules(
    packing: Pack, policy: Mapping[str, str], kind_ids: Mapping[type, int]
) -> dict[int, _Rule]:
    kinds: dict[str, Any] = {kind.__name__: kind for kind in PAYLOADS}
    rules: dict[int, _Rule] = {}
    for name, how in policy.items():
        _check(name, how, kinds)
        if how != "full":
            kind = kinds[name]
            rules[kind_ids[kind]] = _rule(kind, PAYLOADS[kind], _withhold_by(packing, how))
    return rules


def _check(name: str, how: str, kinds: Mapping[str, Any]) -> None:
    if name not in kinds:
        known = {kind.__name__ for kind in KINDS}
        what = "carries no payload" if name in known else "is no kind of message or event"
        message = f"payloads: {name!r} {what}; these kinds carry one: {', '.join(sorted(kinds))}"
        raise UsageError(message)
    if how not in POLICIES:
        message = f"payloads: {name!r} is kept as {', '.join(POLICIES)}, not as {how!r}"
        raise UsageError(message)


def _rule(kind: Any, fields: tuple[str, ...], withhold: Callable[[Any], Any]) -> _Rule:
    # The wire form begins with the kind's number.
    places = {name: kind._fields.index(name) + 1 for name in fields}
    return _Rule(
        tuple(place for name, place in places.items() if name not in _SEVERAL),
        tuple(place for name, place in places.items() if name in _SEVERAL),
        withhold,
    )


def _withhold_by(packing: Pack, how: str) -> Callable[[Any], Any]:
    nothing = withheld(Withheld(None, None))

    def withhold(value: Any) -> Any:
        # That there is no value is a fact of the ledger and none of its payload.
        if value is None:
            return None
        return nothing if how == "none" else withheld(_digest(packing, value))

    return withhold


def _digest(packing: Pack, value: Any) -> Withheld:
    data = pack_value(packing, value)
    return Withheld(len(data), sha256(data).digest())


def _withheld_from(record: Record, rules: Mapping[int, _Rule]) -> Record:
    """The record without its payload, and marked; the record itself when it held none."""
    message, events = record[4], record[5]
    taken = None if message is None else _withheld_in(message, rules)
    decided = [_withheld_in(event, rules) for event in events]
    if taken is message and _are_same(decided, events):
        return record
    marks = record[RECORD_ELEMENTS] if len(record) > RECORD_ELEMENTS else 0
    rest = record[RECORD_ELEMENTS + 1 :]
    return (*record[:4], taken, decided, record[6], marks | MARK_WITHHELD, *rest)


def _withheld_in(wire: Any, rules: Mapping[int, _Rule]) -> Any:
    """The message or event without its payload; the same object when it holds none."""
    rule = rules.get(wire[0])
    if rule is None:
        return wire
    kept = list(wire)
    for place in rule.one:
        kept[place] = rule.withhold(kept[place])
    for place in rule.several:
        kept[place] = _each(kept[place], rule.withhold)
    return wire if _are_same(kept, wire) else kept


def _each(values: Any, withhold: Callable[[Any], Any]) -> Any:
    """The values withheld one by one; the same object when there is none."""
    if values.__class__ is dict:
        named: dict[Any, Any] = values
        kept = {name: withhold(value) for name, value in named.items()}
        return values if _are_same(kept.values(), named.values()) else kept
    if values.__class__ not in (list, tuple):
        return withhold(values)
    listed: Sequence[Any] = values
    new = [withhold(value) for value in listed]
    return values if _are_same(new, listed) else new


def _are_same(new: Iterable[Any], old: Iterable[Any]) -> bool:
    return all(map(is_, new, old))
