"""Records, images and texts into batches (no jax in here)."""
