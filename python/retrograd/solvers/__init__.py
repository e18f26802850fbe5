"""Ways to train on all rows at once, beside the mini-batches of `retrograd.training`."""
