"""``info``, ``prune`` and ``recover``: a log as files that somebody keeps."""
