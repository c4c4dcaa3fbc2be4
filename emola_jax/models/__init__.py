"""The model: vision tower, projectors, face prior, LLaMA with LoRA."""
