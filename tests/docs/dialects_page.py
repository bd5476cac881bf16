"""Write docs/reference/dialects.md from the tables of the dialects.

Run `python -m tests.docs.dialects_page` in the project's folder after a change of a table.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rescind.actors.native._protocol as native
import rescind.actors.newton._codes as newton_codes
import rescind.actors.newton._protocol as newton
import rescind.actors.rpc._codes as rpc_codes
import rescind.actors.rpc._machines as rpc_machines
import rescind.actors.rpc._protocol as rpc
import rescind.actors.tapi._codes as tapi_codes
import rescind.actors.tapi._protocol as tapi
import rescind.actors.winsock._codes as winsock_codes
import rescind.actors.winsock._protocol as winsock
from rescind.actors.kernel._rules import Check, first_refusal

from .sources import Row, table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "dialects.md"
HEAD = """\
# The dialects side by side

<!-- Written by `python -m tests.docs.dialects_page` from the tables; do not edit. -->

Four questions, put to every dialect: who may cancel, what the victim hears, what the canceller hears, and what new work meets meanwhile.
Every line is computed from the tables in `actors/*/_protocol.py` that the actors live by; [one kernel, five dialects](../explanation/kernel.md) tells why they differ.
What is called *every* holds in each profile of the dialect.
Sources are sections of the dialect's specification; the native dialect's are those of [its page](../explanation/native.md).

"""  # noqa: E501  # prose: a sentence per line
EVERY = "every"

Heard = tuple[str, int | None, str]
"""A profile, a code, and who hears it."""


@dataclass(frozen=True)
class Dialect:
    """A dialect's tables, and how this page asks them."""

    name: str
    protocol: Any
    code_name: Callable[[int], str | None]
    meaning: Callable[[int], str]
    victims: Callable[[], Iterable[Heard]]
    admission: Callable[[], Iterable[tuple[str, str, int]]]
    """New work's rules in their order: the profile, the rule, the code."""
    canceller: Callable[[], str]
    shown: Callable[[int], str] = str

    def code(self, code: int | None) -> str:
        """Return a code as a reader looks for it."""
        if code is None:
            return str(self.protocol.CANCELLED_WORD)
        return f"`{self.shown(code)}` {self.code_name(code)}"


# --- what the victim hears -----------------------------------------------------------------------


def victims_of(
    protocol: Any, operations: Iterable[str], heard: Callable[[str, Any], int | None]
) -> Iterator[Heard]:
    """Group operations by the code that a cancelled one hears, in each profile."""
    found = {
        name: list(_grouped(list(operations), profile, heard))
        for name, profile in protocol.PROFILES.items()
    }
    alike = len({repr(groups) for groups in found.values()}) == 1
    for name, groups in found.items():
        for code, who in groups:
            yield EVERY if alike else name, code, who
        if alike:
            return


def _grouped(
    operations: Sequence[str], profile: Any, heard: Callable[[str, Any], int | None]
) -> Iterator[tuple[int | None, str]]:
    by_code: dict[int | None, list[str]] = {}
    for operation in operations:
        by_code.setdefault(heard(operation, profile), []).append(operation)
    most = max(by_code.values(), key=len)
    for code, names in sorted(by_code.items(), key=lambda item: len(item[1])):
        others = "every operation" if len(by_code) == 1 else "every other operation"
        yield code, others if names is most else ", ".join(names)


def newton_victims() -> Iterator[Heard]:
    found = list(victims_of(newton, newton.OPERATIONS, newton.cancelled_code))
    for name, profile in newton.PROFILES.items():
        yield from (heard for heard in found if heard[0] == name)
        yield name, profile.synchronous_time_out_code, "a blocked call whose own time ran out"
        undone = ", ".join(newton.SYNCHRONOUS_UNDO)
        yield name, profile.synchronous_undo_code, f"a blocked call that had succeeded: {undone}"


def rpc_victims() -> Iterator[Heard]:
    outstanding = [row.name for row in rpc.OPERATIONS.values() if row.outstanding]
    return victims_of(rpc, outstanding, lambda name, _: rpc.cancelled_code(name))


def tapi_victims() -> Iterator[Heard]:
    outstanding = [row.name for row in tapi.OPERATIONS.values() if row.asynchronous]
    yield from victims_of(tapi, outstanding, lambda name, _: tapi.cancelled_code(name))
    for closing in tapi.Closing:
        survives = [(closing, version_2) in tapi.REPLIES_SURVIVE for version_2 in (False, True)]
        if not all(survives):
            since = " before 2.0" if any(survives) else ""
            yield EVERY, None, f"an application, after its {closing}{since}"


def winsock_victims() -> Iterator[Heard]:
    return victims_of(winsock, winsock.OPERATIONS, lambda name, _: winsock.cancelled_code(name))


# --- what new work meets -------------------------------------------------------------------------


def by_profile(
    protocol: Any, checks: Callable[[Any], Sequence[Check[Any]]]
) -> Iterator[tuple[str, str, int]]:
    found = {name: checks(profile) for name, profile in protocol.PROFILES.items()}
    alike = len(set(found.values())) == 1
    for name, each in found.items():
        for check in each:
            yield EVERY if alike else name, check.id, check.code
        if alike:
            return


def newton_refusals(
    profile: newton.Profile, operations: Iterable[str], *, is_window_open: bool
) -> list[Check[newton.Facts]]:
    """Return what may refuse these operations of an endpoint that exists, in order."""
    found = set()
    for state, is_blocked, operation, is_asynchronous in itertools.product(
        newton.ANY, (False, True), operations, (False, True)
    ):
        facts = newton.Facts(state, is_window_open, is_blocked, operation, is_asynchronous)
        refusal = first_refusal(profile.admission.checks, facts)
        found.add(None if refusal is None else refusal.rule)
    if is_window_open:
        assert None not in found, "a window admits nothing"
    return [check for check in profile.admission.checks if check.id in found]


def meanwhile() -> Iterator[Row]:
    """Yield what new work meets while a cancel is under way."""
    for dialect in DIALECTS:
        if not dialect.protocol.WINDOW_OPERATIONS:
            yield dialect.name, EVERY, "every cancel", "is admitted as ever", ""
            continue
        for name, profile in dialect.protocol.PROFILES.items():
            quiet = not profile.time_out_opens_window
            which = "every cancel but a time-out" if quiet else "every cancel"
            for check in newton_refusals(profile, newton.OPERATIONS, is_window_open=True):
                yield dialect.name, name, which, dialect.code(check.code), f"`{check.id}`"
            if quiet:
                yield dialect.name, name, "a time-out", "is admitted as ever", ""


def at_any_time() -> Iterator[Row]:
    """Yield the rules that new work meets whenever it comes, in their order."""
    for dialect in DIALECTS:
        for profile, rules in itertools.groupby(dialect.admission(), key=lambda rule: rule[0]):
            for place, (_, rule, code) in enumerate(rules, 1):
                said = dialect.code(code), dialect.meaning(code)
                yield dialect.name, profile, place, f"`{rule}`", *said


# --- what the canceller hears --------------------------------------------------------------------


def states(names: Iterable[Any]) -> str:
    return ", ".join(name.name for name in names)


def native_canceller() -> str:
    rows = [(stage, outcome) for stage, outcome in native.CANCELS.items()]
    return table(("the request is", "outcome, which `cancel` returns"), rows)


def newton_canceller() -> str:
    is_last = max(newton.DELIVERY_RANK.values()) <= newton.CANCEL_RANK
    rows: list[Row] = [(EVERY, "its completion", "ok", "the last of all" if is_last else "")]
    for name, profile in newton.PROFILES.items():
        for is_open in (False, True):
            when = "at its call, while another runs" if is_open else "at its call"
            rows += [
                (name, when, DIALECT["newton"].code(check.code), f"`{check.id}`")
                for check in newton_refusals(profile, ["Cancel"], is_window_open=is_open)
            ]
    return table(("profile", "when", "it hears", "rule"), rows)


def rpc_canceller() -> str:
    groups: dict[tuple[str, str, int | None], list[rpc_machines.ClientState]] = {}
    for row in rpc_machines.CLIENT_TRANSITIONS:
        if row.event in rpc.TRIGGERS:
            outcome = "decided by the answer" if row.outcome is None else str(row.outcome)
            key = (rpc.TRIGGERS[row.event], outcome, row.returns)
            groups.setdefault(key, []).append(row.state)
    order = list(rpc.CANCELLERS)
    rows = [
        (trigger, states(at), outcome, "" if code is None else DIALECT["rpc"].code(code))
        for (trigger, outcome, code), at in sorted(
            groups.items(), key=lambda item: (order.index(item[0][0]), item[1])
        )
    ]
    return table(("trigger", "the call is", "outcome", "it returns"), rows)


def tapi_canceller() -> str:
    groups: dict[tuple[str, str], list[tapi.RequestState]] = {}
    for (state, order), outcome in tapi.CANCELS.items():
        said = "decided by the provider" if outcome is None else str(outcome)
        groups.setdefault((order, said), []).append(state)
    orders = [(order, states(at), said) for (order, said), at in groups.items()]
    closes = {
        ("every" if tapi.LINE_CLOSE[key] is row else "tapi2-strict", row)
        for key, row in tapi.LINE_CLOSE_WITHOUT_DROP.items()
    }
    closes |= {("tapi1", row) for key, row in tapi.LINE_CLOSE.items()}
    closes -= {("tapi1", row) for profile, row in closes if profile == EVERY}
    rows = [
        (
            profile,
            ", ".join(row.sends) or "nothing",
            "decided by the provider" if row.outcome is None else row.outcome,
            row.because,
            f"`{row.id}`",
        )
        for profile, row in sorted(closes, key=lambda each: each[1].id)
    ]
    return table(("order", "the operation is", "outcome"), orders) + table(
        ("profile", "a line close sends", "outcome", "because", "rule"), rows
    )


def winsock_canceller() -> str:
    dialect = DIALECT["winsock"]
    rows = [
        (
            state.name,
            row.outcome,
            *(dialect.code(winsock.cancel_code(state, each)) for each in winsock.PROFILES.values()),
            row.because,
            f"`{row.id}`",
        )
        for state, row in winsock.CANCELS.items()
    ]
    refusals = [
        (profile, place, dialect.code(code), f"`{rule}`")
        for place, (profile, rule, code) in enumerate(
            by_profile(winsock, lambda profile: profile.cancel_admission), 1
        )
    ]
    return table(("the lookup is", "outcome", *winsock.PROFILES, "because", "rule"), rows) + table(
        ("profile", "asked", "refused with", "rule"), refusals
    )


RPC_CHECKS: tuple[Check[Any], ...] = (
    *rpc.ADMISSION,
    *rpc.CALL_CHECKS,
    *rpc.SERVE_CHECKS,
    *rpc.ENDING_CHECKS,
)

DIALECTS = (
    Dialect(
        "native", native, native.NAMES.get, native.MEANINGS.__getitem__,
        lambda: [(EVERY, native.CANCELLED_CODE, "every request")],
        lambda: ((EVERY, rule, code) for rule, code in native.REFUSALS.items()),
        native_canceller,
    ),
    Dialect(
        "newton", newton, newton_codes.name, newton_codes.meaning, newton_victims,
        lambda: by_profile(newton, lambda profile: profile.admission.checks), newton_canceller,
    ),
    Dialect(
        "tapi", tapi, tapi_codes.name, tapi_codes.meaning, tapi_victims,
        lambda: by_profile(tapi, lambda _: tapi.ADMISSION), tapi_canceller,
        tapi_codes.as_documented,
    ),
    Dialect(
        "rpc", rpc, rpc_codes.name, rpc_codes.meaning, rpc_victims,
        lambda: by_profile(rpc, lambda _: RPC_CHECKS), rpc_canceller,
    ),
    Dialect(
        "winsock", winsock, winsock_codes.name, winsock_codes.meaning, winsock_victims,
        lambda: by_profile(winsock, lambda profile: profile.admission), winsock_canceller,
    ),
)  # fmt: skip
DIALECT = {dialect.name: dialect for dialect in DIALECTS}


def page() -> str:
    """Return the whole page."""
    cancellers = [
        (dialect.name, f"`{row.trigger}`", row.who, row.ends, row.source)
        for dialect in DIALECTS
        for row in dialect.protocol.CANCELLERS.values()
    ]
    victims = [
        (dialect.name, profile, dialect.code(code), who)
        for dialect in DIALECTS
        for profile, code, who in dialect.victims()
    ]
    parts = [
        HEAD,
        "## Who may cancel\n\n",
        table(("dialect", "trigger", "who", "what it ends", "source"), cancellers),
        "## What the victim hears\n\n",
        table(("dialect", "profile", "hears", "who"), victims),
        "## What the canceller hears\n\n",
        *(f"### {dialect.name}\n\n{dialect.canceller()}" for dialect in DIALECTS),
        "## What new work meets\n\n### While a cancel is under way\n\n",
        table(("dialect", "profile", "under way", "new work", "rule"), meanwhile()),
        "### At any time\n\nIn the order in which the rules are asked.\n\n",
        table(("dialect", "profile", "asked", "rule", "hears", "meaning"), at_any_time()),
    ]
    return "".join(parts).rstrip("\n") + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
