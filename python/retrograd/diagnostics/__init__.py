"""Checks that tell whether something is wrong with a network or its settings; they run besides training."""
