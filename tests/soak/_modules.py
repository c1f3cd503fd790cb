"""The modules of trials of this folder."""

from importlib import import_module
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parent
NEEDED = ("PROMISE", "HOW", "TEST_TRIALS", "SOAK_TRIALS", "run")


def names() -> list[str]:
    """Modules with a promise, by name; nothing is imported."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if "\nPROMISE" in path.read_text())


def is_slow(name: str) -> bool:
    """Whether the module says that its trials take more than a few seconds."""
    return "\nSLOW = True" in (FOLDER / f"{name}.py").read_text()


def load(name: str) -> ModuleType:
    """Import a module of trials.

    Raises:
        ImportError: it lacks a name that `trial.py` asks for.
    """
    module = import_module(f"tests.soak.{name}")
    if missing := [needed for needed in NEEDED if not hasattr(module, needed)]:
        raise ImportError(
            f"tests/soak/{name}.py has no {', '.join(missing)}; tests/soak/trial.py explains them"
        )
    return module
