"""Array operations below the model: attention, rotary positions."""
