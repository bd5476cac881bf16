"""One busy story on a stepped runtime: ``python program.py LOG SEED SHUFFLE``.

It uses everything that could bring the machine's chance in: sets and dictionaries of strings,
names, two endpoints, cancels, time-outs, actors that wait for each other, scripts that call.
"""

import sys

from rescind import Actor, Runtime, Stepped, newton


class Tally(Actor):
    """Counts words; its state is a dictionary of strings."""

    def __init__(self):
        self.words = {}

    def on_receive(self, message):
        if message == "words?":
            return sorted(self.words.items())
        self.words[message] = self.words.get(message, 0) + 1
        return self.words[message]


class Clerk(Actor):
    """Waits for the tally inside its turns, and is reminded by timers."""

    def __init__(self, tally):
        self.tally = tally
        self.seen = []

    def on_receive(self, message):
        if message == "remind":
            self.send_after(0.25, "reminder")
        count = self.tally.ask(message)
        self.seen.append((message, count, self.now_ns))
        if message == "fail":
            raise LookupError("as asked")
        return count


class Story:
    """The application's side."""

    def __init__(self, runtime):
        self.runtime = runtime
        self.tally = runtime.start(Tally)
        self.clerks = [runtime.start(Clerk, self.tally) for _ in range(2)]
        self.endpoints = [self.connect(name) for name in ("left", "right")]

    def connect(self, label):
        twin = newton.twin(label=label)
        endpoint = newton.Endpoint(self.runtime, twin, exception_handler=lambda *_: None)
        endpoint.bind()
        endpoint.connect()
        return endpoint, twin

    def script(self, endpoint, _options, result):
        self.tally.tell(f"result {result}")
        if result == -16005:
            try:
                endpoint.output("again", asynchronous=True)
            except newton.CommError:
                return
        elif result == -16009:
            raise LookupError("as asked")

    def tell(self):
        for word in ("alpha", "beta", "gamma", "alpha", "remind"):
            for clerk in self.clerks:
                clerk.tell(word)
        self.asked = [clerk.ask("delta", block=False) for clerk in self.clerks]

    def send(self):
        for endpoint, _ in self.endpoints:
            for n in range(6):
                spec = newton.CallbackSpec(True, 0.5 if n == 4 else None, self.script)
                endpoint.output(f"line {n}", spec)

    def act(self):
        dispatcher = self.runtime.dispatcher
        self.tell()
        self.send()
        dispatcher.run()
        for _, twin in self.endpoints:
            twin.complete_next()
            twin.complete_next(code=-16009)
        cancel = self.endpoints[0][0].cancel(asynchronous=True, completion_script=self.script)
        self.tell()
        cancel.wait_done()
        dispatcher.advance(1)
        self.send()
        self.clerks[1].tell("fail")
        self.endpoints[1][0].disconnect(asynchronous=True).wait_done()
        dispatcher.advance(1)
        assert all(answer.get() for answer in self.asked)


def main(path, seed, shuffle):
    dispatcher = Stepped(int(seed), shuffle=shuffle == "shuffle")
    with Runtime.open(path, dispatcher=dispatcher) as runtime:
        Story(runtime).act()


if __name__ == "__main__":
    main(*sys.argv[1:])
