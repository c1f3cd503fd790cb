"""What the stages are made of, room by room; knows nothing of DVC."""
