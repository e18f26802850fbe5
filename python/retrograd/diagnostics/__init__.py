"""Is something wrong with a network or its settings? Checks that are run beside training."""
