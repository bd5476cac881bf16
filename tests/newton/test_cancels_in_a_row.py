"""A cancel that comes just as another one is ending."""

from rescind import Runtime, Stepped, newton
from rescind.events import read
from rescind.replay import Verdict, check


def test_a_cancel_whose_window_has_closed_is_no_victim_of_the_next_one():
    runtime = Runtime.open(dispatcher=Stepped())
    endpoint = newton.Endpoint(runtime, newton.twin())
    endpoint.bind()
    endpoint.connect()
    first = endpoint.cancel(asynchronous=True)
    runtime.commit()  # the twin hears of it and reports that it has stopped
    runtime.run_turns(1)  # the window closes; the first cancel's own completion is still to come
    second = endpoint.cancel(asynchronous=True)
    first.get()
    second.get()
    assert (first.result, second.result) == (None, None)
    runtime.close()
    assert check(read(runtime.log)).verdict is not Verdict.BROKEN
