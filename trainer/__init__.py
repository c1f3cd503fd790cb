"""Similarities, losses, tuning, comparators and retrieval metrics: pure tensor functions and a small loop."""
