"""``chart``: who told whom what, as a picture."""
