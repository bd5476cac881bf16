"""``demo``: a program that cancels, recorded and explained."""
