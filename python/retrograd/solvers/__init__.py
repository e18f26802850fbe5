"""Ways to train on all rows at once, besides the mini-batches of `retrograd.training`."""
