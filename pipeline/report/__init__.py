"""The report: one HTML page made from tables and metrics."""
