"""Dial by modem, send a text, wait for its receipt but not for ever, and hang up.

Then ask the log: `rescind sequences modem.log`.
"""

import argparse
import os
import pty
import sys
import threading
import time
import tty

from rescind import Runtime, newton

RESULTS = ("OK", "ERROR", "NO CARRIER", "NO ANSWER", "BUSY")  # besides CONNECT and its speed
COMMAND_S, ANSWER_S, RECEIPT_S = 5, 60, 2
GUARD_S = 1
TEXT = "".join(f"line {n} of a text that is to be sent\r" for n in range(1000)) + ".\r"


class Modem:
    """A dialogue: what is said, and the result that comes back within its time."""

    def __init__(self, endpoint):
        self.endpoint = endpoint

    def command(self, command, *, timeout_s=COMMAND_S):
        say(f"> {command}")
        self.endpoint.output(f"{command}\r", timeout_s=COMMAND_S)
        return self.result(timeout_s)

    def send(self, text):
        """Send a text to whom we are connected to, who confirms it."""

        def sent(endpoint, options, code):
            say(f"! the text: {code} {newton.meaning(code)}" if code else "  the text is sent")

        self.endpoint.output(text, asynchronous=True, completion_script=sent)
        return self.result(RECEIPT_S)

    def hang_up(self):
        """Have the modem listen to us again: by a sign with silence around it."""
        time.sleep(GUARD_S)
        self.endpoint.output("+++", timeout_s=COMMAND_S)
        self.result(GUARD_S + COMMAND_S)
        self.command("ATH")

    def result(self, timeout_s):
        """Return the next result; raises CommError -16005 after so many seconds of silence."""
        line = newton.InputSpec(
            termination=newton.Termination(end_sequence="\r\n"),
            filter=newton.Filter(seven_bit=True, byte_proxy={0: None}),
            timeout_s=timeout_s,
            partial_script=lambda endpoint, begun: say(f"  {begun.strip()} ..."),
            partial_frequency_s=0.2,
        )
        text = ""
        while not text.startswith(("CONNECT", *RESULTS)):
            text = self.endpoint.receive(line).get().data.strip()
            if text:
                say(f"< {text}")
        return text


def call(modem, number):
    modem.command("ATE0")  # no echo
    if modem.command(f"ATDT{number}", timeout_s=ANSWER_S).startswith("CONNECT"):
        modem.send(TEXT)
        modem.hang_up()


def happened(endpoint, event):
    if event.event_code == newton.EventCode.DISCONNECT:
        say(f"! the line is gone: {event.data}")


def say(text):
    print(text, flush=True)


ANSWERS, BUSY, FALLS_SILENT, IS_CUT = "5550100", "5550101", "5550102", "5550103"


class SimulatedModem(threading.Thread):
    """A modem at the other end of a pseudo-terminal: with even parity, and padding its lines."""

    def __init__(self):
        super().__init__(daemon=True)
        self._ours, self._theirs = pty.openpty()
        tty.setraw(self._theirs)
        self.line = os.ttyname(self._theirs)

    def run(self):
        number = ""
        for heard in self._commands():
            if heard.startswith("ATDT"):
                number = heard.removeprefix("ATDT")
                self._ring()
                self._say("BUSY" if number == BUSY else "CONNECT 9600")
            elif not heard.startswith("line"):
                self._say("OK")
            elif number == FALLS_SILENT:
                return
            elif number == IS_CUT:
                os.close(self._ours)
                return

    def _commands(self):
        heard = b""
        while some := os.read(self._ours, 1024):
            *commands, heard = (heard + some).split(b"\r")
            if heard == b"+++":
                commands, heard = [heard], b""
            yield from (each.decode() for each in commands)

    def _ring(self):
        for _ in range(2):
            self._write("RING ")
            time.sleep(0.5)
        self._say("")

    def _say(self, text):
        self._write(f"{text}\r\n\0\0")

    def _write(self, text):
        os.write(self._ours, bytes(each | (each.bit_count() % 2) << 7 for each in text.encode()))


def main():
    options = argparse.ArgumentParser(description="Dials, sends a text, and hangs up.")
    options.add_argument("number", help=f"for the simulated modem {ANSWERS} to {IS_CUT}")
    options.add_argument("--line", help="the modem's device; else a simulated modem")
    options.add_argument("--log", default="modem.log", help="where the log goes")
    args = options.parse_args()
    if args.line is None:
        simulated = SimulatedModem()
        simulated.start()
        args.line = simulated.line
    tool = newton.serial(args.line, 9600)
    with (
        Runtime.open(args.log) as runtime,
        newton.Endpoint(runtime, tool, event_handler=happened) as endpoint,
    ):
        endpoint.bind()
        endpoint.connect()
        try:
            call(Modem(endpoint), args.number)
        except newton.CommError as error:
            sys.exit(f"! {error}")


if __name__ == "__main__":
    main()
