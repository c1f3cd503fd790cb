"""Trains the embedded captioner: graphs and changes of them in, a small Llama folder out."""
