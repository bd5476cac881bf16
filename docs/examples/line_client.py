"""Talk to a server line by line.  Ctrl-C, or a line that says stop, cancels what is outstanding.

Ctrl-D ends.  Then ask the log: `rescind sequences line_client.log`.
"""

import argparse
import os
import signal
import socket
import sys
import threading
import time
from collections import Counter
from queue import SimpleQueue

from rescind import Runtime, newton

STOP, END = "stop", "end"


class Client:
    """One connection.  What is asked of it waits in a queue: lines, STOP and END."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.asked = SimpleQueue()  # whose `put` a signal handler may call
        self.is_receiving = False
        self.stopped, self.refusal = Counter(), None
        self.lines = newton.InputSpec(
            termination=newton.Termination(end_sequence="\n"),
            input_script=self.line_came,
            completion_script=self.receiving_ended,
        )

    def run(self):
        self.endpoint.bind()
        self.endpoint.connect(timeout_s=10)
        self.receive()
        say(f"connected to {self.endpoint}")
        while (asked := self.asked.get()) is not END:
            try:
                if asked is STOP:
                    self.stop()
                else:
                    self.send(asked)
            except newton.CommError as error:
                say(f"! {error}")
        if self.endpoint.state() == newton.State.DATA_XFER:
            self.endpoint.disconnect(cancel_pending=False, timeout_s=10)  # sends what was typed

    def receive(self):
        self.endpoint.set_input_spec(self.lines)
        self.is_receiving = True

    def line_came(self, endpoint, line, terminator, options):
        say(f"< {line.rstrip()}")

    def receiving_ended(self, endpoint, options, code):
        self.is_receiving = False
        if newton.is_cancelled(code) or code == newton.Code.TACCESS:  # while a line was shown
            self.note_stopped("receive", code, again=self.receive)
        else:
            say(f"! the server has gone: {code} {newton.meaning(code)}")
            self.asked.put(END)

    def send(self, line):
        def sent(endpoint, options, code):
            if newton.is_cancelled(code):
                self.note_stopped("line", code, again=lambda: self.send(line))

        self.endpoint.output(line, asynchronous=True, completion_script=sent)

    def stop(self):
        self.stopped, self.refusal = Counter(), None
        self.endpoint.cancel(asynchronous=True, completion_script=self.go_on).get()

    def note_stopped(self, what, code, *, again):
        """Hear of a victim.  The cancel is still in progress: doing it again is refused."""
        self.stopped[f"{what} {code}"] += 1
        try:
            again()
        except newton.CommError as error:
            self.refusal = error.code

    def go_on(self, endpoint, options, code):
        """Hear of the cancel's own end, which comes last: now it can be done again."""
        victims = ", ".join(f"{count} {what}" for what, count in self.stopped.items())
        say(f"! stopped: {victims}; to go on meanwhile was refused with {self.refusal}")
        if not self.is_receiving:
            self.receive()
        if any(what.startswith("line") for what in self.stopped):
            self.send(b"\n")  # one may have been cut: this ends it


def read_lines(asked):
    rest = b""
    while some := os.read(0, 65536):
        *lines, rest = (rest + some).split(b"\n")
        for line in lines:
            asked.put(STOP if line == b"stop" else line + b"\n")
    if sys.stdin.isatty():
        asked.put(END)  # from a pipe, the server has the last word


def say(text):
    print(text, flush=True)


def serve(server):
    """Say back how each line begins.  The line "wait" takes two seconds; "bye" is the last."""
    connection, _ = server.accept()
    with connection, connection.makefile("rb") as lines:
        for line in lines:
            if line == b"wait\n":
                time.sleep(2)
            connection.sendall(b"heard: " + line[:20].rstrip() + b"\n")
            if line == b"bye\n":
                return


def own_server():
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=[server], daemon=True).start()
    return server.getsockname()


def main():
    options = argparse.ArgumentParser(description="Talks to a server line by line.")
    options.add_argument("host", nargs="?", help="else a server of its own, to try it with")
    options.add_argument("port", nargs="?", type=int)
    options.add_argument("--log", default="line_client.log", help="where the log goes")
    args = options.parse_args()
    host, port = (args.host, args.port) if args.host else own_server()
    with (
        Runtime.open(args.log) as runtime,
        newton.Endpoint(runtime, newton.tcp(host, port)) as endpoint,
    ):
        client = Client(endpoint)
        endpoint.exception_handler = lambda endpoint, error: say(f"! {error['data']}")
        signal.signal(signal.SIGINT, lambda *_: client.asked.put(STOP))
        threading.Thread(target=read_lines, args=[client.asked], daemon=True).start()
        client.run()


if __name__ == "__main__":
    main()
