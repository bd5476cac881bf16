"""One question of a large log: what is asked for, found by the index."""
