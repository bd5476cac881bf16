"""What a log says of each actor: its life, told by events, and its dialect's tables."""
