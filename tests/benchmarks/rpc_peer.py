"""The servers of the benchmark ``rpc``, each a process for itself.

``python -m tests.benchmarks.rpc_peer KIND`` listens, prints its port, and serves until its input
ends.  All three know ``echo``, which returns its argument, and ``wait``, which ends when it is
cancelled.
"""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

HOST = "127.0.0.1"
THREADS = 64


@contextlib.contextmanager
def peer(kind: str) -> Iterator[int]:
    """Run one; its port."""
    command = [sys.executable, "-m", "tests.benchmarks.rpc_peer", kind]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()


def ours() -> None:
    """Log every turn of every call."""
    from rescind import Runtime, rpc

    from .turns import folder

    def wait() -> None:
        call = rpc.current_call()
        call.subscribe(
            rpc.Subscription.CALL_CANCEL,
            rpc.by_callback(lambda *_: call.abort_call(rpc.Code.CALL_CANCELLED)),
        )
        call.hand_off()

    listener = rpc.grpc_listener(f"{HOST}:0")
    functions: dict[str, Any] = {"echo": lambda value: value, "wait": wait}
    with (
        folder() as path,
        Runtime.open(path / "server.log", durability="os") as runtime,
        rpc.Server(runtime, functions, listener),
    ):
        print(listener.address.rpartition(":")[2], flush=True)
        sys.stdin.read()


def handlers(functions: dict[str, Any]) -> list[Any]:
    import grpc

    made: dict[str, Any] = {
        name: grpc.unary_unary_rpc_method_handler(each) for name, each in functions.items()
    }
    return [grpc.method_handlers_generic_handler("bare", made)]


def with_aio() -> None:
    """Serve with ``grpc.aio``; ``heard`` is answered when a ``wait`` was cancelled."""
    asyncio.run(serve_with_aio())


async def serve_with_aio() -> None:
    import grpc

    heard: asyncio.Queue[None] = asyncio.Queue()

    async def echo(value: bytes, _: Any) -> bytes:
        return value

    async def wait(_value: bytes, _: Any) -> bytes:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            heard.put_nowait(None)
            raise
        return b""

    async def wait_heard(_value: bytes, _: Any) -> bytes:
        await heard.get()
        return b""

    server = grpc.aio.server(handlers=handlers({"echo": echo, "wait": wait, "heard": wait_heard}))
    port = server.add_insecure_port(f"{HOST}:0")
    await server.start()
    print(port, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(None)


def with_threads() -> None:
    """Serve with gRPC's blocking server."""
    import grpc

    server = grpc.server(ThreadPoolExecutor(THREADS), handlers({"echo": lambda value, _: value}))
    print(server.add_insecure_port(f"{HOST}:0"), flush=True)
    server.start()
    sys.stdin.read()
    server.stop(None)


if __name__ == "__main__":
    {"ours": ours, "aio": with_aio, "threads": with_threads}[sys.argv[1]]()
