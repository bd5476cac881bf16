"""A server in a process of its own: ``server_child.py LOG [ADDRESS]``.

It prints its address and serves until its input ends.
"""

import random
import sys
import threading

from rescind import Runtime, rpc

RELEASED = threading.Event()
SEEN: list[int] = []
ORDER: list[int] = []


def echo(value):
    return value


def release():
    RELEASED.set()


def stubborn():
    """Ignore every cancel until it is released."""
    RELEASED.wait(60)
    RELEASED.clear()
    return 7


def obedient(code):
    """End with a code once it is asked to."""
    rpc.wait_cancelled(60)
    raise rpc.Abort(code)


def tested():
    """Say what the test of a cancel says, before and after it."""
    before = [rpc.test_cancel() for _ in range(100)]
    rpc.wait_cancelled(60)
    return [*set(before), rpc.test_cancel(), rpc.test_cancel()]


def subscribed():
    """Tell which news it heard until it is released."""
    call = rpc.current_call()
    SEEN.clear()
    call.subscribe(
        rpc.Subscription.CALL_CANCEL, rpc.by_callback(lambda _call, _, event: SEEN.append(event))
    )
    RELEASED.wait(60)
    RELEASED.clear()
    return [list(map(int, SEEN)), call.unsubscribe(rpc.Subscription.CALL_CANCEL)]


def gone():
    """Wait for the client to go."""
    call, news = rpc.current_call(), threading.Event()
    call.subscribe(rpc.Subscription.CLIENT_DISCONNECT, rpc.by_callback(lambda *_: news.set()))
    news.wait(60)
    RELEASED.set()


def was_released():
    was = RELEASED.wait(20)
    RELEASED.clear()
    return was


def place(number):
    call = rpc.current_call()
    call.hand_off()
    ORDER.append(number)
    call.complete_call(number)


def fails():
    raise LookupError("no such page")


def metadata():
    return [list(pair) for pair in rpc.current_call().metadata]


def race(longest_s):
    """Do something that may be cancelled."""
    if rpc.wait_cancelled(random.uniform(0, longest_s)):
        raise rpc.Abort(rpc.Code.CALL_CANCELLED)
    return "done"


FUNCTIONS = (
    echo, release, stubborn, obedient, tested, subscribed, gone, was_released, place, fails,
    metadata, race,
)  # fmt: skip


def main(path, address="127.0.0.1:0"):
    listener = rpc.grpc_listener(address)
    functions = {each.__name__: each for each in FUNCTIONS}
    with Runtime.open(path) as runtime, rpc.Server(runtime, functions, listener):
        print(listener.address, flush=True)  # noqa: T201
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
