"""Training over epochs: the trainer and its parts, one thing in each file."""
