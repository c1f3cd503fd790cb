"""A process for each measurement, so that threads, memory and imports of one are not those of the next."""

import traceback
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from pipeline.base.errors import UserError
from speed.figures import Figure
from speed.registry import measure


def measure_apart(module: str, quick: bool) -> dict[str, Figure] | None:
    """The figures of a measurement; None if it failed, which is printed."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(_measured, module, quick).result()
        except Exception:  # the process itself was ended
            traceback.print_exc()
            return None


def _measured(module: str, quick: bool) -> dict[str, Figure] | None:
    try:
        return measure(module, quick)
    except UserError as error:
        print(f"error: {error}", flush=True)
    except Exception:
        traceback.print_exc()
    return None
