"""Send to a peer that does not read, cancel, and try to send again while the cancel is in progress.

Then ask the log: `rescind sequences terminal.log`.
"""

import socket

from rescind import Runtime, newton


def sent(ep, options, result):
    if newton.is_cancelled(result):
        ep.output("again", asynchronous=True)  # raises -36003: a cancel is in progress


def main():
    peer = socket.create_server(("127.0.0.1", 0))  # it never accepts, and so never reads
    with peer, Runtime.open("terminal.log") as rt:
        ep = newton.Endpoint(rt, newton.tcp(*peer.getsockname()))
        ep.bind()
        ep.connect(timeout_s=5)
        for n in range(8):
            spec = newton.CallbackSpec(asynchronous=True, completion_script=sent)
            ep.output(f"line {n}\n" * 100_000, spec)
        ep.cancel(asynchronous=True).get()  # asynchronous calls return futures
        ep.disconnect()
        ep.unbind()
        ep.dispose()


if __name__ == "__main__":
    main()
