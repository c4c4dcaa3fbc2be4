"""Token ids and label masks of the released code's conversations, case by case."""

import json

import numpy as np
import pytest

from emola_jax.errors import UserError
from input_pipeline.conversation import TEMPLATES, VISUAL_TOKEN, conversation, prompt_tokens
from input_pipeline.datasets import faba_instruct
from input_pipeline.selection import select
from tests.input_pipeline.fakes import record
from tests.parity import golden

RECORDED = golden.facts('prompts')

# What we refuse or do otherwise; docs/parity.md gives the reasons.
MORE_TURNS = {'multi_turn', 'multi_turn3', 'gpt_first', 'human_only'}
DROPPED = {
    'empty_answer': 'empty response',
    'eos_in_answer': 'end token in text',
    'image_in_answer': 'image mark in text',
}
MASKED_WHOLE_BY_THE_REFERENCE = {'assistant_in_answer', 'unk_in_answer'}


def names(template):
    return [name for name in RECORDED[template] if name.endswith('img=1')]


def subject(name):
    return name.removesuffix('|img=1')


def texts(case):
    human, gpt = case['conversation']
    return human['value'].replace('<image>', '').strip(), gpt['value']


def ours(template, instruction, response, visual_tokens):
    """(ids, mask) of the whole conversation, in the reference's form."""
    talk = conversation(
        golden.tokenizer(), TEMPLATES[template], instruction, response, visual_tokens
    )
    ids = [*talk.tokens.tolist(), golden.tokenizer().eos_id]
    mask = ''.join('1' if weight else '0' for weight in (0, *talk.loss_weights))
    return [golden.IMAGE_TOKEN if i == VISUAL_TOKEN else i for i in ids], mask


@pytest.mark.parametrize('template', ['vicuna_v1', 'llava_v1'])
def test_ids_and_masks_of_a_question_with_a_picture(template):
    exceptions = MORE_TURNS | DROPPED.keys() | {'no_image_token'}
    compared = [name for name in names(template) if subject(name) not in exceptions]
    assert len(compared) == 18
    for name in compared:
        case = RECORDED[template][name]
        ids, mask = ours(template, *texts(case), visual_tokens=1)
        assert ids == case['input_ids'], name
        if subject(name) not in MASKED_WHOLE_BY_THE_REFERENCE:
            assert mask == case['label_mask'], name


@pytest.mark.parametrize('template', ['vicuna_v1', 'llava_v1'])
@pytest.mark.parametrize('image', [0, 1])
def test_ids_and_mask_of_a_text_without_a_picture(template, image):
    case = RECORDED[template][f'no_image_token|img={image}']
    assert ours(template, *texts(case), visual_tokens=0) == (case['input_ids'], case['label_mask'])


@pytest.mark.parametrize('name', sorted(MASKED_WHOLE_BY_THE_REFERENCE))
def test_what_the_reference_masks_whole_for_a_slip_in_counting_is_trained(name):
    case = RECORDED['vicuna_v1'][f'{name}|img=1']
    assert '1' not in case['label_mask']
    assert 'tokenization mismatch' in case['stdout']
    instruction, response = texts(case)
    _, mask = ours('vicuna_v1', instruction, response, visual_tokens=1)
    prompt = prompt_tokens(golden.tokenizer(), TEMPLATES['vicuna_v1'], instruction, 1)
    assert mask == '0' * len(prompt) + '1' * (len(mask) - len(prompt))


@pytest.mark.parametrize(('name', 'kind'), DROPPED.items())
def test_what_the_reference_masks_whole_or_misplaces_is_dropped_and_counted(name, kind, tmp_path):
    case = RECORDED['vicuna_v1'][f'{name}|img=1']
    instruction, response = texts(case)
    bad = record(1, instruction=instruction, response=response)
    selection = _select([record(0), bad], golden.encoder(), tmp_path)
    assert selection.indices.tolist() == [0]
    assert selection.reasons() == {kind: 1}


def test_what_the_reference_cuts_is_dropped_and_counted(tmp_path):
    instruction, response = texts(RECORDED['vicuna_v1']['long|img=1'])
    long = record(1, instruction=instruction, response=response)
    used = len(RECORDED['vicuna_v1']['long|img=1']['input_ids']) + golden.CFG.visual_tokens - 2
    for length, reasons in ((used, {}), (used - 1, {'over-long text': 1})):
        selection = _select([record(0), long], golden.encoder(length=length), tmp_path)
        assert selection.reasons() == reasons


def _select(records, encoder, folder):
    return select(
        records,
        encoder,
        known_aus=(4,),
        needs_landmarks=True,
        needs_label=True,
        policy='drop',
        report=folder / 'dropped.json',
        split='train',
    )


@pytest.mark.parametrize('name', sorted(MORE_TURNS))
def test_more_or_fewer_turns_than_two_are_refused(name, tmp_path):
    path = tmp_path / 'FABAInstruct' / 'train' / 'train_au_anno.json'
    path.parent.mkdir(parents=True)
    turns = RECORDED['vicuna_v1'][f'{name}|img=1']['conversation']
    path.write_text(json.dumps([{'image': 'a.jpg', 'landmark': 'a.npy', 'conversations': turns}]))
    with pytest.raises(UserError, match=r'train_au_anno\.json: entry 0: has turns from'):
        faba_instruct.load(tmp_path, 'au', 'train')


def test_decoded_texts():
    assert len(RECORDED['decode']) == 12
    for case in RECORDED['decode']:
        assert golden.tokenizer().decode(case['ids']) == case['text']


def test_the_batches_of_the_recorded_training_run():
    """From pictures, landmark files and annotations on disk through our own pipeline."""
    for number in range(5):
        batch = golden.batch(number)
        ids, labels = (
            golden.arrays('training')[f'batch{number}/{n}'] for n in ('input_ids', 'labels')
        )
        for row in range(4):
            tokens = golden.widen_tokens(ids[row])
            targets = golden.widen_labels(labels[row], ids[row])[1:]
            used = batch['segment_ids'][row].sum()
            np.testing.assert_array_equal(batch['tokens'][row, :used], tokens[:used])
            trained = batch['loss_weights'][row] > 0
            np.testing.assert_array_equal(np.flatnonzero(trained), np.flatnonzero(targets >= 0))
            np.testing.assert_array_equal(batch['targets'][row][trained], targets[targets >= 0])
            assert tokens[used] == golden.tokenizer().eos_id  # never an input
        landmarks = golden.arrays('training')[f'batch{number}/org_landmark_features']
        np.testing.assert_array_equal(batch['landmarks'][:, 0], landmarks)
