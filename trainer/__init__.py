"""What learns and measures: features and texts in, a tuned text encoder and its figures out."""
