"""The three folders are what the wheel ships as `rescind.*`."""

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("actors", "events", "replay")
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_wheel_lists_every_package_and_no_other():
    found = {
        ".".join(("rescind", *init.parent.relative_to(ROOT).parts))
        for folder in FOLDERS
        for init in (ROOT / folder).rglob("__init__.py")
    }
    assert set(CONFIG["tool"]["setuptools"]["packages"]) == found | {"rescind"}


def test_every_folder_with_code_is_a_package():
    bare = {
        path.parent.relative_to(ROOT).as_posix()
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        if not (path.parent / "__init__.py").exists()
    }
    assert not bare


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_link_in_src_points_at_the_real_folder(folder):
    link = ROOT / "src" / "rescind" / folder
    assert link.is_symlink()
    assert not link.readlink().is_absolute()
    assert link.resolve() == ROOT / folder


def test_src_holds_the_face_what_stands_above_the_rooms_and_the_links_only():
    inside = {path.name for path in (ROOT / "src" / "rescind").iterdir()} - {"__pycache__"}
    assert inside == {"__init__.py", "otel.py", "py.typed", "pytest_plugin.py", *FOLDERS}


def test_pytest_finds_the_plugin():
    assert CONFIG["project"]["entry-points"]["pytest11"] == {"rescind": "rescind.pytest_plugin"}


def test_the_types_are_shipped():
    assert CONFIG["tool"]["setuptools"]["package-data"]["rescind"] == ["py.typed"]
    assert (ROOT / "src" / "rescind" / "py.typed").is_file()


def test_everything_beside_the_code_is_shipped():
    """What a module reads from its folder has to stand in the wheel."""
    beside = {
        path.relative_to(ROOT / folder).as_posix()
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    }
    patterns = CONFIG["tool"]["setuptools"]["package-data"]["rescind.replay"]
    shipped = {
        path.relative_to(ROOT / "replay").as_posix()
        for pattern in patterns
        for path in (ROOT / "replay").glob(pattern)
    }
    assert beside == shipped


def test_the_version_has_a_heading_in_the_changelog():
    version = CONFIG["project"]["version"]
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
