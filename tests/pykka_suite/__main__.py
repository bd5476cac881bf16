"""Run Pykka's own test suite with our actor class as one more of its runtimes.

    python -m tests.pykka_suite                       the suite of the installed Pykka, fetched
    python -m tests.pykka_suite pykka-4.5.0.tar.gz    the suite in a source archive that is here

It wants pip, a package index that pip knows, and pytest-mock (``pip install -e '.[check]'``).
"""

import os
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

import rescind

PLUGIN = Path(__file__).with_name("rescind_runtime.py")


def fetch(folder: Path) -> Path:
    """Fetch the source archive of the Pykka that is installed; pip knows from where."""
    wanted = f"pykka=={version('pykka')}"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "pykka"]
    subprocess.run([*pip, "--dest", str(folder), wanted], check=True)
    [archive] = folder.glob("*.tar.gz")
    return archive


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a source archive; return the folder in which ``tests`` is."""
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    [conftest] = folder.glob("*/tests/conftest.py")
    return conftest.parents[1]


def command() -> list[str]:
    """Return the command that runs the suite beside which it is called."""
    pytest = [sys.executable, "-m", "pytest", "-p", PLUGIN.stem, "-p", "no:randomly"]
    return [*pytest, "--rootdir", ".", "--timeout", "60", "-q", "tests"]


def environment() -> dict[str, str]:
    """Return the environment in which pytest finds rescind and the plugin.

    The plugin is found by its folder: the package ``tests`` is Pykka's own there.
    """
    paths = [PLUGIN.parent, Path(rescind.__file__).parents[1]]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}


def main(archive: str | None = None) -> int:
    """Run the suite in a temporary folder; return pytest's exit code."""
    with tempfile.TemporaryDirectory(prefix="pykka-suite-") as name:
        folder = Path(name)
        suite = unpack(fetch(folder) if archive is None else Path(archive), folder)
        print(f"Pykka {version('pykka')}, its own suite", flush=True)
        return subprocess.run(command(), cwd=suite, env=environment(), check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
