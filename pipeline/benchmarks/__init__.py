"""Readers for published benchmarks of composed image retrieval, each in the layout it is handed out in."""
