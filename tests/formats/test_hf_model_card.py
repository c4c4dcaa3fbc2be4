"""The card of a written folder: its code runs, its figures are those of the run."""

import dataclasses
import re

import numpy as np
import pytest

from emola_jax.formats.model_card import CardFacts, model_card
from emola_jax.metrics.scores import RunScores, Scores, Scoring
from tests.formats.hf_tiny import CASES, PLAIN, landmarks, pictures, write
from tests.made_scores import made

SCORES = RunScores(
    {
        'emotion': Scores(
            n=0,
            strict=Scoring(s_re=94.28, s_ge=40.79, s_rege=135.07),
            reference=Scoring(s_re=None, s_ge=40.79, s_rege=135.07),
        )
    },
    control={'emotion': made(11.4, 40.79, 135.07)},
)
ABOUT = {
    'config': {
        'seed': 7,
        'model': {'lora': {'rank': 16}},
        'base': {'kind': 'embedded'},
        'data': {'dataset': 'synthetic_faces'},
        'train': {'steps': 330, 'batch_size': 2},
    }
}
FACTS = CardFacts('hf', PLAIN, 'float32', 'SmolLM2 and a small ViT', ABOUT, SCORES)


def test_the_code_of_a_card_runs(tmp_path, monkeypatch, capsys):
    written = write(tmp_path / 'folder', CASES['plain'])
    (code,) = re.findall(r'```python\n(.*?)```', model_card(FACTS), re.S)
    pictures()[0].save(tmp_path / 'face.png')
    np.save(tmp_path / 'landmarks.npy', landmarks()[0])
    monkeypatch.chdir(tmp_path)
    short = code.replace('path/to/this/folder', str(written.folder)).replace(
        'generate(**inputs)', 'generate(**inputs, max_new_tokens=5)'
    )
    assert short != code
    exec(compile(short, 'card', 'exec'), {})
    assert len(capsys.readouterr().out) > 1


def test_scores_base_and_training_are_told():
    card = model_card(FACTS)
    assert '| emotion | strict | 94.3 | 40.8 | 135.1 |' in card
    assert '| emotion | reference | – | 40.8 | 135.1 |' in card
    assert '| emotion | control | 11.4 | 40.8 | 135.1 |' in card
    assert 'SmolLM2 and a small ViT' in card
    assert '330 steps of 2 rows on synthetic_faces, LoRA rank 16, seed 7' in card
    assert card.startswith('---\nlibrary_name: transformers\n')
    assert 'license: apache-2.0' in card


def test_rendered_faces_and_a_dropped_prior_are_said_in_bold():
    assert '**rendered** faces' in model_card(FACTS)
    assert 'prior is dropped' not in model_card(FACTS)
    plain = model_card(CardFacts('llava-hf', PLAIN, 'float32', 'x', ABOUT, SCORES))
    assert '**the facial prior is dropped**' in plain
    assert 'had **with** the facial prior' in plain
    assert 'landmarks.npy' not in plain and 'trust_remote_code' not in plain


def test_a_card_names_hf_only_where_hf_keeps_the_prior():
    before = PLAIN.replace(prior=dataclasses.replace(PLAIN.prior, place='before'))
    alone = PLAIN.replace(prior=dataclasses.replace(PLAIN.prior, enabled=False))
    kept, lost, none = (
        model_card(CardFacts('llava-hf', model, 'float32', 'x', ABOUT, SCORES))
        for model in (PLAIN, before, alone)
    )
    assert 'The `hf` format keeps the prior' in kept
    assert 'prior is dropped' in lost and '`hf` format' not in lost
    assert 'facial prior' not in none


def test_a_card_without_a_run_says_less():
    card = model_card(CardFacts('hf', PLAIN, 'bfloat16', 'a folder of weights'))
    assert '## Scores' not in card and 'rendered' not in card
    assert 'license: other' in card and 'licences of the base weights' in card
    assert '\n\n\n' not in card


@pytest.mark.parametrize('kind', ['emola', 'peft'])
def test_the_card_of_an_adapter_tells_scores_and_base_and_keeps_the_prior(kind):
    card = model_card(CardFacts(kind, PLAIN, 'float32', 'LLaVA', ABOUT, SCORES), use='Load it so.')
    assert 'library_name: peft' in card
    assert 'as a LoRA adapter' in card and 'merged' not in card
    assert 'Load it so.' in card and 'base: LLaVA' in card
    assert '## Scores' in card and 'facial prior: 212 numbers' in card
    assert 'prior is dropped' not in card
