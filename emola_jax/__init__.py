"""EmoLA in JAX: facial affective behaviour analysis with instruction tuning."""
