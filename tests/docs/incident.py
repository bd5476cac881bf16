"""Draw docs/examples/incident.svg from the log that docs/examples/incident.py writes.

Run `python -m tests.docs.incident` in the project's folder, and look at the picture.
"""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import rescind
from rescind.events import read
from rescind.replay import chart_of, chart_svg

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
PICTURE = EXAMPLES / "incident.svg"


def picture() -> str:
    """Return the picture of what the program records."""
    source = str(Path(rescind.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": source}
    with TemporaryDirectory() as folder:
        program = [sys.executable, str(EXAMPLES / "incident.py")]
        subprocess.run(
            program, cwd=folder, env=environment, check=True, capture_output=True, timeout=50
        )
        return chart_svg(chart_of(read(Path(folder) / "incident.log")))


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
