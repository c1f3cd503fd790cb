"""What a language stage waits for before vLLM takes its first request."""

from statistics import median

from speed.figures import Figure, Run, in_turns, seconds, spread

_IMPORT = "from vllm import LLM"
_ENGINE = """
from pathlib import Path
from pipeline.base.params import load_params
from pipeline.llm.vllm_engine import VllmEngine
params = load_params()
speed = {**params.speed.llm, **%s}
if __name__ == "__main__":
    VllmEngine(params.llm, speed, params.seed, Path()).close()
"""
_APART = {"distributed_executor_backend": "mp"}


def measure(run: Run) -> dict[str, Figure]:
    programs = {"engine": _ENGINE % {}, "apart": _ENGINE % _APART, "import": _IMPORT}
    run.python("-c", programs["engine"])  # reads the files
    spent = in_turns(
        {name: lambda of=of: seconds(lambda: run.python("-c", of)) for name, of in programs.items()},  # type: ignore[misc]
        run.turns,
    )
    against = (
        f"a process that only imports vLLM, in turns, took {median(spent['import']):.1f} s; one whose vLLM "
        f"gives the model a process of its own took {median(spent['apart']):.1f} s. Starts vLLM with the "
        f"embedded captioner, and ends it; median of {run.turns}"
    )
    return {"vllm_start_seconds": spread(spent["engine"], "seconds", against)}
