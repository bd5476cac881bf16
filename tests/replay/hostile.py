"""A recording in which every text tries to act on whatever shows it."""

from dataclasses import replace

from rescind.events import (
    Ask,
    By,
    Closed,
    Failed,
    Opened,
    Origin,
    Raised,
    StateChanged,
    Tell,
    Unknown,
)

from .recording import Recording

ALARM = "globalThis.hacked=1"
TEXTS = (
    f"</script><script>{ALARM}</script>",
    f"<img src=x onerror={ALARM}>",
    f"<svg onload={ALARM}><style>*{{display:none}}</style></svg>",
    f"`${{{ALARM}}}`",
    f"javascript:{ALARM}",
    "<!--<script>", "]]>", "&lt;b&gt;", "\u202eabc\u2066", "nul\0esc\x1b[2J\x07",
    "\u2028\u2029", "\ud800 alone", "__proto__", "constructor", f'"; {ALARM} //',
)  # fmt: skip
HOSTILE = " ".join(TEXTS)
HUGE = "<b>\0" * 2_500_000
VALUES = (
    {"__proto__": {"polluted": True}, "constructor": HOSTILE, HOSTILE: HOSTILE},
    [HOSTILE.encode("utf-8", "surrogatepass"), None, float("nan"), -(2**63), {HOSTILE}],
    HUGE,
    [HUGE[: 1 << 20]] * 3,
)


def hostile() -> Recording:
    """Return a recording with a whole cancellation, all its words hostile."""
    r = Recording()
    by = By(HOSTILE, "/srv/" + HOSTILE, 7, HOSTILE)
    r.turn(
        1, Origin.APP, None, Ask(VALUES[0]),
        Opened(1, HOSTILE, HOSTILE, HOSTILE), StateChanged(1, 0, 1), by=by,
    )  # fmt: skip
    r.endpoint, r.next_actor = 1, 2
    outs = [r.call(HOSTILE, by=by) for _ in range(3)]
    cancel = r.cancel(outs, operation="Cancel", by=by)
    r.kill(cancel, outs)
    r.refuse(HOSTILE, cause=r.deliver(outs[:1], running=True))
    for value in (*TEXTS, *VALUES):
        r.turn(1, Origin.APP, None, Tell(value), Failed(HOSTILE), Raised(HOSTILE), by=by)
    r.turn(1, Origin.APP, None, Unknown(HOSTILE, 1, (HOSTILE, "__proto__"), (HOSTILE, HOSTILE, 5)))
    r.turn(1, 77, None, None, *[Raised(HOSTILE)] * 300, Closed(1, HOSTILE))  # type: ignore[arg-type]
    r.turns = [_renamed(turn) for turn in r.turns]
    return r


def _renamed(turn):
    """Have the cancel's own words hostile too."""
    events = tuple(
        event._replace(trigger=HOSTILE, reason=HOSTILE) if hasattr(event, "trigger") else event
        for event in turn.events
    )
    return replace(turn, events=events)
