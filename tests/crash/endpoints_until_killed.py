"""A program for SIGKILL: busy endpoints that print every acknowledged fact, one write a line.

``c LABEL CODE``: a script heard this result of the Output LABEL; ``s LABEL CODE``: a synchronous
Output returned or raised it; ``r NUMBER``: the request NUMBER (a Cancel) was delivered;
``f LABEL``: flush returned after LABEL had been submitted.  ``0 EPOCH`` says that it has begun.
"""

import os
import random
import sys
import threading

from rescind import Actor, Runtime, newton


def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


class Helpful(newton.TwinTool):
    """A twin that answers an Output at once when its data asks for that."""

    def perform(self, request, operation, arguments):
        super().perform(request, operation, arguments)
        if operation == "Output" and arguments[0].endswith("!"):
            self.complete(request)
        elif operation == "Output" and arguments[0].endswith("?"):
            self.complete(request, -16009)


class Counter(Actor):
    count = 0

    def on_receive(self, _message):
        self.count += 1
        return self.count


class Worker:
    """One thread's endpoint, made anew from time to time."""

    def __init__(self, runtime, name, seed):
        self.runtime = runtime
        self.name = f"{runtime.log.epoch}-{name}"
        self.random = random.Random(seed)
        self.submitted = 0
        self.counter = runtime.start(Counter)
        self.connect()

    def connect(self):
        self.endpoint = newton.Endpoint(
            self.runtime, Helpful(label=self.name), exception_handler=lambda *_: None
        )
        self.endpoint.bind()
        self.endpoint.connect()

    def label(self, ending):
        self.submitted += 1
        return f"{self.name}-{self.submitted}{ending}"

    def output(self, ending="", **options):
        label = self.label(ending)

        def script(_endpoint, _options, result):
            say("c", label, result)
            if self.random.random() < 0.05:
                raise LookupError(label)

        try:
            self.endpoint.output(label, newton.CallbackSpec(True, None, script), **options)
        except newton.CommError:
            return None
        return label

    def blocking(self, ending):
        label = self.label(ending)
        timeout_s = None if ending else 0.002
        try:
            self.endpoint.output(label, timeout_s=timeout_s)
        except newton.CommError as error:
            if error.rule is None:
                say("s", label, error.code)
        else:
            say("s", label, None)

    def timed(self):
        label = self.label("")

        def script(_endpoint, _options, result):
            say("c", label, result)

        self.endpoint.output(label, newton.CallbackSpec(True, 0.001, script))

    def cancel(self):
        cancel = self.endpoint.cancel(asynchronous=True)
        cancel.get()
        say("r", cancel.number)

    def flush(self):
        label = self.output()
        self.runtime.flush()
        if label is not None:
            say("f", label)

    def restart(self):
        if self.random.random() < 0.3:
            self.endpoint.dispose()
            self.connect()
            self.counter.stop()
            self.counter = self.runtime.start(Counter)

    def work(self):
        while True:
            for _ in range(self.random.randrange(1, 30)):
                self.output(self.random.choice(["", "", "!", "?"]))
            self.counter.ask("count")
            step = self.random.choice((self.cancel, self.flush, self.timed, self.restart, None))
            try:
                if step is None:
                    self.blocking(self.random.choice("!? ").strip())
                else:
                    step()
            except newton.CommError:
                continue  # another request's time-out has the window open just now


def main(path, durability, seed):
    runtime = Runtime.open(path, durability=durability)
    say(0, runtime.log.epoch)
    workers = [Worker(runtime, name, int(seed) + n) for n, name in enumerate("ab")]
    threads = [threading.Thread(target=worker.work) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
