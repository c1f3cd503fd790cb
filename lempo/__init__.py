"""The front door: the `lempo` command, and one file for each tool that no DVC stage runs."""
