"""The released folders through configs/emola.py: ids, masks, the exported tokenizer."""

import json
import shutil

import numpy as np
import pytest
import sentencepiece
from tokenizers import Tokenizer as Backend

from configs import emola
from emola_jax.config.run import RunConfig
from emola_jax.experiment import base, splits
from emola_jax.formats.hf_tokenizer import tokenizer_files
from tests.formats.whole_folders import change_json, original
from tests.parity import golden


@pytest.fixture(scope='module', params=['emollava', 'llava'])
def opened(request, tmp_path_factory):
    """Tokenizer and encoder that a run of configs/emola.py has."""
    tmp = tmp_path_factory.mktemp('door')
    folder = original(tmp / 'llava')
    change_json(folder / 'config.json', model_type=request.param)
    config = emola.get_config('emotion')
    config.base.llava = str(folder)
    config.base.clip = str(golden.RELEASED / 'openai' / 'clip-tiny-patch14-56')
    config.data.image_size = golden.CFG.vision.image_size
    config = RunConfig.from_config_dict(config)
    assert base.missing(config.base) == []
    tokenizer = base.load_tokenizer(config.base)
    encoder = splits.Encoder(
        splits.pipeline_config(config, golden.CFG),
        tokenizer,
        splits.TEMPLATES[config.data.template],
    )
    return tokenizer, encoder


def test_every_training_conversation_has_the_recorded_ids_and_mask(opened):
    _, encoder = opened
    records = {image: record for (_, image), record in golden.records('train').items()}
    checked = 0
    for number, images in enumerate(golden.facts('training')['images']):
        ids, labels = (
            golden.arrays('training')[f'batch{number}/{n}'] for n in ('input_ids', 'labels')
        )
        for row, image in enumerate(images):
            talk = encoder.conversation(records[image])
            used = len(talk.tokens)
            tokens = golden.widen_tokens(ids[row])
            targets = golden.widen_labels(labels[row], ids[row])[1 : used + 1]
            np.testing.assert_array_equal(talk.tokens, tokens[:used])
            np.testing.assert_array_equal(talk.loss_weights > 0, targets >= 0)
            checked += 1
    assert checked == 20


def test_the_exported_tokenizer_has_sentencepieces_ids(opened, tmp_path):
    tokenizer, _ = opened
    files = tokenizer_files(tokenizer, starts_with_bos=True)
    (tmp_path / 'tokenizer.json').write_text(json.dumps(files['tokenizer.json']))
    theirs = Backend.from_file(str(tmp_path / 'tokenizer.json'))
    shutil.copy(golden.FOLDER / 'llama_tokenizer' / 'tokenizer.model', tmp_path)
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / 'tokenizer.model'))
    for text in ('\nWhat AUs', ' a', 'AU12: 0.85', '顔 🙂', 'a\n\nb '):
        assert theirs.encode(text, add_special_tokens=False).ids == pieces.encode(text), text
