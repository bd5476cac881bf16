"""Recordings of every dialect, made by the real runtime under the dispatcher `stepped`."""

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

from rescind import Stepped, newton, rpc, winsock
from rescind.actors.native import Twin
from rescind.actors.runtime import Runtime
from rescind.events import Turn, read
from rescind.replay._ledger.sound import sound
from tests.determinism.program import Story
from tests.native.actors import Boss, Crawl, Crawler, Fetch, Patient
from tests.replay.recording import everything
from tests.winsock.stage import HOST


def _native(runtime: Any) -> None:
    """A tree that is cancelled, work that ends in its grace, a time-out, a stop, a late answer."""
    twin = Twin(runtime)
    run = runtime.dispatcher.run
    crawler: Any = runtime.start(Crawler)
    boss: Any = runtime.start(Boss, crawler)
    patient: Any = runtime.start(Patient)
    done = crawler.request(Fetch("done"))
    run()
    twin.complete(value=4)
    run()
    done.cancel(reason="too late")
    tree = boss.request(Crawl(["a", "b"]))
    slow = patient.request(Fetch("slow"))
    crawler.request(Fetch("c"), timeout_s=5)
    run()
    slow.cancel(reason="stop button")
    slow.cancel(reason="again")
    tree.cancel(reason="stop button")
    run()
    twin.complete(next(each for each in twin.pending if each.arguments == ("slow",)), value=3)
    twin.complete(next(each for each in twin.pending if each.arguments == ("a",)), value=1)
    run()
    runtime.dispatcher.advance(6)
    for name in ("d", "e"):
        crawler.request(Fetch(name))
    run()
    crawler.stop()
    run()


def _newton(runtime: Any, profile: str) -> None:
    """A Cancel with a retry in a script, a race that it loses, a time-out, and what is disposed."""
    run = runtime.dispatcher.run
    twin = newton.twin()
    endpoint = newton.Endpoint(runtime, twin, profile=profile, exception_handler=lambda *_: None)

    def again(sender: newton.Endpoint, _options: Any, result: Any) -> None:
        if newton.is_cancelled(result):
            try:
                sender.output("again", asynchronous=True)
            except newton.CommError:
                return

    spec = newton.CallbackSpec(asynchronous=True, completion_script=again)
    endpoint.bind()
    endpoint.connect()
    for n in range(6):
        endpoint.output(f"line {n}", spec)
    run()
    twin.complete_next()
    twin.complete_next(code=-16009)
    endpoint.cancel(asynchronous=True, completion_script=lambda *_: None).wait_done()
    run()
    endpoint.output("slow", newton.CallbackSpec(asynchronous=True, timeout_s=0.5))
    endpoint.output("beside", spec)
    run()
    runtime.dispatcher.advance(1)
    endpoint.cancel(asynchronous=True).wait_done()
    for n in range(3):
        endpoint.output(f"rest {n}", spec)
    endpoint.disconnect(asynchronous=True).wait_done()
    run()
    endpoint.connect()
    endpoint.output("for nobody", spec)
    endpoint.dispose()
    run()


def _winsock(runtime: Any, profile: str) -> None:
    """Lookups that are answered, cancelled in time and too late, and cleaned away."""
    run = runtime.dispatcher.run
    twin = winsock.twin()
    application = winsock.Application(runtime, twin, profile=profile)
    window = application.window()
    application.startup((2, 2))
    run()

    def ask(name: str) -> int:
        return application.async_get_host_by_name(window, 7, name, winsock.Buffer(1024))

    handles = [ask(name) for name in ("a", "b", "c", "d")]
    run()
    twin.complete(HOST)
    run()
    for handle in (handles[1], handles[0], handles[1], 4711):
        try:
            application.cancel_async_request(handle)
        except winsock.WinsockError:
            continue
    run()
    twin.complete(HOST)
    run()
    window.messages()
    handles.append(ask("e"))
    run()
    application.cleanup()
    run()


def _rpc(runtime: Any, profile: str) -> None:
    """Calls that are answered, cancelled in both strengths, fetched, and left where it closes."""
    run = runtime.dispatcher.run
    twin = rpc.twin()
    channel, listener = twin
    served: list[rpc.ServerCall] = []

    def work(*_: Any) -> None:
        rpc.current_call().hand_off()
        served.append(rpc.current_call())

    server = rpc.Server(runtime, {"work": work}, listener)
    binding = rpc.Binding(runtime, channel, profile=profile)
    by = rpc.by_callback(lambda *_: None)
    run()

    def carry() -> None:
        run()
        while twin.wire:
            twin.carry()
            run()

    calls = [binding.call("work", number, notification=by) for number in range(3)]
    calls += [binding.call("work", number) for number in range(3)]
    carry()
    for call in calls[1:5]:
        call.cancel_call(abort=False)
    carry()
    calls[2].cancel_call(abort=True)
    served[0].complete_call("result")
    served[1].abort_call(1818)
    served[3].complete_call("in spite of it")
    carry()
    for call in (calls[0], calls[3]):
        call.complete_call()
    binding.close()
    run()
    server.close()
    run()


def _story(runtime: Runtime) -> None:
    logging.disable(logging.CRITICAL)
    try:
        Story(runtime).act()
    finally:
        logging.disable(logging.NOTSET)


_STORIES: dict[str, Callable[[Runtime], None]] = {
    "native": _native,
    "newton guide": lambda runtime: _newton(runtime, "guide"),
    "newton rom": lambda runtime: _newton(runtime, "rom"),
    "rpc current": lambda runtime: _rpc(runtime, "current"),
    "rpc strict": lambda runtime: _rpc(runtime, "strict"),
    "winsock remembering": lambda runtime: _winsock(runtime, "remembering"),
    "winsock forgetting": lambda runtime: _winsock(runtime, "forgetting"),
    "two endpoints": _story,
}

NAMES = (*_STORIES, "by hand")


@cache
def recorded(name: str) -> tuple[Turn, ...]:
    """Return the turns of a story; a story that is told again has the same."""
    if name == "by hand":
        return tuple(everything().turns)
    with Runtime.open(dispatcher=Stepped(7)) as runtime:
        _STORIES[name](runtime)
    return tuple(sound(read(runtime.log)))
