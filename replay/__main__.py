"""``python -m rescind.replay``: the command line, also where no script is installed."""

from .cli import main

if __name__ == "__main__":
    main()
