"""What Winsock and the native dialect decide is changed behind a recording.

Orders, codes, completions that are missing, time-outs: each is told at the first turn it matters
in.
"""

import socket
from typing import Any

import pytest

from rescind import Runtime, winsock
from rescind.actors import native
from rescind.actors.native import _protocol as native_protocol
from rescind.actors.native import _requests as native_requests
from rescind.actors.native._requests import Requests
from rescind.actors.runtime import Outbox, Stepped
from rescind.actors.winsock import _actors as winsock_actors
from rescind.actors.winsock import _protocol as winsock_protocol
from rescind.actors.winsock._actors import Winsock
from rescind.events import (
    Answer,
    Cancel,
    CancelBegan,
    CancelOutcome,
    Completed,
    How,
    Started,
    Submit,
    TimedOut,
    read,
)
from rescind.replay import rerun
from tests.native.actors import Boss, Counted, Crawl, Crawler, Fetch

from .taken import Taken

CRAWLERS = [Boss, Counted, Crawl, Crawler, Fetch]


@pytest.fixture
def looked_up():
    """Lookups of which two may run at a time: found, withdrawn, queued, failed; then a cleanup."""
    run = Stepped()
    runtime = Runtime.open(dispatcher=run)
    twin = winsock.twin()
    application = winsock.Application(runtime, twin, running_max=2)
    application.startup((2, 2))
    window = application.window()

    def ask(name):
        handle = application.async_get_host_by_name(window, 7, name, winsock.Buffer(1024))
        run.run()
        return handle

    ask("found")
    withdrawn = ask("withdrawn")
    for name in ("queued", "last", "never"):
        ask(name)
    application.cancel_async_request(withdrawn)
    run.run()
    twin.complete(winsock.HostEntry("found.example", (), socket.AF_INET, ("192.0.2.1",)))
    run.run()
    list(window.messages())
    with pytest.raises(winsock.WinsockError):
        application.cancel_async_request(withdrawn)
    twin.fail(winsock.Code.TRY_AGAIN)
    run.run()
    application.cleanup()
    runtime.close()
    taken = Taken(runtime.log)
    assert rerun(read(runtime.log)).divergence is None
    return taken


@pytest.fixture
def served():
    """Crawls: one succeeds, one is cancelled with its children, one fails, one takes too long."""
    run = Stepped()
    runtime = Runtime.open(dispatcher=run)
    twin = native.Twin(runtime)
    boss: Any = runtime.start(Boss, runtime.start(Crawler))
    boss.request(Crawl(["a"]))
    run.run()
    twin.complete(value=1)
    run.run()
    stopped = boss.request(Crawl(["b", "c"]))
    run.run()
    stopped.cancel(reason="stop button")
    run.run()
    boss.request(Crawl(["raises"]))
    run.run()
    twin.fail(LookupError("no such host"), twin.pending[-1])
    run.run()
    boss.request(Crawl(["d"]), timeout_s=2)
    run.run()
    run.advance(3)
    runtime.close()
    taken = Taken(runtime.log)
    assert rerun(read(runtime.log), classes=CRAWLERS).divergence is None
    return taken


def starts_the_newest(self, out):
    if self._queued:
        out.events.append(Started(self._queued[-1].number))


def forgets_too_early(state, profile):
    is_won = CANCEL_CODE(state, profile) == winsock.Code.OK
    return winsock.Code.OK if is_won else winsock.Code.EINVAL


def with_one_completion_less(method):
    """Return an endpoint's method whose turn lacks the first completion that it had."""

    def changed(self, *args):
        out = next(each for each in args if isinstance(each, Outbox))
        method(self, *args)
        out.events.remove(next(each for each in out.events if isinstance(each, Completed)))

    return changed


def with_code(method, code):
    """Return an endpoint's method that completes with this code where it does with one."""

    def changed(self, *args):
        out = next(each for each in args if isinstance(each, Outbox))
        method(self, *args)
        for at, each in enumerate(out.events):
            if isinstance(each, Completed) and each.code is not None:
                out.events[at] = each._replace(code=int(code))

    return changed


def parents_first(request):
    return reversed(list(TREE(request)))


def like_any_other(*_):
    return How.CANCELLED


def with_twice_the_time(self, out, operation, arguments, asked, timeout_ns, **how):
    return ACCEPT(self, out, operation, arguments, asked, timeout_ns and 2 * timeout_ns, **how)


def nothing(*_):
    return None


CANCEL_CODE = winsock_protocol.cancel_code
TREE = native_requests._tree
ACCEPT = Requests._accept


IN_OTHER_DIALECTS = [
    # which recording, whose decision is changed, to what, in which turn that matters first, and how
    ("looked_up", Winsock, "_start_next", starts_the_newest,
     lambda t: t.first(Submit, holding=Started), "Started.request"),
    ("looked_up", Winsock, "_silence", with_one_completion_less(Winsock._silence),
     lambda t: t.first(Submit, holding=CancelBegan), "events[2]"),
    ("looked_up", winsock_actors, "cancel_code", forgets_too_early,
     lambda t: t.first(Submit, holding=CancelOutcome), "CancelEnded.code"),
    ("looked_up", Winsock, "_complete", with_code(Winsock._complete, winsock.Code.NO_RECOVERY),
     lambda t: t.first(Answer, actor=4), "Completed.code"),
    ("looked_up", Winsock, "_end_all", with_one_completion_less(Winsock._end_all),
     lambda t: t.first(Submit, after=12), "events[4]"),
    ("served", native_requests, "_tree", parents_first,
     lambda t: t.first(Submit, holding=CancelBegan), "CancelBegan.victims"),
    ("served", Requests, "answered", with_code(Requests.answered, native_protocol.Code.DEAD),
     lambda t: t.first(Answer, actor=15), "Completed.code"),
    ("served", Requests, "cancel_victim", with_one_completion_less(Requests.cancel_victim),
     lambda t: t.first(Cancel), "events[0]"),
    ("served", native_requests, "_how", like_any_other,
     lambda t: t.first(Cancel, actor=16), "Completed.how"),
    ("served", Requests, "_accept", with_twice_the_time,
     lambda t: t.first(Submit, where=lambda turn: turn.message.timeout_ns),
     "Accepted.timeout_ns"),
    ("served", Requests, "time_out", nothing, lambda t: t.first(TimedOut), "events[0]"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("recording", "owner", "name", "changed", "where", "path"),
    IN_OTHER_DIALECTS,
    ids=[f"{row[0]} {row[2]}" for row in IN_OTHER_DIALECTS],
)
def test_a_change_in_what_they_decide_is_told_at_the_first_turn_it_matters_in(
    request, monkeypatch, recording, owner, name, changed, where, path
):
    taken = request.getfixturevalue(recording)
    monkeypatch.setattr(owner, name, changed)
    found = taken.found(CRAWLERS)
    assert (found.number, found.what) == (where(taken), "other events"), found
    assert path in found.differences[0].path, found
    assert found.line is not None
