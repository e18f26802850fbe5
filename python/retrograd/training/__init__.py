"""Training over epochs: the trainer and what it is made of, one thing a file."""
