"""``diff``: two recordings, aligned by cause."""
