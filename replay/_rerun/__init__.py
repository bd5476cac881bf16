"""``rerun``: a recording, executed again by today's code."""
