"""Runs the jobs of a study in worker processes, one thread each, and skips those whose result is there."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from pipeline.base.errors import UserError
from pipeline.base.expected import Expected
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.progress import Progress
from trainer.retrieval.metrics import objective
from trainer.study.plan import (
    ABLATIONS,
    BEYOND,
    CURVES,
    QUALITY,
    Job,
    further_seeds,
    learning,
    same_tower,
    trials,
    untrained,
    variants,
)
from trainer.study.store import Store

log = logging.getLogger(__name__)

Results = dict[Job, dict[str, Any]]


@dataclass
class Evidence:
    """All results of a study.

    Attributes:
        params: of the run.
        results: of every job.
        best: of the trials of a method and its text tower, the one that validation prefers.
        variants: the jobs of ablations and of what goes beyond the method: job -> what is changed.
        fewer: the jobs that are trained on fewer queries, with the first seed: job -> how many.
        details: dataset -> what was measured of the hybrid's text tower beside its metrics.
        cost: dataset -> seconds of a step with the vision tower fixed and trained.
    """

    params: Params
    results: Results
    best: list[Job]
    variants: dict[Job, str]
    fewer: dict[Job, str]
    details: dict[str, dict[str, Any]]
    cost: dict[str, dict[str, float]]


def run_study(params: Params, paths: Paths) -> Evidence:
    """Run the missing jobs of the study, for all datasets of `params.yaml`.

    Raises:
        UserError: a table, the features or the model is missing.
    """
    from trainer.study.data import count_train_queries, edits_are_known, load_model

    identity, expected = load_model(params, paths).identity, Expected(params, paths)
    store, datasets = Store(paths, params, identity), params.datasets
    with _pool(params, paths, store) as pool:
        results = _run(untrained(params, datasets) + trials(params, datasets), store, pool, "trials")
        best = best_trials(results)
        hybrids = [job for job in best if job.method == "hybrid"]
        drawn = [job for job in preferred_towers(best, results) if job.method in CURVES]
        changed, fewer = variants(hybrids, {**ABLATIONS, **BEYOND}), dict[Job, str]()
        for dataset in datasets:
            worse = QUALITY if edits_are_known(expected, dataset) else {}
            changed |= variants(_of(hybrids, dataset), worse)
            fewer |= variants(_of(drawn, dataset), learning(count_train_queries(expected, dataset)))
        jobs = [*changed, *fewer, *further_seeds(params, [*best, *fewer])]
        results |= _run(jobs, store, pool, "seeds and ablations")
        details = _details(hybrids, store, pool, results)
    cost = {dataset: measured.pop("cost") for dataset, measured in details.items()}
    return Evidence(params, results, best, changed, fewer, details, cost)


def best_trials(results: Results) -> list[Job]:
    """Of the trials of each dataset, method and text tower, the one with the best validation."""
    trained = [job for job in results if job.hyperparameters]
    return _best(trained, results, lambda job: (job.dataset, job.method, job.text_tower))


def preferred_towers(best: Sequence[Job], results: Results) -> list[Job]:
    """Of the best trials of each dataset and method, that of the text tower with the best validation."""
    return _best(best, results, lambda job: (job.dataset, job.method))


def _best(jobs: Sequence[Job], results: Results, group: Callable[[Job], Hashable]) -> list[Job]:
    groups: dict[Hashable, list[Job]] = {}
    for job in jobs:
        groups.setdefault(group(job), []).append(job)
    return [max(of, key=lambda job: objective(results[job]["validation"])) for of in groups.values()]


def _of(jobs: Sequence[Job], dataset: str) -> list[Job]:
    return [job for job in jobs if job.dataset == dataset]


def _run(jobs: Sequence[Job], store: Store, pool: ProcessPoolExecutor, what: str) -> Results:
    keys = {job: store.job_key(job) for job in jobs}
    results = {job: result for job in jobs if (result := store.read(keys[job])) is not None}
    missing = [job for job in jobs if job not in results]
    towers: dict[Hashable, list[Job]] = {}
    for job in missing:
        towers.setdefault(same_tower(job), []).append(job)
    futures = {pool.submit(_work, [(job, keys[job]) for job in of]): of for of in towers.values()}
    with Progress(total=len(jobs), initial=len(results), title=what, unit="job") as bar:
        for future in as_completed(futures):
            for job, result in zip(futures[future], future.result(), strict=True):
                results[job] = result
                bar.update()
                log.info("%s: %s", job, _line(result))
    return {job: results[job] for job in jobs}


def _line(result: dict[str, Any]) -> str:
    epoch = f", best epoch {result['best_epoch']} of {result['epochs']}" if "epochs" in result else ""
    reached = result["validation"]["mean_recall"]
    return f"validation mean recall {reached:.2f}{epoch}, {result['seconds']:.0f} s"


def _details(
    hybrids: Sequence[Job], store: Store, pool: ProcessPoolExecutor, results: Results
) -> dict[str, dict[str, Any]]:
    details = {}
    for job in Progress(hybrids, title="details", unit="dataset"):
        key = store.details_key(job)
        details[job.dataset] = (
            store.read(key)
            or pool.submit(_work_details, job, store.job_key(job), key, results[job]["chosen"]).result()
        )
    return details


@contextmanager
def _pool(params: Params, paths: Paths, store: Store) -> Iterator[ProcessPoolExecutor]:
    from pipeline.vision.vlm import resolve_device

    count = 1 if resolve_device(params.speed.device) == "cuda" else params.speed.workers
    context = get_context("spawn")  # torch and Arrow have threads in the parent, which a fork would break
    ours, theirs = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(count, context, initializer=_begin, initargs=(params, paths, store, ours))
    try:
        yield pool
    except BaseException:
        theirs.close()  # ends the workers in the middle of their jobs
        raise
    finally:
        pool.shutdown(cancel_futures=True)


class _Worker:
    """What a worker process keeps between jobs: the model, and the datasets it has met."""

    def __init__(self, params: Params, paths: Paths, store: Store) -> None:
        from trainer.study.data import load_model, load_study_data

        self.params, self.store, vlm = params, store, load_model(params, paths)
        self.data = cache(lambda dataset: load_study_data(params, paths, dataset, vlm))


_worker: _Worker


def _begin(params: Params, paths: Paths, store: Store, parent: Connection) -> None:
    global _worker
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends its workers
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    torch.set_num_threads(1)  # one job on each core, and the same sums with any number of cores
    _worker = _Worker(params, paths, store)


def _end_with(parent: Connection) -> None:
    """End this process once the other end of the pipe is closed, by the parent or by its death."""
    parent.poll(None)
    os._exit(1)


def _work(jobs: Sequence[tuple[Job, str]]) -> list[dict[str, Any]]:
    """Run jobs of the same text tower, and keep each result, under its key, as soon as it is there."""
    from trainer.study.jobs import run_jobs

    of = [job for job, _ in jobs]
    outcomes = run_jobs(of, _worker.data(of[0].dataset), _worker.params)
    return [
        _worker.store.write(key, result, state)
        for (_, key), (result, state) in zip(jobs, outcomes, strict=True)
    ]


def _work_details(job: Job, job_key: str, key: str, chosen: dict[str, Any]) -> dict[str, Any]:
    from trainer.study.details import measure_details, vision_cost

    datasets = {dataset: _worker.data(dataset) for dataset in _worker.params.datasets}
    state = _worker.store.state(job_key)
    if state is None:
        reason = "the text tower of a finished job is damaged"
        raise UserError(reason, "Run `lempo study` again: the job is run again", file=_worker.store.folder)
    details = measure_details(job.dataset, datasets, state, chosen, _worker.params)
    details["cost"] = vision_cost(datasets[job.dataset], _worker.params)
    return _worker.store.write(key, details)
