"""The `lempo` command in a process of its own."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def lempo(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder, with this project's code and nothing else of the surroundings."""
    return subprocess.run(
        [sys.executable, "-m", "lempo.cli", *arguments],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
