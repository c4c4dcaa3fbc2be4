"""LLaVA folders as people have them: weights, config.json and a tokenizer together."""

import json
import shutil

from tokenizers import AddedToken, normalizers
from transformers import LlamaTokenizer

from tests.formats.checkpoints import BASE, TOKENIZER

ADDED = {'<image>': 512, '<pad>': 513}


def original(folder, **tokenizer_config):
    """liuhaotian's layout: tokenizer.model and tokenizer_config.json, here with fields changed."""
    shutil.copytree(BASE, folder)
    for path in TOKENIZER.glob('*'):
        if path.name != 'encoded.json':
            shutil.copy(path, folder)
    change_json(folder / 'tokenizer_config.json', **tokenizer_config)
    return folder


def llava_hf(folder, *, prepends=True, model=False, tokenizer_class='LlamaTokenizer'):
    """llava-hf's layout: a tokenizer.json with two added tokens.

    Args:
      folder: to be made.
      prepends: whether the leading space is a normalizer's work, as transformers 4 saved it, or
        that of Metaspace, as 5 does.
      model: keep tokenizer.model as well.
      tokenizer_class: as tokenizer_config.json names it.
    """
    original(folder)
    fast = LlamaTokenizer.from_pretrained(TOKENIZER)
    backend = fast.backend_tokenizer
    backend.add_tokens([AddedToken(name, normalized=False, special=True) for name in ADDED])
    if prepends:
        backend.normalizer = normalizers.Sequence(
            [normalizers.Prepend('\u2581'), normalizers.Replace(' ', '\u2581')]
        )
    backend.save(str(folder / 'tokenizer.json'))
    if prepends:
        change_json(folder / 'tokenizer.json', pre_tokenizer=None)
    config = {'tokenizer_class': tokenizer_class, 'legacy': False, 'pad_token': '<pad>'}
    special = {'bos_token': '<s>', 'eos_token': '</s>', 'unk_token': '<unk>'}
    (folder / 'tokenizer_config.json').write_text(json.dumps(config | special))
    (folder / 'special_tokens_map.json').unlink()
    change_json(folder / 'config.json', model_type='llava')
    if not model:
        (folder / 'tokenizer.model').unlink()
    return folder


def change_json(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
