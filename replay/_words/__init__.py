"""How it is said: lines, durations, codes, phrases, names."""
