"""The laws L1 to L12 and what holds a log against them."""
