"""The command line: thin over the room's functions.

Only here and in `commands` are click and rich known, and a command's module is loaded when it is
called: `rescind info` loads neither Pykka nor a driver.
"""

import os
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from io import TextIOWrapper
from pathlib import Path
from typing import NoReturn

import click

from rescind.events import LogDamagedError, RescindError
from rescind.replay._words.text import MARGIN

from .commands._shared import DAMAGED, FINE, INTERRUPTED, NOTHING, complain

COMMANDS = (
    "demo", "info", "sequences", "why", "state", "chart", "turns", "check", "rerun", "diff",
    "export", "recover", "prune",
)  # fmt: skip
"""In the order in which one needs them."""

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": MARGIN}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = import_module(f"rescind.replay.commands.{cmd_name}").command
        return found


def _print_version(context: click.Context, _: click.Parameter, is_wanted: bool) -> None:  # noqa: FBT001
    if is_wanted:
        try:
            click.echo(f"rescind {version('rescind')}")
        except PackageNotFoundError:
            click.echo("rescind, from a checkout that is not installed")
        context.exit()


@click.group(cls=_Commands, context_settings=_SETTINGS, invoke_without_command=True)
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version,
    help="Show the version and end.",
)  # fmt: skip
@click.pass_context
def cli(context: click.Context) -> None:
    """Explain what a program's actors did, from their log.

    Why was this cancelled, by whom, and in which order?  Begin with `rescind demo`.

    SELECTORS are the same in every command: 1234 (a turn), r17 (a request), c3 (a cancel), a5 (an
    actor), code=-36003 (what ended so), last (the last outcome that was no plain success).

    EXIT CODES: 0 fine; 1 the answer is bad; 2 usage, or nothing found; 3 the log is damaged.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main() -> NoReturn:
    """Run the command line: errors become one sentence and an exit code, never a traceback."""
    if sys.stdout is None:  # closed by whoever started us
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # for good
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # arrows, on a terminal without them
    try:
        code = _run()
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read us has enough; the interpreter must not try to flush once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FINE
    sys.exit(code)


def _run() -> int:
    try:
        # Not `cli.main`, which makes an exit code 1 of a closed pipe.
        with cli.make_context("rescind", sys.argv[1:]) as context:
            cli.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return NOTHING
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except RescindError as error:
        return complain(str(error), DAMAGED if isinstance(error, LogDamagedError) else NOTHING)
    except BrokenPipeError:
        raise
    except OSError as error:
        return complain(f"{error.filename or 'input'}: {error.strerror or error}", NOTHING)
    return FINE
