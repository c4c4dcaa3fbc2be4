"""The released numbers through the config's own door: configs/emola.py on whole folders.

The folders are those that people have: weights, config.json and tokenizer together.
"""

import json

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from configs import emola
from emola_jax.config.run import RunConfig
from emola_jax.evaluation import evaluate
from emola_jax.experiment import prepare as experiment
from input_pipeline.conversation import VISUAL_TOKEN
from input_pipeline.prompt_batches import prompt_batch
from tests.formats.checkpoints import CLIP
from tests.formats.whole_folders import original
from tests.parity import golden

CASES = golden.facts('generation')
SURE = 1e-3
"""A greedy choice may differ where the reference's two best logits are nearer than this."""


@pytest.fixture(scope='module')
def door(tmp_path_factory):
    """prepare(settings of `data`) on the released base and faces, in a cache of its own."""
    folder = tmp_path_factory.mktemp('door')
    llava = original(folder / 'llava')
    sizes = {**golden.CFG.to_dict(), 'dtype': 'float32', 'param_dtype': 'float32', 'remat': 'none'}
    known = emola.get_config().model.keys()
    patch = pytest.MonkeyPatch()
    patch.setenv('EMOLA_CACHE', str(folder / 'cache'))

    def prepare(name, **settings):
        config = emola.get_config('mix')
        config.model.update({key: sizes[key] for key in known})
        config.base.update({'llava': str(llava), 'clip': str(CLIP)})
        config.data.update({'root': str(golden.FOLDER / 'faba'), 'length': 512, **settings})
        config.mesh.update({'data': -1, 'fsdp': 1})
        config.eval.batch_size = 16
        config.eval.max_new_tokens.update({'emotion': 64, 'au': 64})
        return experiment.prepare(RunConfig.from_config_dict(config), folder / name)

    yield prepare
    patch.undo()


def test_every_training_conversation_has_the_released_ids_and_mask(door):
    data = door('train').data
    split = data.splits['train']
    ours = [data.encoder.conversation(split.source[i]) for i in split.selection.indices]
    found = sorted(
        (*talk.tokens.tolist(), *(talk.loss_weights > 0).astype(int).tolist()) for talk in ours
    )
    expected = []
    for number in range(5):
        rows = (golden.arrays('training')[f'batch{number}/{n}'] for n in ('input_ids', 'labels'))
        for ids, labels in zip(*rows, strict=True):
            tokens, targets = golden.widen_tokens(ids), golden.widen_labels(labels, ids)
            used = int(np.flatnonzero(targets != golden.IGNORED)[-1])  # of EOS, never an input
            expected.append((*tokens[:used].tolist(), *(targets[1 : used + 1] >= 0).astype(int)))
    assert len(found) == 20
    assert found == sorted(expected)


def test_greedy_answers_are_the_released_ones(door):
    """With the released checkpoint's trainables, asked as the released evaluation asks."""
    run = door('eval', template='llava_v1', pad_to_square=False)
    places = flatten_dict(run.trainable)
    trained = jax.tree.map(
        lambda leaf, place: jax.device_put(leaf, place.sharding), golden.released(), run.trainable
    )
    assert flatten_dict(trained).keys() == places.keys()
    evaluate.evaluate(run, trained, step=5)
    lines = (run.workdir / 'predictions.jsonl').read_text(encoding='utf-8').split('\n')
    rows = [json.loads(line) for line in lines if line]
    by_case = {(row['task'], row['id'].rsplit('/', 1)[-1].split('.')[0]): row for row in rows}
    assert len(by_case) == 16
    sure = [case for case in CASES if case['top2_margin_min'] > SURE]
    assert len(sure) == 15
    for case in sure:
        row = by_case[case['task'], case['image'].rsplit('/', 1)[-1].split('.')[0]]
        assert row['prediction'].strip() == case['text']


def test_prompts_are_the_released_ones(door):
    run = door('eval', template='llava_v1', pad_to_square=False)
    split = run.data.splits['eval']
    records = [split.source[i] for i in split.selection.indices]
    batch = prompt_batch(records, run.data.encoder, length=512)
    rows = zip(batch['tokens'], batch['segment_ids'], strict=True)
    ours = sorted(tokens[segments > 0].tolist() for tokens, segments in rows)
    theirs = [golden.widen(case['prompt_ids'], VISUAL_TOKEN).tolist() for case in CASES]
    assert ours == sorted(theirs)
