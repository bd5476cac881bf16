"""Which input specs cannot be armed: the checks of spec/newton.md 3.3, in their order.

Pure.  A slot that is missing was not given, nor one that is None where None is its default; a value
may be of any type, because it is what the caller passed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeGuard

from ._codes import Code
from ._constants import SendFlag
from ._forms import FORMS, Form, FormError, encode, intrinsic_size, is_form

FLAGS = SendFlag.MORE | SendFlag.PACKET
"""All bits of ``rcv_flags`` that have a meaning."""
NOT_ONE_BYTE = -1
"""What stands for a character, given as a byte or a proxy, that is not one byte when encoded."""

_NO_FORM = Form(
    "", None, "none", discards=False, filters=False, partial=False, target="none", arrays=False
)


class InputFacts(NamedTuple):
    """What the checks look at: the slots, their form's row, and the size of the buffer."""

    slots: Mapping[str, Any]
    form: Form
    buffer_bytes: int | None

    def get(self, name: str) -> Any:
        """Return a slot's value, None if it was not given."""
        return self.slots.get(name)

    def has(self, *names: str) -> bool:
        """Tell whether any of these slots was given."""
        return any(self.slots.get(name) is not None for name in names)


@dataclass(frozen=True, slots=True)
class InputRefusal:
    """One row: a spec for which ``refuses`` holds cannot be armed."""

    rule: str
    code: Code
    meaning: str
    refuses: Callable[[InputFacts], bool]


def refuse_slots(slots: Mapping[str, Any], *, has_buffer_bytes: int | None) -> str | None:
    """Return the first rule by which this input spec cannot be armed, or None.

    Args:
        slots: what was given of the spec.  In ``byte_proxy`` the caller has already replaced
            characters by their byte, or by ``NOT_ONE_BYTE`` where that is not one.
        has_buffer_bytes: the size of the buffer to receive into; None without one.
    """
    name = slots.get("form", "string")
    form = FORMS[name] if is_form(name) else _NO_FORM
    facts = InputFacts(slots, form, has_buffer_bytes)
    return next((row.rule for row in INPUT_REFUSALS.values() if row.refuses(facts)), None)


def wire_form(data: Any, slots: Mapping[str, Any], encoding: str) -> bytes:
    """Return the bytes of an Output's data by the slots of its spec.

    Raises:
        FormError: as `encode`.
    """
    if "chunk" in slots:
        return bytes(data)  # of a frame that was encoded as a whole
    return encode(
        data,
        slots.get("form"),
        encoding=encoding,
        offset=slots.get("offset"),
        length=slots.get("length"),
    )


# --- the checks, in their order: each may rely on those before it ---------------------------------


def _has_no_form(facts: InputFacts) -> bool:
    return facts.form is _NO_FORM


def _lacks_buffer(facts: InputFacts) -> bool:
    return facts.form.target == "buffer" and facts.buffer_bytes is None


def _lacks_template(facts: InputFacts) -> bool:
    """Nobody could tell where a template of open length ends: it is refused like none."""
    if facts.form.target != "template":
        return False
    try:
        return intrinsic_size(facts.form.name, facts.get("typelist")) is None
    except FormError:
        return True


def _has_bad_target(facts: InputFacts) -> bool:
    if facts.form.target != "template" and facts.has("typelist"):
        return True
    if facts.form.target != "buffer":
        return facts.buffer_bytes is not None or facts.has("offset")
    return _room(facts) <= 0


def _room(facts: InputFacts) -> int:
    """Return how many bytes of the buffer lie behind the offset; 0 if the offset is none."""
    offset = facts.get("offset") if facts.has("offset") else 0
    if facts.buffer_bytes is None or not _is_int(offset) or offset < 0:
        return 0
    return facts.buffer_bytes - offset


def _has_bad_termination(facts: InputFacts) -> bool:
    takes = facts.form.termination
    if takes == "none":
        return facts.has("byte_count", "end_sequence", "use_eop")
    return (
        (facts.has("byte_count") and not _is_count_that_fits(facts))
        or (takes == "no sequence" and facts.has("end_sequence"))
        or (facts.has("use_eop") and not _may_use_eop(facts))
    )


def _is_count_that_fits(facts: InputFacts) -> bool:
    count = facts.get("byte_count")
    if not _is_positive(count):
        return False
    return facts.form.target != "buffer" or count <= _room(facts)


def _may_use_eop(facts: InputFacts) -> bool:
    flags = facts.get("rcv_flags")
    return (
        isinstance(facts.get("use_eop"), bool) and _is_int(flags) and flags & SendFlag.PACKET != 0
    )


def _has_bad_sequence(facts: InputFacts) -> bool:
    if not facts.has("end_sequence"):
        return False
    sequences = facts.get("end_sequence")
    return not (
        is_array(sequences)
        and len(sequences) > 0
        and all(isinstance(each, bytes) and each for each in sequences)
    )


def _has_bad_limit(facts: InputFacts) -> bool:
    return (
        facts.form.discards
        and "discard_after" in facts.slots
        and not _is_positive(facts.get("discard_after"))
    )


def _has_bad_filter(facts: InputFacts) -> bool:
    if not facts.form.filters:
        return facts.has("byte_proxy") or facts.get("seven_bit") not in (None, False)
    if facts.has("seven_bit") and not isinstance(facts.get("seven_bit"), bool):
        return True
    if not facts.has("byte_proxy"):
        return False
    pairs = facts.get("byte_proxy")
    return not (is_array(pairs) and all(is_array(each) and len(each) == 2 for each in pairs))


def _has_bad_proxy(facts: InputFacts) -> bool:
    pairs = _proxies(facts)
    if not all(_is_byte(byte) and (proxy is None or _is_byte(proxy)) for byte, proxy in pairs):
        return True
    replaced = [byte for byte, _ in pairs if byte != NOT_ONE_BYTE]
    return len(set(replaced)) < len(replaced)


def _has_wide_char(facts: InputFacts) -> bool:
    return any(NOT_ONE_BYTE in pair for pair in _proxies(facts))


def _proxies(facts: InputFacts) -> Sequence[Sequence[Any]]:
    return facts.get("byte_proxy") or ()


def _has_bad_partial(facts: InputFacts) -> bool:
    if not facts.has("partial_frequency_ns"):
        return False
    return not facts.form.partial or not _is_positive(facts.get("partial_frequency_ns"))


def _has_bad_flags(facts: InputFacts) -> bool:
    flags = facts.get("rcv_flags")
    return facts.has("rcv_flags") and not (_is_int(flags) and 0 <= flags <= FLAGS)


def _is_int(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_positive(value: object) -> bool:
    return _is_int(value) and value > 0


def _is_byte(value: object) -> bool:
    """Tell whether this is a byte, or the mark of what should have been one."""
    return _is_int(value) and NOT_ONE_BYTE <= value <= 0xFF


def is_array(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, list | tuple)


INPUT_REFUSALS: dict[str, InputRefusal] = {
    row.rule: row
    for row in (
        InputRefusal(
            "N-54001-form", Code.BAD_FORM,
            "there is no such form", _has_no_form,
        ),
        InputRefusal(
            "N-54010-target", Code.EXPECTED_TARGET,
            "a binary is received into a buffer, and there is none", _lacks_buffer,
        ),
        InputRefusal(
            "N-54011-template", Code.EXPECTED_TEMPLATE,
            "a template needs a typelist that makes sense and has a fixed size", _lacks_template,
        ),
        InputRefusal(
            "N-54008-target", Code.INAPPROPRIATE_TARGET,
            "the target does not go with the form, or leaves no room", _has_bad_target,
        ),
        InputRefusal(
            "N-54007-termination", Code.INAPPROPRIATE_TERMINATION,
            "the termination does not go with the form, the buffer or the flags",
            _has_bad_termination,
        ),
        InputRefusal(
            "N-54005-sequence", Code.INVALID_END_SEQUENCE,
            "end sequences are one or more, and none is empty", _has_bad_sequence,
        ),
        InputRefusal(
            "N-16006-discard", Code.BAD_PARAMETER,
            "discard_after is a positive number of bytes", _has_bad_limit,
        ),
        InputRefusal(
            "N-54009-filter", Code.INAPPROPRIATE_FILTER,
            "the form takes no filter, or the filter is none", _has_bad_filter,
        ),
        InputRefusal(
            "N-54013-proxy", Code.INVALID_PROXY,
            "a byte is replaced once, by a byte or by nothing", _has_bad_proxy,
        ),
        InputRefusal(
            "N-54016-char", Code.CHAR_NOT_SINGLE_BYTE,
            "a filter replaces single bytes, and this character is more", _has_wide_char,
        ),
        InputRefusal(
            "N-54006-partial", Code.INAPPROPRIATE_PARTIAL,
            "the form has no partial input, or the time between two looks is none",
            _has_bad_partial,
        ),
        InputRefusal(
            "N-16006-flags", Code.BAD_PARAMETER,
            "rcv_flags holds bits without a meaning", _has_bad_flags,
        ),
    )
}  # fmt: skip
"""Parameter checks of an input spec in their order, made after admission (sections 3.3 and 7)."""
