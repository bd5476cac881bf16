"""The commands, a module each; `rescind.replay.cli` loads the one that is called."""
