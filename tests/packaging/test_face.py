"""The package's face: what it offers, and what it does not load."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import rescind
import rescind.events

FACE = Path(rescind.__file__)
SRC = FACE.parents[1]
COMMAND_LINE = {"click", "rich"}


def loaded_after(code: str, *arguments: str, cwd: Path | None = None) -> set[str]:
    """Return the modules a fresh interpreter has loaded after running *code*."""
    report = "\nimport sys, json; print('\\n' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, {str(SRC)!r})\n{code}{report}",
            *arguments,
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
        cwd=cwd,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_each_name_is_there():
    for name in rescind.__all__:
        assert getattr(rescind, name) is not None


def test_the_table_the_list_and_the_typed_imports_say_the_same():
    body = ast.parse(FACE.read_text(encoding="utf-8")).body
    (guard,) = [node for node in body if isinstance(node, ast.If)]
    typed = {
        alias.asname or alias.name
        for node in guard.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == set(rescind.__all__) == set(rescind._HOMES)
    assert rescind.__all__ == sorted(rescind.__all__)
    assert set(rescind.__all__) <= set(dir(rescind))


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        getattr(rescind, "nonsense")  # noqa: B009  # the checkers would refuse the plain form


def test_the_face_alone_loads_no_room():
    loaded = loaded_after("import rescind")
    assert not {name for name in loaded if name.startswith("rescind.")}


def test_the_event_log_loads_no_actor_library_and_no_command_line():
    loaded = loaded_after("import rescind.events")
    assert "rescind.events" in loaded
    assert not loaded & ({"pykka"} | COMMAND_LINE)
    assert not {name for name in loaded if name.startswith(("rescind.actors", "rescind.replay"))}


def test_the_runtime_loads_no_command_line():
    loaded = loaded_after("import rescind; rescind.Runtime; rescind.newton")
    assert "pykka" in loaded
    assert not loaded & (COMMAND_LINE | {"opentelemetry"})
    assert not {name for name in loaded if name.startswith("rescind.replay")}


def test_info_reads_a_log_without_pykka_and_without_a_driver(tmp_path):
    log = tmp_path / "tiny.log"
    rescind.events.Log.create_or_open(log).close()
    code = (
        "from rescind.replay.cli import main\n"
        "sys.argv[0] = 'rescind'\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code"
    )
    loaded = loaded_after(code, "info", str(log), cwd=tmp_path)
    assert "rescind.replay.cli" in loaded
    assert "pykka" not in loaded
    assert not {name for name in loaded if ".drivers" in name}
    assert not {name for name in loaded if name.startswith("rescind.actors.runtime")}
