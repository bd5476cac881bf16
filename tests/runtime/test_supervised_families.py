"""Families that fail, restart and stop as it comes: every ask ends, every law holds."""

import contextlib
import random

import pykka
import pytest

from rescind import Stepped

from .family import Account, Break, Parent


@pytest.mark.parametrize("seed", range(40))
def test_whatever_the_schedule_every_ask_ends_and_it_is_executed_again(recordings, seed):
    chance, dispatcher = random.Random(seed), Stepped(seed, shuffle=True)
    runtime = recordings.open(dispatcher)
    _disturb(runtime, chance, lambda: dispatcher.advance(chance.choice([0, 0.5, 3])))


@pytest.mark.parametrize("dispatcher", ["thread", "pinned", "asyncio"])
@pytest.mark.parametrize("seed", range(5))
def test_whatever_the_threads_do_every_ask_ends(recordings, dispatcher, seed):
    runtime = recordings.open(dispatcher)
    _disturb(runtime, random.Random(seed), lambda: None)


def _disturb(runtime, chance, pass_time):
    """Let a family fail, restart and stop as it comes; see that each ask ends."""
    rule = {"restarts_max": 2, "within_s": 5, "backoff_s": (0.001, 2), "jitter": 0.5}
    top = runtime.start(
        Parent, "top", None, {**rule, "decide": "always restart", "restarts_max": 30}
    )
    refs, asked = [top], []
    for step in range(60):
        ref = chance.choice(refs)
        what = chance.choice(["ask"] * 4 + ["start"] * 3 + ["fail"] * 3 + ["time"] * 2 + ["stop"])
        if what == "time":
            pass_time()
        elif not ref.is_alive():
            continue
        elif what == "start":
            cls = chance.choice(["Parent", "Child", "Account"])
            arguments = {"Parent": ("parent", None, rule), "Child": ("child",)}.get(cls, ())
            with contextlib.suppress(pykka.ActorDeadError):
                started = (ref if ref.actor_class is Parent else top).ask(
                    ("start", cls, *arguments)
                )
                refs += [started] if hasattr(started, "tell") else []
        else:
            how = chance.choice(["restart", "restart", "restart", "resume", "stop", "escalate"])
            with contextlib.suppress(pykka.ActorDeadError):
                if what == "fail":
                    ref.tell(Break(how) if ref.actor_class is Account else how)
                elif what == "stop" and ref is not top:
                    asked.append(ref.stop(block=False))
                else:
                    asked.append(ref.ask(step, block=False))
    runtime.close()
    for each in asked:
        with contextlib.suppress(pykka.ActorDeadError):
            each.get(timeout=15)
