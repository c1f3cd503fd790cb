"""One file = one DVC stage = one `lempo` command = one function: paths and settings in, files out."""
