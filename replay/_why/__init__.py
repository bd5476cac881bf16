"""``why``: from an outcome back to the input from outside that began it."""
