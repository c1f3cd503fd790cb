"""All measurements: which module or command gives which figures, in the order in which they are run."""

import tempfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from speed.figures import ROOT, Figure, Run

MEASUREMENTS: dict[str, tuple[str, ...]] = {
    "start": ("help_seconds", "noop_repro_seconds"),
    "vllm_start": ("vllm_start_seconds",),
    "captions": ("caption_vs_vllm_bench", "prefix_hit_rate"),
    "full_cache": ("full_cache_stage_seconds",),
    "checking": ("checking_percent",),
    "embedding": ("embed_vs_joint_limit", "embed_vs_open_clip_loop", "embed_amp_bf16_vs_fp32"),
    "tuning": ("tune_vs_bare_text", "tune_vs_full_context", "tune_amp_bf16_vs_fp32"),
    "cached": ("cached_vs_uncached_step", "cached_vs_uncached_step_vit_b_32"),
    "ranking": ("rank_vs_matmul_topk", "rank_vs_faiss_flat"),
    "neighbours": ("crowded_vs_fair", "passive_waiting_cost"),
    "search": ("search_100k_ms", "search_100k_id_ms", "search_100k_filter_ms", "search_100k_exact_ms"),
    "pairs": ("pairs_100k_seconds", "pairs_100k_mb"),
}
LONG = dict.fromkeys(  # a run of hours gives these, so `make bench` does not: the figure, and its command
    ("million_rows_linear", "million_rows_peak_gib", "million_rows_change_seconds"),
    "python -m speed.rows --folder rows 100000 1000000",
)
NAMES = (*(name for names in MEASUREMENTS.values() for name in names), *LONG)
NEEDS = {"rank_vs_faiss_flat": ("faiss", "faiss-cpu")}  # a module, and the package that brings it


def module_of(name: str) -> str:
    """The module that gives a figure.

    Raises:
        KeyError: no module does.
    """
    return {figure: module for module, names in MEASUREMENTS.items() for figure in names}[name]


def expected(module: str) -> tuple[str, ...]:
    """The figures that a module gives with what is installed here."""
    return tuple(name for name in MEASUREMENTS[module] if name not in NEEDS or find_spec(NEEDS[name][0]))


def measure(module: str, quick: bool = False, root: Path = ROOT) -> dict[str, Figure]:
    """Run a measurement.

    Raises:
        UserError: something that it measures is missing.
        ValueError: its figures are not those that the registry names.
    """
    with tempfile.TemporaryDirectory(prefix="speed-") as folder:
        figures = import_module(f"speed.{module}").measure(Run(Path(folder), root, quick))
    if set(figures) != set(expected(module)):
        raise ValueError(
            f"no such figures are to come of {module}: {sorted(figures)}, not {sorted(expected(module))}"
        )
    return figures
