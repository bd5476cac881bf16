"""The triggers that the tables name are those that actors record, and no others."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rescind.actors.native._protocol as native_protocol
import rescind.actors.newton._protocol as newton_protocol
import rescind.actors.rpc._protocol as rpc_protocol
import rescind.actors.winsock._protocol as winsock_protocol
from rescind import Actor, Runtime, Stepped, Supervision, message, newton, rpc, winsock
from rescind.actors.native import Cancelled
from rescind.events import CancelRequested, read

BY_NAME = "WSAAsyncGetHostByName"


@message
class Wait:
    pass


@message
class Fail:
    pass


class Waiter(Actor):
    """Gives work away that ends when it is cancelled."""

    def on_wait(self, _: Wait) -> Any:
        return self.work(self.sleep)

    async def sleep(self) -> None:
        await asyncio.Event().wait()

    def on_fail(self, _: Fail) -> None:
        raise LookupError


class Boss(Actor):
    supervision = Supervision()

    def on_wait(self, _: Wait) -> Any:
        return Waiter.start()


def run_native(path: Path) -> None:
    with Runtime.open(path) as runtime:
        waiter = runtime.start(Boss).ask(Wait())
        waiter.request(Wait()).cancel()
        timed_out = waiter.request(Wait(), timeout_s=0.001)
        with pytest.raises(Cancelled):
            timed_out.get()

        async def main() -> None:
            task = asyncio.create_task(_await(waiter.request(Wait())))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])

        asyncio.run(main())
        for end in (lambda: waiter.tell(Fail()), waiter.stop):
            waiter.request(Wait())
            end()


async def _await(request: Any) -> None:
    await request


def run_newton(path: Path) -> None:
    tool, stepped = newton.twin(), Stepped(seed=1)
    with Runtime.open(path, dispatcher=stepped) as runtime:
        endpoint = newton.Endpoint(runtime, tool)
        endpoint.bind()
        endpoint.connect()
        spec = newton.CallbackSpec(asynchronous=True, timeout_s=1)
        endpoint.output("too slow", spec)
        stepped.advance(2)
        endpoint.output("in vain", asynchronous=True)
        endpoint.cancel(asynchronous=True)
        stepped.run()
        endpoint.output("in vain", asynchronous=True)
        endpoint.disconnect(asynchronous=True)
        stepped.run()
        endpoint.connect()
        endpoint.set_input_spec(newton.InputSpec())
        endpoint.disconnect(cancel_pending=False, asynchronous=True)
        stepped.run()
        endpoint.dispose()


def run_winsock(path: Path) -> None:
    resolver = winsock.twin()
    with Runtime.open(path) as runtime:
        application = winsock.Application(runtime, resolver)
        application.startup((1, 1))
        window = application.window()
        application.cancel_async_request(
            application.async_get_host_by_name(window, 1, "a.test", winsock.Buffer())
        )
        begun, ended = threading.Event(), threading.Event()

        def block() -> None:
            begun.set()
            assert ended.wait(30)

        def call() -> None:
            with pytest.raises(winsock.WinsockError):
                application.blocking_call("recv", block)

        thread = threading.Thread(target=call)
        thread.start()
        assert begun.wait(30)
        application.cancel_blocking_call()
        ended.set()
        thread.join(30)
        application.async_get_host_by_name(window, 1, "a.test", winsock.Buffer())
        application.cleanup()


def run_rpc(path: Path) -> None:
    twin = rpc.twin()
    channel, listener = twin
    stepped = Stepped()
    with Runtime.open(path, dispatcher=stepped) as runtime:
        rpc.Server(runtime, {"work": lambda: rpc.current_call().hand_off()}, listener)
        binding = rpc.Binding(runtime, channel)
        calls = [
            binding.call("work"),
            binding.call("work", timeout_s=1),
            binding.call("work", deadline_s=1),
        ]
        for _ in range(2):
            stepped.run()
            twin.carry_all()
            stepped.run()
            calls[0].cancel_call(abort=False)
        calls[0].cancel_call(abort=True)
        stepped.advance(2)
        twin.carry_all()
        stepped.run()


@pytest.mark.parametrize(
    ("run", "protocol"),
    [
        (run_rpc, rpc_protocol),
        (run_native, native_protocol),
        (run_newton, newton_protocol),
        (run_winsock, winsock_protocol),
    ],
    ids=["rpc", "native", "newton", "winsock"],
)
def test_each_trigger_in_the_table_stands_in_a_log_and_no_other(
    run: Callable[[Path], None], protocol: Any, tmp_path: Path
) -> None:
    run(tmp_path / "log")
    triggers = {
        event.trigger
        for turn in read(tmp_path / "log")
        for event in turn.events
        if isinstance(event, CancelRequested)
    }
    assert triggers == set(protocol.CANCELLERS)
