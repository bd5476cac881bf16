"""``sequences``: every cancellation as one object."""
