"""What generated pages take from the sources: first lines, notes beside fields, signatures."""

import ast
import inspect
import itertools
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

COLUMNS = 92

Row = Sequence[object]


def table(head: Row, rows: Iterable[Row]) -> str:
    """Return a table, and what separates it from the next thing."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines) + "\n"


def _cell(content: object) -> str:
    return str(content).replace("|", "\\|")


def plain(text: str) -> str:
    """Return a docstring's words as Markdown, on one line."""
    return " ".join(text.replace("``", "`").split())


def summary(thing: Any) -> str:
    """Return the first paragraph of a docstring."""
    return fragment(plain((inspect.getdoc(thing) or "").partition("\n\n")[0]))


def fragment(text: str) -> str:
    """Return a text as it stands in a cell: no full stop ends it unless there are others."""
    return text if ". " in text else text.removesuffix(".")


def attributes(cls: type) -> dict[str, str]:
    """Return what the section *Attributes* of a class says of each."""
    said: dict[str, list[str]] = {}
    section = (inspect.getdoc(cls) or "").partition("Attributes:\n")[2].partition("\n\n")[0]
    for line in textwrap.dedent(section).splitlines():
        if line[:1].strip():
            name, _, begin = line.partition(": ")
            said[name] = [begin]
        else:
            said[next(reversed(said))].append(line)
    return {name: fragment(plain(" ".join(lines))) for name, lines in said.items()}


def notes(source: Any) -> dict[str, str]:
    """Return the texts that stand below the names of a class or a module."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(source)))
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else tree.body
    found = {}
    for named, note in itertools.pairwise(body):
        match named, note:
            case (
                ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str() as text)),
            ):
                found[name] = fragment(plain(text.partition("\n\n")[0]))
            case _:
                pass
    return found


def signature(function: Callable[..., Any], indent: str = "") -> str:
    """Return a function's head as a stub would have it."""
    node = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    keyword = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    assert node.returns is not None
    begin, end = f"{keyword} {node.name}(", f") -> {ast.unparse(node.returns)}: ..."
    parts = _parameters(node.args, inspect.signature(function).parameters)
    line = f"{indent}{begin}{', '.join(parts)}{end}"
    if len(line) <= COLUMNS:
        return line
    inner = textwrap.fill(
        "\0".join(f"{part}," for part in parts).replace(" ", "\1").replace("\0", " "),
        COLUMNS,
        initial_indent=f"{indent}    ",
        subsequent_indent=f"{indent}    ",
    ).replace("\1", " ")
    return f"{indent}{begin}\n{inner}\n{indent}{end}"


def _parameters(given: ast.arguments, known: Mapping[str, inspect.Parameter]) -> list[str]:
    positional = [*given.posonlyargs, *given.args]
    defaults = [*[None] * (len(positional) - len(given.defaults)), *given.defaults]
    parts = [
        *zip(positional, defaults, strict=True),
        *zip(given.kwonlyargs, given.kw_defaults, strict=True),
    ]
    heads = [_parameter(each, default, known) for each, default in parts]
    if given.kwonlyargs:
        heads.insert(len(positional), "*")
    return heads


def _parameter(
    given: ast.arg, default: ast.expr | None, known: Mapping[str, inspect.Parameter]
) -> str:
    """Return one parameter; a default that is a plain value is shown and not named."""
    typed = "" if given.annotation is None else f": {ast.unparse(given.annotation)}"
    if default is None:
        return f"{given.arg}{typed}"
    value = known[given.arg].default
    is_plain = value is None or isinstance(value, bool | int | float | str)
    shown = repr(value) if is_plain else ast.unparse(default)
    return f"{given.arg}{typed} = {shown}".replace("'", '"')
