"""``state``: an actor, or all of them, at a moment."""
