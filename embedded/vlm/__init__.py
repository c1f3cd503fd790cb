"""Trains the embedded vision language model: drawn scenes and captions in, an open_clip folder out."""
