"""The rules of the house that no linter knows.

Each test reads the sources and imports nothing of them, so that it also speaks when they do not
import.  A rule that is in the way is argued about here, in the open, and not worked around.
"""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("actors", "events", "replay")
LINES_MAX = 600
LONG_FOR_A_REASON = "# over 600 lines because"
MAY_PRINT = {"replay/commands/_shared.py", "replay/_demo/demo.py"}
BANNED_CALLS = {"eval", "exec"}
BANNED_MODULES = {"marshal", "pickle", "shelve"}
# Chance, clocks, threads and the world come from other floors; these would be a second source.
OUTSIDE = {
    *{"asyncio", "datetime", "os", "random", "secrets", "selectors", "socket", "subprocess"},
    *{"threading", "time", "uuid"},
}
HOME_OR_WORK_PATH = re.compile(r"(?<![\w.])/(?:home|root|Users|work)/[\w.]")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def sources_of_the_project() -> Iterator[Path]:
    """Yield what git tracks or would track; without git, all that looks like a source."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        for top in (*FOLDERS, "docs", "src", "tests"):
            yield from (ROOT / top).rglob("*.*")
        yield from ROOT.glob("*.*")
    else:
        yield from (ROOT / name for name in listed.decode().split("\0") if name)


TRACKED = sorted(
    path for path in sources_of_the_project() if path.is_file() and "__pycache__" not in path.parts
)
CODE = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
PYTHON = sorted({*CODE, *(path for path in TRACKED if path.suffix == ".py")})


def pure(path: Path) -> bool:
    """Say whether *path* stands below the runtime floor: the kernel and the protocol tables."""
    parts = path.relative_to(ROOT).parts
    return parts[0] == "actors" and (
        parts[1] == "kernel" or parts[-1] in {"_protocol.py", "_codes.py"}
    )


def without_types(tree: ast.Module) -> ast.Module:
    """Return *tree* without its `if TYPE_CHECKING:` blocks: a name for a type brings nothing in."""
    body = [node for node in tree.body if not _is_for_types(node)]
    return ast.Module(body=body, type_ignores=[])


def _is_for_types(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    )


def imported_modules(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
    return names


def called_names(tree: ast.AST) -> set[str]:
    return {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def by_path(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=relative)


def test_there_is_code_to_look_at():
    assert {path.relative_to(ROOT).parts[0] for path in CODE} == set(FOLDERS)
    assert any(pure(path) for path in CODE)


@by_path(PYTHON)
def test_a_long_file_says_why(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LINES_MAX or LONG_FOR_A_REASON in text


def test_no_file_names_a_folder_of_one_machine():
    found = []
    for path in TRACKED:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a recording, not a text
        found += [
            f"{relative(path)}:{number}: {line.strip()[:80]}"
            for number, line in enumerate(text.splitlines(), 1)
            if HOME_OR_WORK_PATH.search(line)
        ]
    assert not found


@by_path(CODE)
def test_a_module_keeps_the_rules_of_the_house(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = {name.split(".")[0] for name in imported_modules(tree)}
    calls = called_names(tree)
    assert not modules & set(FOLDERS), (
        "across folders write rescind.x, inside one a relative import"
    )
    assert not modules & BANNED_MODULES, "a log is data, never code"
    assert not calls & BANNED_CALLS, "a log is data, never code"
    assert relative(path) in MAY_PRINT or "print" not in calls
    assert ast.get_docstring(tree), "a module says in its first line what it is for"


@by_path([path for path in CODE if pure(path)])
def test_what_is_pure_meets_no_clock_no_chance_and_no_thread(path):
    tree = without_types(ast.parse(path.read_text(encoding="utf-8")))
    assert not {name.split(".")[0] for name in imported_modules(tree)} & OUTSIDE


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_room_says_what_it_is_for_and_only_reexports(folder):
    """A folder's own `__init__` holds imports, `__all__` and at most a lazy look-up."""
    tree = ast.parse((ROOT / folder / "__init__.py").read_text(encoding="utf-8"))
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert functions <= {"__getattr__", "__dir__"}
    assert not [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
