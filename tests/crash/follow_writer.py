"""A program for SIGKILL: writes turns at full speed, and now and then says what is acknowledged.

Each turn's message says which epoch and number it has, so that a reader can tell a turn that was
made up from one that was written.  It writes so many rounds (-1: for ever), and a last turn that
says that it is the end.
"""

import os
import sys

from rescind.events import Log, Tell


def main(path, durability, segment_bytes_max, rounds):
    log = Log.create_or_open(path, durability=durability, segment_bytes_max=segment_bytes_max)
    tell = log.kind_ids[Tell]
    epoch = log.epoch
    os.write(1, b"0\n")
    done = 0
    while done != rounds:
        done += 1
        # Small, as an interactive program has them: so a follower that does its best keeps up.
        for size in (1, 1, 2):
            for _ in range(size):
                number = log.last_number + 1
                log.append((1, 0, 1, 0, (tell, (epoch, number)), (), None))
            batch = log.seal()
            assert batch is not None
            log.write(batch)
        if done % 50 == 1:
            # One write: the line is out before the kill or it is not.
            os.write(1, b"%d\n" % log.last_number)
    log.append((1, 0, 1, 0, (tell, "the end"), (), None))
    log.close()
    os.write(1, b"%d\n" % log.last_number)


if __name__ == "__main__":
    main(*sys.argv[1:3], *map(int, sys.argv[3:]))
