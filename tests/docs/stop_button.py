"""Draw docs/how-to/stop-button.svg: the chart of a program that is stopped in the middle.

Run `python -m tests.docs.stop_button` in the project's folder after a change of the chart or of
this program.  It runs in virtual time over a twin, so the picture is the same wherever it is drawn.
"""

from pathlib import Path
from typing import Any

from rescind import Runtime, Stepped, newton
from rescind.events import read
from rescind.replay import Chart, chart_of, chart_svg

PICTURE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "stop-button.svg"


class Terminal:
    """Sends pages to a tool that is slow to stop; Stop is pressed in the middle."""

    def __init__(self, runtime: Runtime) -> None:
        self.clock: Any = runtime.dispatcher
        self.tool = newton.twin(label="tcp 192.0.2.7:23", holds_kills=True)
        self.refused: newton.CommError | None = None
        self.endpoint = newton.Endpoint(runtime, self.tool)
        self.endpoint.bind()
        self.endpoint.connect()

    def send_pages(self) -> None:
        for page in range(6):
            spec = newton.CallbackSpec(asynchronous=True, completion_script=self.sent)
            self.endpoint.output(f"page {page}", spec)
            self.clock.advance(0.002)

    def sent(self, endpoint: newton.Endpoint, options: Any, result: int | None) -> None:
        del options
        if newton.is_cancelled(result) and self.refused is None:
            try:
                endpoint.output("again", asynchronous=True)
            except newton.CommError as error:
                self.refused = error

    def press_stop(self) -> None:
        self.stop = self.endpoint.cancel(asynchronous=True)
        self.clock.run()


def recording() -> tuple[list[Any], str]:
    """Run the program; return its turns, and the selector of the cancel."""
    runtime = Runtime.open(dispatcher=Stepped())
    terminal = Terminal(runtime)
    terminal.send_pages()
    terminal.tool.complete_next()
    terminal.clock.advance(0.005)
    sent = list(terminal.tool.pending)
    terminal.press_stop()
    terminal.clock.advance(0.120)
    terminal.tool.complete(sent[0])  # it was under way, and its end beats the kill
    terminal.clock.run()
    terminal.clock.advance(0.030)
    terminal.tool.finish_kill()
    terminal.clock.run()
    runtime.commit()
    return list(read(runtime.log)), f"c{terminal.stop.number}"


def chart() -> Chart:
    return chart_of(*recording())


def picture() -> str:
    """Return the whole picture."""
    return chart_svg(chart())


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
