"""lempo benchmark LAYOUT ROOT

Measures the methods that need neither an LLM nor training on a published benchmark, by its own protocol.
"""

from pipeline.base.params import Params
from pipeline.base.paths import Paths
from trainer.benchmarks.measure import Request, measure


def run(params: Params, paths: Paths, request: Request) -> None:
    """Measure, and print a table of the figures, or the files for the benchmark's server.

    Raises:
        UserError: what `measure` raises.
    """
    print(*measure(params, paths, request), sep="\n")
