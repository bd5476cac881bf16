"""Send Redis a pipeline of commands, cancel in the middle, find out what was done, finish the rest.

Then ask the log: `rescind sequences redis_pipeline.log`.
"""

import argparse
import contextlib
import socket
import subprocess
from collections import Counter, deque
from concurrent.futures import Future

from rescind import Runtime, newton

LINE = newton.Termination(end_sequence=b"\r\n")
BLOCKS = {f"block:{n}": bytes(n * 8192) for n in range(1, 61)}
SLOW_SCRIPT = """local began = redis.call('TIME')[1]
                 repeat until redis.call('TIME')[1] - began > 2"""

ANSWERED = "answered, so it was done"
SENT = "sent and not answered, so it may be done"
NOT_SENT = "not sent as a whole, so it can't be done"


class RedisError(Exception):
    """What Redis says of a command that it can't carry out."""


class Command:
    """A command, whether the kernel took all of it, and its reply."""

    def __init__(self, *words):
        self.words = [each if isinstance(each, bytes) else str(each).encode() for each in words]
        self.is_sent = self.is_answered = False
        self.reply = Future()

    def encode(self):
        """Return it in Redis's protocol: an array of strings."""
        words = b"".join(b"$%d\r\n%b\r\n" % (len(each), each) for each in self.words)
        return b"*%d\r\n" % len(self.words) + words

    @property
    def fate(self):
        if self.is_answered:
            return ANSWERED
        return SENT if self.is_sent else NOT_SENT


def replies(take):
    """Parse replies: yields how the next piece of input ends, and is sent that piece."""
    while True:
        take((yield from one_reply()))


def one_reply():
    line = yield LINE
    kind, rest = line[:1], line[1:-2]
    match kind:
        case b"+":
            return rest.decode()
        case b"-":
            return RedisError(rest.decode())
        case b":":
            return int(rest)
        case b"$" if rest != b"-1":
            return (yield newton.Termination(byte_count=int(rest) + 2))[:-2]
        case b"*" if rest != b"-1":
            items = []
            for _ in range(int(rest)):
                items += [(yield from one_reply())]
            return items
    return None


class Connection:
    """A connection to Redis.  Commands go out at once; replies come in the commands' order."""

    def __init__(self, runtime, port):
        self.waiting = deque()
        self.replies = replies(self.take)
        self.endpoint = newton.Endpoint(runtime, newton.tcp("127.0.0.1", port))
        self.endpoint.bind()
        self.endpoint.connect(timeout_s=5)
        self.expect(next(self.replies))

    def send(self, *words):
        def sent(endpoint, options, code):
            command.is_sent = code is None

        command = Command(*words)
        self.waiting.append(command)
        self.endpoint.output(command.encode(), asynchronous=True, completion_script=sent)
        return command

    def ask(self, *words):
        return self.send(*words).reply.result(timeout=30)

    def expect(self, termination):
        self.expected = termination
        spec = newton.InputSpec(self.came, self.ended, form="bytes", termination=termination)
        self.endpoint.set_input_spec(spec)

    def came(self, endpoint, piece, terminator, options):
        next_ends = self.replies.send(piece)
        if next_ends != self.expected:  # else the same spec is posted again
            self.expect(next_ends)

    def take(self, reply):
        command = self.waiting.popleft()
        command.is_answered = True
        if isinstance(reply, RedisError):
            command.reply.set_exception(reply)
        else:
            command.reply.set_result(reply)

    def ended(self, endpoint, options, code):
        for command in self.waiting:
            command.reply.set_exception(newton.CommError(code))

    def drop(self):
        self.endpoint.disconnect()
        self.endpoint.dispose()


def store(runtime, port):
    first = Connection(runtime, port)
    number = first.ask("CLIENT", "ID")
    first.ask("DEL", *BLOCKS)
    first.send("EVAL", SLOW_SCRIPT, 0)  # Redis reads nothing meanwhile
    sets = {name: first.send("SET", name, block) for name, block in BLOCKS.items()}
    first.endpoint.cancel()  # it returns when every victim has been told
    first.drop()  # the replies to come would be taken for those to other commands
    for fate, count in Counter(each.fate for each in sets.values()).items():
        print(f"{count:3} {fate}")

    second = Connection(runtime, port)
    second.ask("CLIENT", "KILL", "ID", number)  # what it has not done by now is never done
    unclear = [name for name in BLOCKS if sets[name].fate == SENT]
    looks = {name: second.send("EXISTS", name) for name in unclear}
    done = {name for name, look in looks.items() if look.reply.result(timeout=30)}
    again = [second.send("SET", name, BLOCKS[name]) for name in BLOCKS if name not in done]
    for each in again:
        each.reply.result(timeout=30)
    is_whole = second.ask("MGET", *BLOCKS) == list(BLOCKS.values())
    print(f"{len(BLOCKS):3} blocks, all there in the end: {is_whole}")
    second.drop()


@contextlib.contextmanager
def own_server():
    """Run a Redis on a free port; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as server:
        try:
            any("Ready to accept connections" in line for line in server.stdout)
            yield port
        finally:
            server.terminate()


def main():
    options = argparse.ArgumentParser(description="Stores blocks, with a cancel in between.")
    options.add_argument("--port", type=int, help="of a Redis on this machine; else of its own")
    options.add_argument("--log", default="redis_pipeline.log", help="where the log goes")
    args = options.parse_args()
    with contextlib.ExitStack() as stack:
        port = args.port or stack.enter_context(own_server())
        store(stack.enter_context(Runtime.open(args.log, payloads={"Submit": "digest"})), port)


if __name__ == "__main__":
    main()
