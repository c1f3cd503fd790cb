"""One file for one DVC stage: one command, one function `run`; parameters and paths in, files out."""
