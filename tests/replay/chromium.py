"""A headless Chromium, driven by its DevTools protocol over a pipe: nothing but Python is needed.

It sees no network, and whatever a page logs, throws, or tries to load is kept for the test.
"""

import base64
import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
HELLO_S = 30
# The browser wants its two pipes as 3 and 4, which are taken in the process of the tests.
_PIPES_AT_3_AND_4 = """
import os, sys
reads, writes = int(sys.argv[1]), int(sys.argv[2])
high = max(reads, writes, 4) + 1
os.dup2(reads, high), os.dup2(writes, high + 1)
os.dup2(high, 3), os.dup2(high + 1, 4)
os.set_inheritable(3, True), os.set_inheritable(4, True)
os.execv(sys.argv[3], sys.argv[3:])
"""


def chromium_here() -> str | None:
    """Return where a Chromium is."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class PageError(Exception):
    """The page's own code raised, or the browser refused a command."""


class Chromium:
    """One browser with one page."""

    def __init__(self, program: str, profile: Path) -> None:
        to_browser, self._in = os.pipe()
        self._out, from_browser = os.pipe()
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        options = [
            "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={profile}",
            "--disable-background-networking", "--disable-component-update", "--disable-gpu",
            "--disable-dev-shm-usage", "--disable-sync", "--no-first-run", "--no-proxy-server",
            "--host-resolver-rules=MAP * ~NOTFOUND", *sandbox,
        ]  # fmt: skip
        start = [sys.executable, "-c", _PIPES_AT_3_AND_4, str(to_browser), str(from_browser)]
        self._process = subprocess.Popen(
            [*start, program, *options, "about:blank"],
            pass_fds=(to_browser, from_browser),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._buffer = b""
        self._numbers = itertools.count(1)
        self._session = ""
        self.complaints: list[str] = []
        self.requests: list[str] = []
        pages = self.call("Target.getTargets")["targetInfos"]
        page = next(one["targetId"] for one in pages if one["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._in)  # which ends it
        os.close(self._out)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    # --- what tests do ---------------------------------------------------------------------------

    def open(self, page: Path, fragment: str = "") -> None:
        """Load a page from disk and wait until it has run."""
        self.complaints.clear()
        self.requests.clear()
        url = page.resolve().as_uri() + fragment
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=url)
        self.eval("new Promise((done) => document.readyState === 'complete' ? done() "
                  ": addEventListener('load', done))")  # fmt: skip
        self.frame()

    def eval(self, expression: str) -> Any:
        """Return what an expression of the page gives; a promise is waited for."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            raise PageError(json.dumps(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def frame(self) -> None:
        """Wait until two frames were drawn, which is when a change can be seen."""
        self.eval("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def text(self, selector: str) -> str:
        """Return the text of an element as it is shown."""
        return str(self.eval(f"document.querySelector({json.dumps(selector)}).innerText"))

    def count(self, selector: str) -> int:
        """Return how many elements there are."""
        return int(self.eval(f"document.querySelectorAll({json.dumps(selector)}).length"))

    def click(self, selector: str) -> None:
        """Click the middle of an element."""
        x, y = self.eval(
            f"(() => {{ const box = document.querySelector({json.dumps(selector)})"
            ".getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        self.frame()

    def press(self, *keys: str) -> None:
        """Press keys one after the other, as a person would."""
        for key in keys:
            text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
            code = {"Enter": 13, "Escape": 27}.get(key, 0)
            for kind in ("keyDown", "keyUp"):
                told = text if kind == "keyDown" else ""
                self.call(
                    "Input.dispatchKeyEvent",
                    type=kind, key=key, text=told, windowsVirtualKeyCode=code,
                )  # fmt: skip
        self.frame()

    def type(self, text: str) -> None:
        """Put text into the field that has the focus."""
        self.call("Input.insertText", text=text)
        self.frame()

    def look(self, *, width: int = 1440, height: int = 900, dark: bool = False) -> None:
        """Choose the window's size and its colours."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.frame()

    def picture(self, target: Path) -> None:
        """Write what can be seen as a PNG."""
        data = self.call("Page.captureScreenshot", format="png")["data"]
        target.write_bytes(base64.b64decode(data))

    # --- the protocol ----------------------------------------------------------------------------

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its answer."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._in, data) :]
        while True:
            answer = self._read()
            if answer.get("id") == number:
                if "error" in answer:
                    raise PageError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            data = os.read(self._out, 1 << 16)
            if not data:
                raise PageError("the browser has ended")
            self._buffer += data
        message, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def _note(self, event: dict[str, Any]) -> None:
        parameters = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown" | "Runtime.consoleAPICalled" | "Log.entryAdded":
                self.complaints.append(json.dumps(parameters))
            case "Page.javascriptDialogOpening":
                self.complaints.append(json.dumps(parameters))
                self.call("Page.handleJavaScriptDialog", accept=True)
            case "Network.requestWillBeSent":
                self.requests.append(parameters["request"]["url"])
            case _:
                pass
