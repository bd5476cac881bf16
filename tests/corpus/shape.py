"""What a log reads as, in JSON that any program in any language can compare with its own reading.

``README.md`` in this folder says what it looks like.
"""

import json
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

from rescind.events import (
    Cause,
    Damage,
    LogError,
    LogReader,
    Opaque,
    Reference,
    Turn,
    Unknown,
    Withheld,
    read,
)
from rescind.events._msgpack import ExtType, Timestamp


def reading_of(path: Path) -> dict[str, Any]:
    """Read a log, verifying its chain, and say what it reads as."""
    try:
        reader = read(path, verify_chain=True)
        turns = [turn_shape(turn) for turn in reader]
        damage = [damage_shape(place) for place in reader.damage]
        info = reader.info()
    except LogError as error:
        return {"error": type(error).__name__}
    shape = {
        "format": info.format,
        "log": info.log_id.hex(),
        "epochs": list(info.epochs),
        "verdict": info.verdict,
        "head": info.chain.hex(),
        "keyframe": keyframe_shape(reader),
        "damage": damage,
        "turns": turns,
    }
    reader.close()
    return shape


def damage_shape(place: Damage) -> dict[str, Any]:
    shape = asdict(place)
    del shape["text"]
    return shape


def keyframe_shape(reader: LogReader) -> dict[str, Any] | None:
    keyframe = reader.keyframe()
    if keyframe is None:
        return None
    entries = [
        {"as_of": as_of, "actor": entry.actor, "cls": entry.cls, "state": value_shape(entry.state)}
        for as_of, entry in reader.entries(keyframe)
    ]
    return {"number": keyframe.number, "epoch": keyframe.epoch, "entries": entries}


def turn_shape(turn: Turn) -> dict[str, Any]:
    return {
        "number": turn.number,
        "time_ns": turn.time_ns,
        "epoch": turn.epoch,
        "actor": turn.actor,
        "origin": int(turn.origin),
        "cause": cause_shape(turn.cause),
        "message": None if turn.message is None else kind_shape(turn.message),
        "events": [kind_shape(event) for event in turn.events],
        "by": None if turn.by is None else asdict(turn.by),
        "replayable": turn.replayable,
        "withheld": turn.withheld,
    }


def cause_shape(cause: Cause | None) -> dict[str, Any] | None:
    if cause is None:
        return None
    log = None if cause.log is None else cause.log.hex()
    return {"number": cause.number, "request": cause.request, "log": log}


def kind_shape(kind: Any) -> dict[str, Any]:
    if isinstance(kind, Unknown):
        return {
            "kind": kind.name,
            "version": kind.version,
            "names": list(kind.fields),
            "values": [value_shape(value) for value in kind.values],
        }
    fields = zip(kind._fields, map(value_shape, kind), strict=True)
    return {"kind": type(kind).__name__, "fields": dict(fields)}


def value_shape(value: Any) -> Any:
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if isfinite(value) else {"$float": str(value)}
        case str():
            return text_shape(value)
        case dict():
            return map_shape(value)
        case _ if isinstance(value, ExtType):
            return {"$extension": [value.code, value.data.hex()]}
        case list() | tuple():
            return [value_shape(each) for each in value]
        case _:
            return mark_shape(value)


def text_shape(text: str) -> Any:
    """Text, or its bytes where they are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return {"$text": text.encode(errors="surrogateescape").hex()}
    return text


def map_shape(value: dict[Any, Any]) -> dict[str, Any]:
    if all(isinstance(key, str) and not key.startswith("$") for key in value):
        return {key: value_shape(each) for key, each in value.items()}
    return {"$map": [[value_shape(key), value_shape(each)] for key, each in value.items()]}


def mark_shape(value: Any) -> dict[str, Any]:
    match value:
        case bytes():
            return {"$bytes": value.hex()}
        case Opaque():
            return {"$opaque": value.type}
        case Reference():
            return {"$reference": {"log": value.log.hex(), "number": value.number}}
        case Unknown():
            return {"$declared": kind_shape(value)}
        case Withheld(None, None):
            return {"$withheld": None}
        case Withheld(length, bytes(digest)):
            return {"$withheld": {"length": length, "sha256": digest.hex()}}
        case _ if isinstance(value, Timestamp):
            return {"$extension": [-1, value.to_bytes().hex()]}
        case _:
            raise TypeError(f"no shape for {value!r}")


def as_text(shape: dict[str, Any]) -> str:
    """Return the document with one turn, and one damage, in a line."""
    lines: list[str] = []
    for key, value in shape.items():
        if key in ("turns", "damage") and value:
            rows = ",\n  ".join(json.dumps(row) for row in value)
            lines.append(f"{json.dumps(key)}: [\n  {rows}\n ]")
        else:
            lines.append(f"{json.dumps(key)}: {json.dumps(value)}")
    return "{\n " + ",\n ".join(lines) + "\n}\n"
