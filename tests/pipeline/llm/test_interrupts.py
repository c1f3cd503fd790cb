"""Ctrl-C while an engine loads: this process hears it at once, those that it starts never do."""

import multiprocessing
import os
import signal
import time
from contextlib import suppress
from multiprocessing.connection import Connection

import pytest

from pipeline.llm.interrupts import children_without_sigint, interrupt_at_once


def _report(pipe: Connection, depth: int) -> None:
    """Whether this process, and one that it starts, outlive SIGINT though they handle it, as vLLM's do."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.raise_signal(signal.SIGINT)
    pipe.send(signal.SIGINT in signal.sigpending())
    if depth:
        child = multiprocessing.get_context("fork").Process(target=_report, args=(pipe, depth - 1))
        child.start()
        child.join()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_started_here_are_deaf_to_it_and_so_are_theirs(method: str) -> None:
    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    process = context.Process(target=_report, args=(theirs, 1))
    with children_without_sigint():
        process.start()
    process.join(60)
    assert process.exitcode == 0 and [ours.poll(1) and ours.recv() for _ in range(2)] == [True, True]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_it_is_heard_where_a_keyboard_interrupt_is_swallowed() -> None:
    reached = False
    with pytest.raises(KeyboardInterrupt), interrupt_at_once():
        with suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        reached = True
    assert not reached and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_is_not_to_be_heard_stays_unheard() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupt_at_once():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
