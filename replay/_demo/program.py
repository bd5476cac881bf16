"""The demo's program: what a user would write.  Nothing here knows of the replay tools."""

import threading
import time
from pathlib import Path
from typing import Any

from rescind.actors import newton
from rescind.actors.runtime import Runtime

AGAIN = "again, although I was told to stop\n"
OUTPUTS = 8
PATIENCE_S = 10.0


class Terminal:
    """Sends eight pages to a slow peer and stops in the middle."""

    def __init__(self, runtime: Runtime, port: int) -> None:
        """Connect."""
        self.refused: newton.CommError | None = None
        self.raised: newton.CommError | None = None
        self.first_sent = threading.Event()
        self.endpoint = newton.Endpoint(runtime, newton.tcp("127.0.0.1", port))
        self.endpoint.bind()
        self.endpoint.connect(timeout_s=5)

    def sent(self, endpoint: newton.Endpoint, options: Any, result: int | None) -> None:
        """Hear of one page; the first one that was canceled is sent again, once."""
        del options
        self.first_sent.set()
        if newton.is_cancelled(result) and self.refused is None:
            try:
                endpoint.output(AGAIN, asynchronous=True)
            except newton.CommError as error:
                self.refused = error

    def listen(self) -> None:
        """Wait for the peer to say something, which it never does."""
        line = newton.Termination(end_sequence="\n")
        self.endpoint.set_input_spec(
            newton.InputSpec(termination=line, completion_script=self.heard_nothing)
        )

    def heard_nothing(self, endpoint: newton.Endpoint, options: Any, result: int | None) -> None:
        """Hear that nothing will come."""

    def send_pages(self) -> None:
        """Queue the pages; the peer takes minutes to read them all."""
        for page in range(OUTPUTS):
            spec = newton.CallbackSpec(asynchronous=True, completion_script=self.sent)
            self.endpoint.output(f"page {page}\n" * 10_000, spec)

    def report(self) -> None:
        """Send one more thing and block until it is sent."""
        try:
            self.endpoint.output("all pages queued\n")
        except newton.CommError as error:
            self.raised = error

    def press_stop(self) -> None:
        """Cancel everything, and wait until that is done."""
        self.endpoint.cancel(asynchronous=True).get()


def run(log: Path, port: int) -> Terminal:
    """Run the whole program once, writing its log to ``log``."""
    with Runtime.open(log) as runtime:
        terminal = Terminal(runtime, port)
        terminal.listen()
        terminal.send_pages()
        reporter = threading.Thread(target=terminal.report, name="reporter")
        reporter.start()
        terminal.first_sent.wait(PATIENCE_S)
        _wait_until_blocked(terminal.endpoint)
        terminal.press_stop()
        reporter.join()
        terminal.endpoint.disconnect()
        terminal.endpoint.unbind()
        terminal.endpoint.dispose()
    return terminal


def _wait_until_blocked(endpoint: newton.Endpoint) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not endpoint.requests_pending("sync") and time.monotonic() < deadline:
        time.sleep(0.001)
