"""Measurements: each module writes its figures into `benchmarks/results.json`."""
