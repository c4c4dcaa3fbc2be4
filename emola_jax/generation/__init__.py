"""Writing answers: compiled prefill, decoding and choice of the next token."""
