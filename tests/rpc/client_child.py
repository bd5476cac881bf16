"""A client that calls until it is killed: ``client_child.py LOG ADDRESS SEED``.

It prints a line when its first call was answered.
"""

import random
import sys

from rescind import Runtime, rpc


def main(path, address, seed):
    chance = random.Random(seed)
    with Runtime.open(path) as runtime, rpc.Binding(runtime, rpc.grpc_channel(address)) as binding:
        binding.call("echo", 1).get(20)
        print("called", flush=True)  # noqa: T201
        while True:
            calls = [binding.call("race", 0.01) for _ in range(10)]
            for call in chance.sample(calls, 5):
                call.cancel_call(abort=chance.random() < 0.5)
            for call in calls:
                call.wait_done(20)


if __name__ == "__main__":
    main(*sys.argv[1:])
