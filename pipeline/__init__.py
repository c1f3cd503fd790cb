"""What the stages are made of. Knows nothing of DVC."""
