"""The training loop and its parts: loss, optimiser, log, validation."""
