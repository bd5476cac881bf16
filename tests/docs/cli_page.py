"""Write docs/reference/command-line.md from the command line's own help.

Run `python -m tests.docs.cli_page` in the project's folder after a change of the help texts.
"""

from pathlib import Path

import click

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "command-line.md"
HEAD = """\
# The command line

<!-- Written by `python -m tests.docs.cli_page` from the program's own help; do not edit. -->

"""


def sections(command: click.Command, name: str, parent: click.Context | None = None) -> list[str]:
    """Return one section for *command* and one for each command below it."""
    settings = {**command.context_settings, "terminal_width": 80, "max_content_width": 80}
    context = click.Context(command, info_name=name, parent=parent, **settings)
    level = "##" if parent is None else "###"
    help_text = command.get_help(context)
    own = f"{level} `{context.command_path}`\n\n```text\n{help_text}\n```\n"
    if not isinstance(command, click.Group):
        return [own]
    below = [
        section
        for child in command.list_commands(context)
        if (found := command.get_command(context, child)) and not found.hidden
        for section in sections(found, child, context)
    ]
    return [own, *below]


def page() -> str:
    """Return the whole page."""
    from rescind.replay.cli import cli  # here, so that this module loads without the command line

    return HEAD + "\n".join(sections(cli, "rescind"))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
