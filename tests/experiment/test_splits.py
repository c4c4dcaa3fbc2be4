"""From a config's data section to sources, for data sets that a user brings."""

import dataclasses

import numpy as np
import pytest

from configs import emola
from emola_jax.config.run import RunConfig
from emola_jax.errors import UserError
from emola_jax.experiment import splits
from emola_jax.experts.landmark_cache import EXPERT
from emola_jax.files import assets
from emola_jax.models.tokenizer import Tokenizer
from tests.fake_finder import Finder
from tests.input_pipeline.datasets import trees
from tests.input_pipeline.datasets.test_disfa import label
from tests.input_pipeline.fakes import png


@pytest.fixture
def root(tmp_path, monkeypatch):
    """DISFA with one subject a part, frames written and landmarks extracted."""
    monkeypatch.setattr(assets, 'cache_dir', lambda: tmp_path / 'cache')
    for subject in ('SN001', 'SN006', 'SN003'):
        label(tmp_path / 'raw', subject, {12: [0, 3, 0]})
        for frame in (1, 2, 3):
            trees.picture(tmp_path / f'raw/DISFA/frames/{subject}/{frame}.jpg')
            trees.landmarks(tmp_path / f'raw/DISFA/landmarks/{subject}/{frame}.npy')
    return tmp_path / 'raw'


def config(root, argument='task=au,dataset=disfa,fold=2', **changes):
    made = emola.get_config(argument)
    made.data.update({'root': str(root), 'length': 4096, **changes})
    return made


def load(values, workdir):
    made = RunConfig.from_config_dict(values)
    return splits.load(made, made.model, Tokenizer.byte_level(), workdir)


def subjects(split):
    return {split.source[i].id.split('/')[0] for i in range(len(split.source))}


def test_a_fold_is_two_parts_to_train_on_and_one_to_evaluate(root, tmp_path):
    opened = load(config(root), tmp_path)
    assert subjects(opened.splits['part1+part3']) == {'SN001', 'SN003'}
    assert subjects(opened.splits['part2']) == {'SN006'}
    assert opened.scored_aus == opened.known_aus == (1, 2, 4, 6, 9, 12, 25, 26)
    assert opened.summary()['part2'] == {'used': 3, 'dropped': 0, 'reasons': {}}
    assert not opened.rendered
    # All folds read the same files.
    assert load(config(root, 'dataset=disfa,fold=3'), tmp_path).key == opened.key


def test_what_was_built_can_be_opened_without_the_owners_files(root, tmp_path):
    load(config(root), tmp_path)
    (built,) = (tmp_path / 'cache/datasets/disfa').glob('*/1.0.0')
    made = config(tmp_path / 'nowhere', built=str(built))
    assert splits.missing(RunConfig.from_config_dict(made)) == []
    assert len(load(made, tmp_path).splits['part2'].source) == 3
    with pytest.raises(UserError, match=r"data\.built: .* is disfa for task 'au'; expected bp4d"):
        load(config(root, 'dataset=bp4d', built=str(built)), tmp_path)


def test_missing_files_are_named_with_where_to_get_them(tmp_path):
    lines = splits.missing(RunConfig.from_config_dict(config(tmp_path)))
    assert lines[0] == f'{tmp_path}/DISFA/ActionUnit_Labels/SN*/SN*_au*.txt: the labels of DISFA'
    assert lines[-1].startswith('get DISFA (Mavadati et al., 2013): ask its owners')
    assert f'{tmp_path}/DISFA needs' in lines[-1]


def test_a_model_with_the_prior_needs_landmarks(root, tmp_path):
    for path in (root / 'DISFA/landmarks').rglob('*.npy'):
        path.unlink()
    with pytest.raises(UserError, match='no picture of DISFA has landmarks'):
        load(config(root), tmp_path)
    made = config(root)
    made.model.prior.enabled = False
    assert len(load(made, tmp_path).splits['part2'].selection.indices) == 3


def test_landmarks_can_be_those_that_are_found_in_the_pictures(root, tmp_path, monkeypatch):
    for path in (root / 'DISFA/landmarks').rglob('*.npy'):
        path.unlink()
    for path in (root / 'DISFA/frames').rglob('*.jpg'):
        path.write_bytes(png((90, 60, 50), 28))
    monkeypatch.setattr(splits.FaceFinder, 'load', Finder)
    opened = load(config(root, landmarks='computed'), tmp_path)
    (split, *_) = opened.splits.values()
    assert opened.summary()['part2'] == {'used': 3, 'dropped': 0, 'reasons': {}}
    assert all(np.isfinite(split.source[i].landmarks).all() for i in range(len(split.source)))
    assert opened.key.endswith(EXPERT)
    with pytest.raises(UserError, match=r"data\.landmarks is 'found'; expected one of 'given'"):
        load(config(root, landmarks='found'), tmp_path)


def test_the_scored_action_units_are_the_data_sets(root, tmp_path):
    rows = ['file,aus,split', 'a.jpg,12 4,train', 'b.jpg,25,eval']
    trees.put(root / 'labels.csv', '\n'.join(rows))
    for name in 'ab':
        trees.picture(root / f'{name}.jpg')
        trees.landmarks(root / f'{name}.npy')
    assert load(config(root, 'task=au,dataset=folder'), tmp_path).scored_aus == (4, 12, 25)


def test_an_unknown_data_set(tmp_path):
    made = config(tmp_path)
    unknown = dataclasses.replace(RunConfig.from_config_dict(made).data, dataset='fer')
    with pytest.raises(UserError, match="data set 'fer': expected one of synthetic_faces, faba_"):
        splits.missing(dataclasses.replace(RunConfig.from_config_dict(made), data=unknown))
