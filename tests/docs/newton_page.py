"""Write docs/reference/newton-endpoint.md and its picture from the tables of the Newton dialect.

Run `python -m tests.docs.newton_page` in the project's folder after a change of a table, of a
signature, or of the first line of a docstring.
"""

import dataclasses
import inspect
from collections.abc import Iterable, Iterator
from enum import IntEnum, IntFlag
from pathlib import Path
from string import Template
from typing import Any

from rescind import newton
from rescind.actors.newton import _api, _forms, _protocol, _specs, drivers
from rescind.actors.newton import _codes as codes
from rescind.actors.newton._constants import OP_CODES, SEND_FLAGS, EventCode, OpCode, SendFlag
from rescind.actors.newton._forms import FORM_REFUSALS, FORMS, default_form, encode
from rescind.actors.newton._guide import METHODS, SLOTS
from rescind.actors.newton._parameters import INPUT_REFUSALS
from rescind.actors.newton._protocol import (
    ANY,
    CALL_REFUSALS,
    CANCEL_RANK,
    CANCELLERS,
    DELIVERY_RANK,
    EVENT_NAMES,
    OPERATIONS,
    PROFILES,
    REMOTE_EVENT_STATE,
    STATES,
    SYNCHRONOUS_RANK,
    SYNCHRONOUS_UNDO,
    Channel,
    State,
    cancelled_code,
)
from rescind.actors.newton._streaming import StreamingEndpoint

from .newton_states import PICTURE, TITLE, picture
from .sources import Row, attributes, notes, signature, summary, table

PAGE = PICTURE.with_name("newton-endpoint.md")
OUTLINE = Path(__file__).with_name("newton_outline.md")
"""The page's prose, and where the tables stand in it."""


def code(number: int) -> str:
    """Return a code with the name that a reader looks for."""
    return f"`{int(number)}` {codes.constant(number) or codes.name(number)}"


def name(state: State | None) -> str:
    return "" if state is None else STATES[state]


def states(several: Iterable[int]) -> str:
    found = frozenset(several)
    return "any" if found == ANY else ", ".join(STATES[each] for each in sorted(found))


def yes(fact: object) -> str:
    return "yes" if fact else ""


def literal(value: object) -> str:
    return f"`{value!r}`"


def named(names: Iterable[str]) -> str:
    return ", ".join(f"`{each}`" for each in names)


# --- methods -------------------------------------------------------------------------------------


def methods() -> Iterator[Row]:
    """Yield what the guide has: a row for each method and each function that one gives."""
    given = attributes(_api.Endpoint)
    for row in METHODS.values():
        says = given.get(row.python) or summary(getattr(StreamingEndpoint, row.python))
        python = "Endpoint(...)" if row.python == "__init__" else row.python
        yield row.guide, f"`{python}`", says[0].upper() + says[1:], ", ".join(row.operations)


RUNTIMES_SIDE = {
    "run_completion",
    "run_input",
    "report",
    "stop",
    "begin_chunk",
    "sending",
    "receiving",
    "begin_dispose",
    "disown",
}
"""What the runtime calls and nobody else does."""


def pythons_own() -> Iterator[Row]:
    for member, value in members(_api.Endpoint):
        if member not in METHODS and member not in RUNTIMES_SIDE:
            what = value.fget if isinstance(value, property) else value
            yield f"`{member}`", "attribute" if what is not value else "method", summary(what)


def members(cls: type) -> Iterator[tuple[str, Any]]:
    """Yield what a class itself shows to everybody, in the order of its source."""
    for member, value in vars(cls).items():
        if not member.startswith("_") and (callable(value) or isinstance(value, property)):
            yield member, value


def stubs() -> str:
    """Return the heads of all methods, as Python."""
    lines: list[str] = []
    shown: list[Any]
    for cls, base in ((_api.Endpoint, ""), (StreamingEndpoint, "(Endpoint)")):
        lines.append(f"class {cls.__name__}{base}:")
        shown = [cls.__init__] if "__init__" in vars(cls) else []
        shown += [
            value
            for member, value in members(cls)
            if inspect.isfunction(value) and member not in RUNTIMES_SIDE
        ]
        lines += [signature(each, "    ") for each in dict.fromkeys(shown)]
        lines.append("")
    return fenced("\n".join(lines))


def fenced(text: str) -> str:
    """Return Python that is set closer than the formatter would have it."""
    return f"<!-- fmt: off -->\n```python\n{text.rstrip()}\n```\n<!-- fmt: on -->\n\n"


def operations() -> Iterator[Row]:
    for row in OPERATIONS.values():
        yield (
            row.name, row.channel, states(row.admitted), name(row.pending), name(row.done),
            name(row.failed),
        )  # fmt: skip


# --- specs ---------------------------------------------------------------------------------------


def specs() -> list[type]:
    """Return the classes whose fields are slots, in the order of the guide's frames."""
    public = (each for each in newton.__all__ if dataclasses.is_dataclass(getattr(newton, each)))
    ordered = dict.fromkeys([*(slot.spec for slot in SLOTS.values()), *public])
    return [getattr(newton, each) for each in ordered if each != "Form"]


def own_fields(cls: type) -> Iterator[dataclasses.Field[Any]]:
    inherited = {field.name for base in cls.__mro__[1:] if dataclasses.is_dataclass(base)
                 for field in dataclasses.fields(base)}  # fmt: skip
    for field in dataclasses.fields(cls):
        if field.name not in inherited:
            yield field


def default(field: dataclasses.Field[Any]) -> str:
    if isinstance(field.default, IntEnum | IntFlag):
        return f"`{field.default!r}`".replace("<", "").partition(":")[0] + "`"
    if field.default is not dataclasses.MISSING:
        return literal(field.default)
    if field.default_factory is not dataclasses.MISSING:
        return literal(field.default_factory())
    return "required"


def slots_of(cls: type) -> str:
    said = attributes(cls)
    rows = []
    for field in own_fields(cls):
        slot = SLOTS.get((cls.__name__, field.name))
        every = slot is None or slot.forms == frozenset(FORMS)
        rows.append(
            (
                "" if slot is None else slot.guide,
                f"`{field.name}`",
                default(field),
                said.get(field.name, ""),
                "" if slot is None else slot.read,
                "every"
                if slot is None or every
                else ", ".join(f for f in FORMS if f in slot.forms),
            )
        )
    head = ("guide", "Python", "default", "what it says", "read", "forms")
    return without_blank_columns(head, rows, {"", "every"})


def without_blank_columns(head: Row, rows: list[Any], blank: set[str]) -> str:
    """Return a table without those columns that say nothing in any row."""
    kept = [at for at in range(len(head)) if any(row[at] not in blank for row in rows)]
    return table([head[at] for at in kept], [[row[at] for at in kept] for row in rows])


def scripts() -> Iterator[Row]:
    for module in (_specs, _api):
        for alias, says in notes(module).items():
            if alias.endswith("Function"):
                yield alias.removesuffix("Function"), says


CONSTANTS = ("guide", "Python", "value", "it means")

# --- forms ---------------------------------------------------------------------------------------

SAMPLES: dict[str, Any] = {"`str`": "", "`bytes`-like": b"", "`int`": 0}
ON_THE_WIRE: tuple[tuple[str | None, Any], ...] = (
    ("char", "A"),
    ("number", 258),
    ("string", "Grüße"),
    ("bytes", [72, 105, 256]),
    ("binary", b"\0\xff"),
    ("template", _forms.Template([1, 2, "Hi"], ["long", "short", ["array", "char", 0]])),
    ("template", _forms.Template([True], ["struct", "boolean"])),
    ("frame", {"a": 1}),
    ("char", ["O", "K"]),
    (None, ["n=", 7]),
)


def forms() -> Iterator[Row]:
    for row in FORMS.values():
        types = [kind for kind, data in SAMPLES.items() if default_form(data) == row.name]
        size = "" if row.size is None else row.size
        yield f"`{row.name}`", size, ", ".join(types), yes(row.arrays)


def form_slots() -> Iterator[Row]:
    for row in FORMS.values():
        kept = yes(row.discards), yes(row.filters), yes(row.partial)
        yield f"`{row.name}`", row.termination, *kept, row.target


def on_the_wire() -> Iterator[Row]:
    for form, data in ON_THE_WIRE:
        yield literal(data), "" if form is None else f"`{form}`", f"`{encode(data, form).hex(' ')}`"


def template_types() -> Iterator[Row]:
    for kind, size in _forms._SIZES.items():
        if kind in _forms._INTEGERS:
            _, signed = _forms._INTEGERS[kind]
            what = "signed integer" if signed else "unsigned integer"
        else:
            what = "text" if kind in _forms._TEXTS else "`bool`"
        yield f"`{kind}`", size, what


# --- states, admission, cancels ------------------------------------------------------------------


def states_table() -> Iterator[Row]:
    everywhere = [row.name for row in OPERATIONS.values() if row.admitted == ANY]
    for state in State:
        admits = [row.name for row in OPERATIONS.values() if state in row.admitted]
        rest = ", ".join(each for each in admits if each not in everywhere)
        yield int(state), STATES[state], f"`State.{state.name}`", rest


def admission() -> Iterator[Row]:
    checks = {check.id: check for row in PROFILES.values() for check in row.admission.checks}
    for rule, check in checks.items():
        places = [
            next((at for at, each in enumerate(row.admission.checks, 1) if each.id == rule), "")
            for row in PROFILES.values()
        ]
        yield f"`{rule}`", *places, code(check.code), codes.meaning(check.code), check.source


def call_refusals() -> Iterator[Row]:
    for rule, (number, meaning) in CALL_REFUSALS.items():
        yield f"`{rule}`", code(number), meaning


def data_refusals() -> Iterator[Row]:
    for rule, number in FORM_REFUSALS.items():
        yield f"`{rule}`", code(number), codes.meaning(number)


def spec_refusals() -> Iterator[Row]:
    for place, row in enumerate(INPUT_REFUSALS.values(), 1):
        yield place, f"`{row.rule}`", code(row.code), row.meaning


def cancellers() -> Iterator[Row]:
    for row in CANCELLERS.values():
        yield f"`{row.trigger}`", row.who, row.ends, row.source


def victims() -> Iterator[Row]:
    """Yield what a victim hears, operations that hear the same together."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for operation, lane in ((row.name, row.channel) for row in OPERATIONS.values()):
        if lane is Channel.KILL:
            continue
        heard = tuple(code(cancelled_code(operation, row)) for row in PROFILES.values())
        groups.setdefault(heard, []).append(operation)
    for heard, who in groups.items():
        yield ", ".join(who), *heard
    released = (code(cancelled_code("Input", row, "Release")) for row in PROFILES.values())
    yield "Input, of an orderly release", *released


def deliveries() -> Iterator[Row]:
    groups: dict[int, list[str]] = {}
    for operation, rank in DELIVERY_RANK.items():
        if rank != CANCEL_RANK:
            groups.setdefault(rank, []).append(operation)
    for rank in sorted(groups):
        yield rank + 1, f"{', '.join(groups[rank])}, as submitted"
    yield CANCEL_RANK + 1, "the cancel itself, or the request whose time-out it was"
    yield SYNCHRONOUS_RANK + 1, "a call that blocked"


def profiles() -> Iterator[Row]:
    said = notes(_protocol.Profile)
    for field in dataclasses.fields(_protocol.Profile):
        values = [getattr(row, field.name) for row in PROFILES.values()]
        if field.name in {"name", "admission"}:
            continue
        shown = [
            {True: "yes", False: "no"}[value] if isinstance(value, bool) else code(value)
            for value in values
        ]
        yield said[field.name], *shown


# --- events, options, tools, codes ---------------------------------------------------------------


def events() -> Iterator[Row]:
    for event, what in EVENT_NAMES.items():
        moves = {at: to for (number, at), to in REMOTE_EVENT_STATE.items() if number == event}
        left = states(at for at, to in moves.items() if at != to)
        yield event, f"`EventCode.{EventCode(event).name}`", what, left, states(moves.values())


def constants(members_of: Any, documented: dict[int, str]) -> Iterator[Row]:
    said = notes(members_of)
    cls = members_of.__name__
    for number, constant in documented.items():
        member = members_of(number).name or ""
        yield constant, f"`{cls}.{member}`", int(number), said.get(member, "")


MADE = {
    "tcp": drivers.tcp("127.0.0.1", 4000),
    "tcp_listener": drivers.tcp_listener("127.0.0.1"),
    "unix": drivers.unix("socket"),
    "unix_listener": drivers.unix_listener("socket"),
    "serial": drivers.serial("line"),
    "child": drivers.child(["program"]),
}
"""One of each tool that has an outside; nothing happens before an endpoint opens it."""


def tools() -> Iterator[Row]:
    for made in (*MADE, "twin"):
        yield f"`{made}`", summary(getattr(drivers, made))


def tool_stubs() -> str:
    heads = [signature(getattr(drivers, made)) for made in (*MADE, "twin")]
    twin = signature(drivers.TwinTool.__init__, "    ")
    return fenced("\n".join([*heads, "", "class TwinTool:", twin]))


def options() -> Iterator[Row]:
    """Yield the tools' options, tools that have the same one together."""
    groups: dict[tuple[str, str, str, str], list[str]] = {}
    for made, tool in MADE.items():
        for label, setting in tool._medium.settings.items():
            initial = "" if setting.write is None else literal(setting.default)
            row = (f"`{label}`", yes(setting.read), yes(setting.write), initial)
            groups.setdefault(row, []).append(made)
    for (label, *facts), who in groups.items():
        yield label, named(who), *facts


GROUPS = {
    16: "Of the communications tool",
    36: "Of the transport",
    54: "Of the endpoint's scripts and options",
}


def code_tables() -> Iterator[str]:
    groups: dict[str, list[Row]] = {}
    for number in codes.Code:
        group = GROUPS.get(-number // 1000, "Others that surface")
        groups.setdefault(group, []).append(
            (
                f"`{int(number)}`",
                codes.constant(number) or "",
                f"`Code.{number.name}`",
                codes.meaning(number),
            )
        )
    for group, rows in groups.items():
        head = ("code", "constant", "Python", "it means")
        yield f"### {group}\n\n" + table(head, rows)


def tables() -> dict[str, str]:
    """Return what stands where in the outline."""
    return {
        "methods": table(("guide", "Python", "what it does", "asks for"), methods()),
        "pythons_own": table(("Python", "is", "what it does"), pythons_own()),
        "operations": table(
            ("operation", "channel", "admitted in", "meanwhile", "done", "failed or cancelled"),
            operations(),
        ),
        "stubs": stubs(),
        "specs": "".join(
            f"### {cls.__name__}\n\n{summary(cls)}.\n\n{slots_of(cls)}" for cls in specs()
        ),
        "scripts": table(("script", "what it is"), scripts()),
        "flags": table(CONSTANTS, constants(SendFlag, SEND_FLAGS)),
        "forms": table(("form", "bytes", "default for", "arrays"), forms()),
        "form_slots": table(
            ("form", "termination", "discard_after", "filter", "partial input", "target"),
            form_slots(),
        ),
        "on_the_wire": table(("data", "form", "bytes"), on_the_wire()),
        "template_types": table(("type", "bytes", "holds"), template_types()),
        "title": TITLE,
        "picture": PICTURE.name,
        "states": table(
            ("number", "state", "Python", "admits, besides Option and Cancel"), states_table()
        ),
        "admission": table(("rule", *PROFILES, "raises", "it means", "source"), admission()),
        "call_refusals": table(("rule", "raises", "it means"), call_refusals()),
        "data_refusals": table(("rule", "code", "it means"), data_refusals()),
        "spec_refusals": table(("asked", "rule", "raises", "it means"), spec_refusals()),
        "cancellers": table(("trigger", "who", "what it ends", "source"), cancellers()),
        "victims": table(("operation", *PROFILES), victims()),
        "deliveries": table(("place", "hears of its end"), deliveries()),
        "undone": ", ".join(f"{done} by {undo}" for done, undo in SYNCHRONOUS_UNDO.items()),
        "profiles": table(("question", *PROFILES), profiles()),
        "events": table(("code", "Python", "event", "moves the state from", "to"), events()),
        "op_codes": table(CONSTANTS, constants(OpCode, OP_CODES)),
        "options": table(("label", "tools", "can be read", "can be set", "default"), options()),
        "tools": table(("tool", "what it is"), tools()),
        "tool_stubs": tool_stubs(),
        "cancelled": ", ".join(code(each) for each in codes.Code if codes.is_cancelled(each)),
        "codes": "".join(code_tables()),
    }


def page() -> str:
    """Return the whole page."""
    outline = Template(OUTLINE.read_text(encoding="utf-8"))
    return outline.substitute({name: text.rstrip("\n") for name, text in tables().items()})


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    PICTURE.write_text(picture(), encoding="utf-8")
