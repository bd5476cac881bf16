"""Who acts: runtime, kernel, dialects; each floor imports only downwards.

May import ``rescind.events``.  Nothing is loaded here: the replay tools read the dialects' tables
without Pykka.
"""
