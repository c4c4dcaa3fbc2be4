"""A tokenizer as `AutoTokenizer` loads it, with a placeholder for image positions."""

from __future__ import annotations

import json

import tokenizers
from tokenizers import processors

from emola_jax.errors import UserError
from emola_jax.files.json_values import JsonObject
from emola_jax.models.tokenizer import Tokenizer

IMAGE_TOKEN = '<image>'


def image_token_id(tokenizer: Tokenizer) -> int:
    """What stands at visual positions: the id after all others, unless there is a token for it."""
    known = tokenizer.backend.token_to_id(IMAGE_TOKEN)
    return tokenizer.backend.get_vocab_size() if known is None else known


def tokenizer_files(tokenizer: Tokenizer, *, starts_with_bos: bool) -> dict[str, JsonObject]:
    """File name -> content: the tokenizer as it is, so that every text keeps its ids.

    Two things are added. The image placeholder is a special token; `tokenizers` encodes the texts
    on its two sides apart, as our prompts do. A BOS opens every text where the prompts start with
    one.

    Args:
      tokenizer: the language model's.
      starts_with_bos: whether prompts start with the tokenizer's BOS, if it has one.

    Raises:
      UserError: a special token's id has no token.
    """
    backend = tokenizers.Tokenizer.from_str(_sides_apart(tokenizer.backend.to_str()))
    backend.add_special_tokens([tokenizers.AddedToken(IMAGE_TOKEN, normalized=False, special=True)])
    names = {'eos_token': tokenizer.eos_id, 'pad_token': tokenizer.pad_id}
    if tokenizer.bos_id is not None:
        names['bos_token'] = tokenizer.bos_id
    special = {name: _token(backend, index) for name, index in names.items()}
    if starts_with_bos and tokenizer.bos_id is not None:
        bos = special['bos_token']
        backend.post_processor = processors.TemplateProcessing(
            single=f'{bos} $A',
            pair=f'{bos} $A {bos}:1 $B:1',
            special_tokens=[(bos, tokenizer.bos_id)],
        )
    else:
        # Not None, which makes transformers put one of its own there.
        backend.post_processor = processors.TemplateProcessing(single='$A', pair='$A $B:1')
    config = {
        'tokenizer_class': 'PreTrainedTokenizerFast',
        **special,
        'image_token': IMAGE_TOKEN,
        'padding_side': 'left',
        'clean_up_tokenization_spaces': False,
        'model_input_names': ['input_ids', 'attention_mask'],
    }
    return {'tokenizer.json': json.loads(backend.to_str()), 'tokenizer_config.json': config}


def _sides_apart(backend: str) -> str:
    """Gives the text after a special token the prefix that SentencePiece gives any text.

    With Metaspace's scheme 'first', which transformers sets, only the very first text gets it; our
    prompts encode the text after the image as one of its own.
    """
    state = json.loads(backend)
    pre_tokenizer = state['pre_tokenizer'] or {}
    if pre_tokenizer.get('type') == 'Metaspace' and pre_tokenizer['prepend_scheme'] == 'first':
        pre_tokenizer['prepend_scheme'] = 'always'
    return json.dumps(state)


def _token(backend: tokenizers.Tokenizer, index: int) -> str:
    token = backend.id_to_token(index)
    if token is None:
        raise UserError(f'the tokenizer has no token of id {index}, which it names as special')
    return token
