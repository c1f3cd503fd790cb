"""Processes of the engines, killed in the middle: python -m tests.soak.engine_death KIND AFTER."""

import json
import os
import random
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from pipeline.base.errors import UserError
from pipeline.base.params import load_params
from pipeline.llm import ray_engine
from pipeline.llm.engines import open_engine
from pipeline.llm.types import Result
from tests.language_toy import caption_requests
from tests.soak.trial import Outcome, each

PROMISE = (
    "The death of any process of an engine ends in an error with a remedy within a minute, or no row is lost."
)
HOW = (
    "The embedded captioner in real vLLM, in this process and on Ray, writes 60 captions. After a random "
    "one, SIGKILL ends vLLM's core or worker, a replica, the node's part of the cluster, or its head."
)
TEST_TRIALS = 0  # minutes each; tests/pipeline try the same
SOAK_TRIALS = 12

ROOT = Path(__file__).parents[2]
ROWS = 60
KINDS = {  # the engine, and the name of the process
    "vllm core": ("vllm", "EngineCore"),
    "core of a replica": ("ray", "EngineCore"),
    "worker of a replica": ("ray", "VLLM::Worker"),
    "replica": ("ray", "ray::MapWorker"),
    "raylet": ("ray", "raylet"),
    "head": ("ray", "gcs_server"),
}
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_NO_USAGE_STATS": "1"}


def run(trials: int, seed: int, folder: Path) -> Outcome:
    """Run the trials, each in a process of its own."""
    failures, ran, slowest, survived = [], 0, 0.0, 0
    for number in each(trials):
        ran += 1
        kind = list(KINDS)[number % len(KINDS)]
        after = random.Random(f"{seed} {number}").randint(1, ROWS // 2)
        command = [sys.executable, "-m", "tests.soak.engine_death", kind, str(after)]
        environment = os.environ | ENVIRONMENT | {"PYTHONPATH": str(ROOT)}
        what = f"trial {number}: {kind} killed after {after} texts"
        try:
            done = subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600
            )
            said = json.loads(done.stdout.splitlines()[-1])
        except (subprocess.TimeoutExpired, ValueError, IndexError) as error:
            failures.append(f"{what}: {error!r}")
            continue
        slowest, survived = max(slowest, said["seconds"] if said["ended"] else 0.0), survived + said["whole"]
        if not said["whole"] and not (said["ended"] and said["seconds"] < 60):
            failures.append(f"{what}: {said}")
    figures = {"survived with every row": survived, "slowest error, s": round(slowest, 1)}
    return Outcome(ran, tuple(failures), figures)


def _run_one(kind: str, after: int) -> dict[str, Any]:
    """What came of one run: whether all texts came, or an error ended it, and how long after the kill."""
    engine_name, victim = KINDS[kind]
    ray_engine.BATCH_ROWS = 4
    params = load_params(ROOT / "params.yaml")
    speed = {"llm": {"kv_cache_memory_bytes": 64_000_000, "max_num_seqs": 8}, "device": "cpu"}
    params = params.model_copy(
        update={
            "llm": params.llm.model_copy(update={"engine": engine_name}),
            "speed": params.speed.model_copy(update=speed),
        }
    )
    engine = open_engine(params, ROOT)
    results: dict[str, Result] = {}
    killed, ended, twice = 0.0, "", 0
    try:
        for result in engine.generate([request for request, _ in caption_requests(ROWS)]):
            twice += result.key in results
            results[result.key] = result
            if len(results) == after:
                _kill(victim)
                killed = time.monotonic()
    except UserError as error:
        ended = str(error)
    seconds = time.monotonic() - killed
    engine.close()
    whole = len(results) == ROWS and not twice and all(result.text for result in results.values())
    return {"whole": whole, "ended": ended, "seconds": seconds, "rows": len(results), "twice": twice}


def _kill(name: str) -> None:
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if name in " ".join([child.name(), *child.cmdline()]):
                child.kill()


if __name__ == "__main__":
    print(json.dumps(_run_one(sys.argv[1], int(sys.argv[2]))))
