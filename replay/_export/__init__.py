"""``export``: a recording for other programs."""
