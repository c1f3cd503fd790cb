"""Measurements of `make bench`; the figures are in `results.json`."""
