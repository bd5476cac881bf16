"""Blocks of 64 KiB over one TCP connection on the loopback: out, in, and both ways at once.

The other end is the same process for all sides.  Ours writes every turn to a log on disk with
durability ``os``, each block as its digest; asyncio writes nothing.  ``hashing`` is asyncio again,
which also takes the digest of each block, in between.
"""

import contextlib
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeAlias

from .registry import Benchmark, Figure, Side
from .socket_peer import BLOCK_BYTES, HOST, peer
from .turns import Stopwatch

if TYPE_CHECKING:
    import asyncio

BLOCK = bytes(BLOCK_BYTES)
OUTSTANDING = 16
"""So many Outputs are under way at a time."""
MIB = 1 << 20
See: TypeAlias = Callable[[bytes], object]


def figures(n: int, out_s: float, in_s: float, both_s: float) -> Mapping[str, float]:
    mib = n * BLOCK_BYTES / MIB
    return {"out": mib / out_s, "in": mib / in_s, "both": 2 * mib / both_s}


def ours(n: int) -> Mapping[str, float]:
    with our_endpoint("discard") as endpoint:
        watch = Stopwatch()
        we_send(endpoint, n)
        out_s = watch.seconds()
    with our_endpoint("flood") as endpoint:
        watch = Stopwatch()
        we_receive(endpoint, n).wait()
        in_s = watch.seconds()
    with our_endpoint("discard", "flood") as endpoint:
        watch = Stopwatch()
        received = we_receive(endpoint, n)
        we_send(endpoint, n)
        received.wait()
        both_s = watch.seconds()
    return figures(n, out_s, in_s, both_s)


@contextlib.contextmanager
def our_endpoint(*works: str) -> Iterator[Any]:
    from rescind import Runtime, newton

    with (
        peer(*works) as port,
        tempfile.TemporaryDirectory() as folder,
        Runtime.open(
            f"{folder}/throughput.log",
            durability="os",
            payloads={"Submit": "digest", "Received": "digest"},
        ) as runtime,
        newton.Endpoint(runtime, newton.tcp(HOST, port)) as endpoint,
    ):
        endpoint.bind()
        endpoint.connect()
        yield endpoint


def we_send(endpoint: Any, n: int) -> None:
    """Send ``n`` blocks, and return when the system has taken the last."""
    outstanding: deque[Any] = deque()
    for _ in range(n):
        if len(outstanding) == OUTSTANDING:
            outstanding.popleft().get()
        outstanding.append(endpoint.output(BLOCK, asynchronous=True))
    while outstanding:
        outstanding.popleft().get()


def we_receive(endpoint: Any, n: int) -> threading.Event:
    """Begin to receive ``n`` blocks; the event is set with the last."""
    from rescind import newton

    ended = threading.Event()
    left = n

    def script(_endpoint: Any, data: bytes, _terminator: object, _options: object) -> None:
        nonlocal left
        assert len(data) == BLOCK_BYTES
        left -= 1
        if not left:
            endpoint.set_input_spec(None)
            ended.set()

    termination = newton.Termination(byte_count=BLOCK_BYTES)
    spec = newton.InputSpec(input_script=script, form="bytes", termination=termination)
    endpoint.set_input_spec(spec)
    return ended


def with_asyncio(n: int) -> Mapping[str, float]:
    return with_streams(n, len)


def with_hashes(n: int) -> Mapping[str, float]:
    return with_streams(n, lambda block: sha256(block).digest())


def with_streams(n: int, see: See) -> Mapping[str, float]:
    """Move the blocks with asyncio's streams, and let ``see`` have each."""
    import asyncio

    async def timed(*works: str) -> float:
        with peer(*works) as port:
            reader, writer = await asyncio.open_connection(HOST, port)
            watch = Stopwatch()
            async with asyncio.TaskGroup() as group:
                if "discard" in works:
                    group.create_task(it_sends(writer, n, see))
                if "flood" in works:
                    group.create_task(it_receives(reader, n, see))
            seconds = watch.seconds()
            writer.transport.abort()
        return seconds

    async def main() -> Mapping[str, float]:
        return figures(
            n, await timed("discard"), await timed("flood"), await timed("discard", "flood")
        )

    return asyncio.run(main())


async def it_sends(writer: "asyncio.StreamWriter", n: int, see: See) -> None:
    for _ in range(n):
        see(BLOCK)
        writer.write(BLOCK)
        await writer.drain()
    writer.transport.set_write_buffer_limits(0)
    await writer.drain()  # now until the system has taken the last


async def it_receives(reader: "asyncio.StreamReader", n: int, see: See) -> None:
    for _ in range(n):
        see(await reader.readexactly(BLOCK_BYTES))


BENCHMARK = Benchmark(
    name="endpoint-throughput",
    says="N blocks of 64 KiB to a peer that discards, from one that floods, and both at once",
    ours=Side("ours", ours, 20_000, 4_000),
    peers=(
        Side("asyncio", with_asyncio, 20_000, 4_000),
        Side("hashing", with_hashes, 20_000, 4_000),
    ),
    figures=(
        Figure("out", "MiB/s", True, {"asyncio": 0.7}),
        Figure("in", "MiB/s", True, {"asyncio": 0.7}),
        Figure("both", "MiB/s", True, {"asyncio": 0.7}),
    ),
)
