"""How threads of PyTorch and vLLM wait for each other."""

from collections.abc import MutableMapping

POLICY, SPINS = "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"


def soon_sleep(environment: MutableMapping[str, str]) -> None:
    """Let threads that wait soon sleep, and leave their cores to others; PyTorch reads the variables once.

    A policy that a person has set stays.
    """
    if POLICY not in environment:
        environment[POLICY] = "PASSIVE"
        environment.setdefault(SPINS, "3000")  # to sleep at once costs a fifth on an idle machine
