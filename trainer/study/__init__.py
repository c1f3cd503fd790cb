"""Several seeds of every method, trials on validation, ablations, intervals and tests: the evidence."""
