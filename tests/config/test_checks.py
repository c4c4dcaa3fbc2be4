"""Every field of every config: what it may hold, what it may not, and what is said of it."""

import copy
import math
import re

import ml_collections
import pytest

from emola_jax.config import checks, config_files, fields
from emola_jax.config.run import RunConfig
from emola_jax.errors import UserError

SPECS = (
    'configs/emola.py',
    'configs/emola.py:task=au,dataset=disfa,fold=2',
    'configs/emola.py:row=prior_only',
    'configs/emola.py:row=several',
    'configs/emola_13b.py',
    'configs/mini.py',
    'configs/mini.py:long,row=image',
    'configs/mini.py:nf4',
    'configs/tiny.py',
    'tests/fold_config.py:fold=1',
)
CONFIGS = {spec: config_files.load(spec).to_dict() for spec in SPECS}
NUMERIC = {
    (spec, name): value
    for spec in ('configs/emola.py', 'configs/mini.py', 'configs/tiny.py')
    for name, value in checks.flatten(CONFIGS[spec])
    if isinstance(value, int | float) and not isinstance(value, bool)
}


def changed(spec, name, value):
    values = copy.deepcopy(CONFIGS[spec])
    *sections, last = name.split('.')
    section = values
    for key in sections:
        section = section[key]
    section[last] = value
    return ml_collections.ConfigDict(values)


def refused(spec, name, value):
    """The sentence, or None where the value is accepted."""
    try:
        RunConfig.from_config_dict(changed(spec, name, value))
    except UserError as error:
        assert '\n' not in str(error) or 'faults in the config' in str(error)
        return str(error)
    return None


@pytest.mark.parametrize('spec', SPECS)
def test_the_configs_that_come_along_are_accepted(spec):
    RunConfig.from_config_dict(ml_collections.ConfigDict(CONFIGS[spec]))


@pytest.mark.parametrize('value', [-1, 0, -2.5, math.nan, math.inf, 'abc', None, True, 10**12, [1]])
def test_every_numeric_field_is_accepted_as_declared_or_refused_by_name(value):
    for spec, name in NUMERIC:
        field = fields.find(name)
        said = refused(spec, name, value)
        if not field.accepts(value):
            assert said is not None and said.startswith(f'{name} is '), (spec, name, said)
            assert field.expected in said
        elif said is not None:  # the value alone would do, but not with the others
            assert any(word in said for word in name.split('.')), (spec, name, said)


def test_numbers_that_are_no_numbers_are_never_accepted():
    for spec, name in NUMERIC:
        for value in (math.nan, math.inf, 'abc', True):
            assert refused(spec, name, value), (spec, name, value)


POSITIVE = (
    'train.steps', 'train.batch_size', 'train.checkpoint_every', 'train.log_every',
    'train.keep_checkpoints', 'train.accumulate', 'train.loss_chunk', 'train.optimiser.lr',
    'eval.batch_size', 'eval.max_new_tokens.au', 'data.length', 'data.segments',
    'data.packing_bins', 'data.synthetic_faces.train_faces', 'data.synthetic_faces.test_faces',
    'mesh.fsdp', 'mesh.dcn_data', 'base.tower.steps', 'model.llm.layers',
)  # fmt: skip
NOT_NEGATIVE = (
    'seed', 'cpu_devices', 'data.workers', 'data.landmark_noise', 'eval.limit', 'eval.refill',
    'eval.sampler.temperature', 'train.validate.every', 'train.optimiser.clip_norm',
)  # fmt: skip


@pytest.mark.parametrize('name', POSITIVE)
def test_sizes_are_at_least_one(name):
    assert name in refused('configs/mini.py', name, 0)
    assert name in refused('configs/mini.py', name, -5)
    assert refused('configs/mini.py', name, 1) is None or 'model' in name


@pytest.mark.parametrize('name', NOT_NEGATIVE)
def test_counts_may_be_none_but_not_less(name):
    assert name in refused('configs/mini.py', name, -1)
    assert refused('configs/mini.py', name, 0) is None


@pytest.mark.parametrize(
    ('spec', 'name', 'value', 'message'),
    [
        ('configs/mini.py', 'train.accumulate', 3, 'batch_size 2 must be a .*accumulate 3'),
        ('configs/mini.py', 'mesh.fsdp', -1, "at most one of the axes may be -1"),
        ('configs/mini.py', 'data.template', 'x', "data.template is 'x'; expected one of 'chatml'"),
        ('configs/mini.py', 'model.llm.kv_heads', 4, 'llm.heads 9 must be a multiple'),
        ('configs/mini.py', 'base.quantize', 'int9', "base.quantize is 'int9'"),
        ('configs/mini.py', 'train.optimiser.lrs', 1, r'did you mean train\.optimiser\.lr\?'),
        ('configs/mini.py', 'train.epochs', 1, 'both or neither of train.steps and train.epochs'),
        ('configs/mini.py', 'data.dataset', 'rafdb', 'lacks data.root, which data.dataset'),
        ('configs/mini.py', 'eval.sampler.top_p', 0, 'above 0 and at most 1'),
        ('configs/emola.py', 'data.fold', 9, 'data.fold is 9; expected .*from 0 to 3'),
        ('configs/emola.py', 'data.fold', 2, r"trains on part1\+part3, .*'train'; .*fold=2"),
        ('configs/emola.py', 'train.last_batch', 'drop', "one of 'keep', 'run_on'"),
        ('configs/emola.py', 'data.length_buckets', (0,), 'data.length_buckets is'),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_the_fields_name(spec, name, value, message):
    assert re.search(message, refused(spec, name, value))


def test_missing_fields_are_named():
    config = ml_collections.ConfigDict(CONFIGS['configs/tiny.py'])
    del config.train.batch_size, config.eval.split
    with pytest.raises(UserError, match=r'2 faults.*\n.*lacks train\.batch_size.*\n.*eval\.split'):
        checks.check(config.to_dict())


@pytest.mark.parametrize(
    ('flag', 'message'),
    [
        ('--config.train.stepz=5', r'--config\.train\.stepz: no such field; .* train.steps\?'),
        ('--config.data.root=x', r'configs/tiny\.py has no such field, though other configs do'),
        ('--config.train=5', 'is a section of configs/tiny.py'),
        ('--config.train.optimiser.lr=abc', r'lr=abc: expected a finite number above 0'),
        ('--config.train.optimiser.lr=nan', r'lr=nan: expected a finite number'),
        ('--config.train.batch_size=2.5', 'batch_size=2.5: expected a whole number from 1 to'),
        ('--config.train.steps=-5', 'steps=-5: expected'),
        ('--config.eval.control=maybe', 'control=maybe: expected True or False'),
        ('--config.seed=', 'seed=: expected a whole number'),
        ('-config.seed=-1', 'seed=-1: expected'),
        ('--config.quatsch=1', 'no such field; expected one of base, cpu_devices, data'),
        ('--config.batch_size=1', r'did you mean .*train\.batch_size'),
        ('--noconfig.eval.contral', 'did you mean eval.control'),
    ],
)  # fmt: skip
def test_flags_are_looked_at_before_the_config_is_parsed(flag, message):
    with pytest.raises(UserError, match=message):
        config_files.resolve_flag(['main', '--config=configs/tiny.py', flag])


def test_a_flags_value_may_follow_as_an_argument_of_its_own():
    with pytest.raises(UserError, match=r'train\.steps=-5'):
        config_files.resolve_flag(
            ['m', '--config', 'configs/tiny.py', '--config.train.steps', '-5']
        )


GOOD = (
    '--config.train.steps=7', '--config.eval.control', '--noconfig.eval.control',
    '--config.data.length_buckets=(64,128)', '--config.mesh.fsdp=-1', '--config.base.quantize=int8',
    '--config.train.optimiser.lr=1e-3', '--config.model.vision=None', '--workdir=w',
)  # fmt: skip


@pytest.mark.parametrize('flag', GOOD)
def test_good_flags_pass(flag):
    spec = 'configs/mini.py' if 'buckets' not in flag else 'configs/emola.py'
    spec = 'configs/tiny.py:prior_only' if 'vision' in flag else spec
    given = config_files.resolve_flag(['main', f'--config={spec}', flag])
    assert given[2:] == [flag]


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('def get_config(:', 'line 1: SyntaxError'),
        ('import nothing_of_this_name', 'line 1: ModuleNotFoundError'),
        ('\n\ndef get_config():\n  return 1 / 0', 'line 4: ZeroDivisionError'),
        ('x = 1', 'AttributeError.*get_config'),
        ('def get_config(): return {}', 'returns no ConfigDict'),
    ],
)
def test_a_file_that_is_no_config_is_named(text, message, tmp_path):
    file = tmp_path / 'own.py'
    file.write_text(text)
    for call in (config_files.load, lambda s: config_files.resolve_flag(['m', f'--config={s}'])):
        with pytest.raises(UserError, match=f'own.py.*{message}'):
            call(str(file))


def test_a_tilde_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / 'own.py').write_text('import configs.tiny\nget_config = configs.tiny.get_config\n')
    assert config_files.load('~/own.py').seed == 0


@pytest.mark.parametrize(
    ('flag', 'message'),
    [
        (f'--config.train.steps={10**26}', r'steps=10+: expected a whole number from 1 to 2,147'),
        ('--config.cpu_devices=100000', 'cpu_devices=100000: expected a whole number from 0 to 1,'),
        ('--config.data.workers=100000', 'workers=100000: expected a whole number from 0 to 1,0'),
    ],
)
def test_absurd_numbers_are_refused_before_anything_is_allocated(flag, message):
    with pytest.raises(UserError, match=message):
        config_files.resolve_flag(['main', '--config=configs/tiny.py', flag])


@pytest.mark.parametrize(
    ('name', 'value', 'said'),
    [
        ('model.llm.width', 10**9, 'model.llm.width is 1000000000, expected a whole number from 1'),
        ('train.batch_size', 10**8, 'train.batch_size 100,000,000 x data.length 1,024 is 102,400,'),
        ('data.length', 2 * 10**9, 'data.length 2,000,000,000 is 4,000,000,000 tokens a batch'),
        ('eval', None, 'eval is None; expected a section'),
        ('train.optimiser', 3, 'train.optimiser is 3; expected a section'),
    ],
)
def test_what_no_machine_holds_is_refused_by_name(name, value, said):
    assert said in refused('configs/tiny.py', name, value)
