"""Random sequences of faults of a server against random rows, through the real endpoint engine."""

import random
import re
import time
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

from pipeline.base.errors import UserError
from pipeline.base.params import load_params
from pipeline.llm import endpoint_engine
from pipeline.llm.endpoint_engine import CLOSE_S, FAILURES_IN_A_ROW, EndpointEngine
from pipeline.llm.types import Request, Result, Sampling
from tests.faulty_server import FAULTS, KEY, FaultyServer, right_text
from tests.soak.trial import Outcome, each

PROMISE = (
    "Whatever a server answers, each row gets its own text or a reason, once, in bounded time. No key leaks."
)
HOW = (
    "A server on this machine gives random faults to random rows: broken connections, drips, odd statuses, "
    "headers and values. Requests are counted. Some runs are closed in the middle."
)
TEST_TRIALS = 3
SOAK_TRIALS = 1000

ROOT = Path(__file__).parents[2]
PARAMS = load_params(ROOT / "params.yaml")
TIMEOUT_S = 2.0  # on a machine that may be busy
LONGEST_WAIT_S = 0.05
SPARE_S = 5.0  # of a busy machine


def run(trials: int, seed: int, folder: Path) -> Outcome:
    """Run the trials; the server is asked over the loopback device."""
    failures, ran, requests, rows, slowest_close = [], 0, 0, 0, 0.0
    patches = {"FIRST_WAIT_S": 0.01, "LONGEST_WAIT_S": LONGEST_WAIT_S}
    with (
        mock.patch.dict("os.environ", {"OPENAI_API_KEY": KEY}),
        mock.patch.multiple(endpoint_engine, **patches),
    ):
        for number in each(trials):
            ran += 1
            trial = _Trial(random.Random(f"{seed} {number}"))
            failures.extend(f"trial {number}: {wrong}" for wrong in trial.run()[:1])
            requests, rows = requests + sum(trial.seen.values()), rows + len(trial.plan)
            slowest_close = max(slowest_close, trial.closing_s)
    figures: dict[str, float | int | str] = {"rows": rows, "requests": requests}
    return Outcome(ran, tuple(failures), figures | {"slowest close, s": round(slowest_close, 2)})


class _Trial:
    """Rows, each with the faults that its tries meet before an answer is right."""

    def __init__(self, draw: random.Random) -> None:
        self.retries = draw.randint(0, 3)
        self.concurrency = draw.choice([1, 3, 16, 40])
        names = draw.sample(sorted(FAULTS), draw.choice([1, 5, len(FAULTS)]))
        share = draw.choice([0.05, 0.3, 0.8])  # of tries that meet a fault
        tries = range(self.retries + 1)
        self.plan = {
            f"row {i}": [draw.choice(names) if draw.random() < share else None for _ in tries]
            for i in range(draw.randint(1, 40))
        }
        self.stop_after = draw.randrange(len(self.plan)) if draw.random() < 0.3 else None
        self.seen: Mapping[str, int] = {}
        self.closing_s = 0.0

    def run(self) -> list[str]:
        """What did not hold."""
        speed = {
            "endpoint_concurrency": self.concurrency,
            "endpoint_timeout_s": TIMEOUT_S,
            "endpoint_retries": self.retries,
        }
        llm = {"engine": "endpoint", "model": "served"}
        results: list[Result] = []
        down = False
        with FaultyServer(lambda word, count: self.plan[word][count - 1]) as server:
            self.seen = server.seen
            engine = EndpointEngine(
                PARAMS.llm.model_copy(update=llm | {"endpoint": server.url}),
                PARAMS.speed.model_copy(update=speed),
            )
            since = time.monotonic()
            try:
                for result in engine.generate(map(_request, self.plan)):
                    results.append(result)
                    if len(results) == self.stop_after:
                        break
            except UserError:
                down = True
            took, closing = time.monotonic() - since, time.monotonic()
            engine.close()
            self.closing_s = time.monotonic() - closing
        return self._wrong(results, down, took)

    def _wrong(self, results: list[Result], down: bool, took: float) -> list[str]:
        wrong = [fault for result in results if (fault := self._wrong_result(result))]
        keys = [result.key for result in results]
        if len(set(keys)) < len(keys):
            wrong.append("a row came twice")
        failed = sum(result.external for result in results)
        if down and failed < max(FAILURES_IN_A_ROW, self.concurrency):
            wrong.append(f"ended for {failed} failures")
        if not down and self.stop_after is None and len(keys) < len(self.plan):
            wrong.append(f"{len(self.plan) - len(keys)} rows never came")
        wrong += [
            f"{word}: {count} requests" for word, count in self.seen.items() if count > self.retries + 1
        ]
        rounds = -(-len(self.plan) // self.concurrency)
        limit = rounds * (self.retries + 1) * (TIMEOUT_S + LONGEST_WAIT_S) + SPARE_S
        if took > limit:
            wrong.append(f"took {took:.1f} s, more than {limit:.1f} s")
        if self.closing_s > CLOSE_S:
            wrong.append(f"closed in {self.closing_s:.1f} s")
        return wrong

    def _wrong_result(self, result: Result) -> str | None:
        word, asked = result.key, 0
        error: str | None = None
        for name in self.plan[word]:
            asked += 1
            error = None if name is None else FAULTS[name].error
            if name is None or error is None or not FAULTS[name].again:
                break
        right = result.text == right_text(word) if error is None else re.search(error, result.error or "")
        if not right:
            return f"{word} met {self.plan[word]} and became {result}"
        if self.seen[word] != asked:
            return f"{word} met {self.plan[word]} and was asked {self.seen[word]} times"
        said = f"{result.text} {result.error}"
        return "a key leaks" if any(KEY[i : i + 8] in said for i in range(len(KEY) - 7)) else None


def _request(word: str) -> Request:
    return Request(word, [{"role": "user", "content": word}], Sampling.of(0, 1, 0), 40, None)
