"""What the argument of configs/emola.py means."""

import pytest

from configs import emola
from emola_jax.config import config_files
from emola_jax.errors import UserError


@pytest.mark.parametrize(
    ('argument', 'expected'),
    [
        ('', ('emotion', 'faba_instruct', 0, 'train', 'eval')),
        ('au', ('au', 'faba_instruct', 0, 'train', 'eval')),
        ('mix', ('mix', 'faba_instruct', 0, 'train', 'eval')),
        ('task=au,dataset=faba', ('au', 'faba_instruct', 0, 'train', 'eval')),
        ('task=au,dataset=disfa,fold=1', ('au', 'disfa', 1, 'part2+part3', 'part1')),
        ('fold=3, dataset=bp4d', ('au', 'bp4d', 3, 'part1+part2', 'part3')),
        ('au,dataset=disfa', ('au', 'disfa', 1, 'part2+part3', 'part1')),
        ('dataset=rafdb', ('emotion', 'rafdb', 0, 'train', 'test')),
        ('dataset=gft', ('au', 'gft', 0, 'train', 'test')),
        ('dataset=affectnet', ('emotion', 'affectnet', 0, 'train', 'validation')),
        ('dataset=emotionet', ('au', 'emotionet', 0, 'train', 'test')),
        ('task=mix,dataset=folder', ('mix', 'folder', 0, 'train', 'eval')),
    ],
)
def test_arguments(argument, expected):
    data = (config := emola.get_config(argument)).data
    got = (data.task, data.dataset, data.fold, data.train_split, config.eval.split)
    assert got == expected


@pytest.mark.parametrize(
    ('argument', 'message'),
    [
        ('pose', r"task is 'pose'; expected one of \('emotion', 'au', 'mix'\)"),
        ('folds=1', "'folds=1' in 'folds=1'; expected a task"),
        ('task=', "'task=' in 'task='; expected a task"),
        ('au,task=au', "'au,task=au' gives task twice"),
        ('dataset=bp5d', "data set 'bp5d': expected one of .*bp4d, disfa"),
        ('dataset=synthetic_faces', 'is made by the project'),
        ('task=emotion,dataset=disfa', "disfa has no labels for task 'emotion'; .* 'au'"),
        ('dataset=disfa,fold=4', r'fold=4; expected one of \(1, 2, 3\)'),
        ('dataset=disfa,fold=one', 'fold=one; expected'),
        ('dataset=gft,fold=1', 'gft has no folds, only bp4d and disfa do; leave fold=1 out'),
    ],
)
def test_bad_arguments_are_told_before_flags_are_parsed(argument, message):
    with pytest.raises(UserError, match=message):
        config_files.resolve_flag(['main', f'--config=configs/emola.py:{argument}'])
