"""What the command line says of formats and types, known without importing what does the work."""

from __future__ import annotations

PURPOSES = {
    'emola': 'adapter and projectors in the files that the released code loads on LLaVA-1.5',
    'peft': 'adapter that PEFT loads on a llava-hf model, with both projectors beside it',
    'hf': 'merged and self-contained, loaded by transformers with trust_remote_code=True',
    'llava-hf': 'merged plain LLaVA for transformers; the prior token is DROPPED',
}
"""Format -> one line for --help."""

DTYPE_NAMES = ('float32', 'bfloat16', 'float16')

DEFAULT_SHARD_SIZE = 5_000_000_000
"""Bytes of tensors in one file."""
