"""One record for every command: what it is made of, and what a run of any version keeps of it."""

import copy
import dataclasses
import json
from pathlib import Path

import ml_collections
import pytest

from emola_jax.config import checks, config_files, fields, sections
from emola_jax.config.eval import EvalConfig
from emola_jax.config.run import RunConfig, differing
from emola_jax.errors import UserError
from emola_jax.files.whole import read_json
from emola_jax.generation.sampler import Sampler
from emola_jax.models import config as models
from input_pipeline.datasets.synthetic_faces import FacesConfig
from tests.config.test_checks import CONFIGS, SPECS

OLD_RUN = Path('tests/golden/old_run')


def of_run(spec='configs/tiny.py'):
    return json.loads(ml_collections.ConfigDict(CONFIGS[spec]).to_json_best_effort())


def with_value(name, value, spec='configs/tiny.py'):
    values = of_run(spec)
    *inner, last = name.split('.')
    section = values
    for key in inner:
        section = section.setdefault(key, {})
    section[last] = value
    return values


@pytest.mark.parametrize('spec', SPECS)
def test_a_config_comes_back_from_what_is_written_of_it(spec):
    made = RunConfig.from_config_dict(config_files.load(spec))
    assert RunConfig.from_dict(json.loads(json.dumps(made.to_dict()))) == made
    assert RunConfig.of_run(of_run(spec), 'config.json') == made
    # Everything that the file gives stands in what is written.
    written = dict(checks.flatten(made.to_dict()))
    for name, value in checks.flatten(of_run(spec)):
        if value is not None or name in written:
            assert written[name] == value, name


def leaves(record, prefix):
    """(name, has no default) of every field of a record, without those that are records."""
    kinds = {field.name: field for field in dataclasses.fields(record)}
    inner = {name for start, name in RECORDS if start == prefix}
    for name, field in kinds.items():
        if name not in inner:
            has_none = field.default is field.default_factory is dataclasses.MISSING
            yield f'{prefix}{name}', has_none


RECORDS = {
    ('', 'model'): models.EmolaConfig,
    ('model.', 'vision'): models.VisionConfig,
    ('model.', 'llm'): models.LlamaConfig,
    ('model.', 'lora'): models.LoraConfig,
    ('model.', 'prior'): models.PriorConfig,
    ('', 'base'): sections.BaseConfig,
    ('base.', 'vision'): models.VisionConfig,
    ('base.', 'prior'): models.PriorConfig,
    ('base.', 'tower'): sections.TowerConfig,
    ('', 'data'): sections.DataConfig,
    ('data.', 'synthetic_faces'): FacesConfig,
    ('', 'train'): sections.TrainConfig,
    ('train.', 'optimiser'): sections.OptimiserConfig,
    ('train.', 'validate'): sections.ValidateConfig,
    ('', 'eval'): EvalConfig,
    ('eval.', 'sampler'): Sampler,
    ('', 'mesh'): sections.MeshConfig,
    ('', 'hosts'): sections.HostsConfig,
}


def test_every_field_of_the_records_is_declared_and_none_besides():
    found = dict(leaves(RunConfig, ''))
    for (prefix, name), record in RECORDS.items():
        found |= dict(leaves(record, f'{prefix}{name}.'))
    # Stored elsewhere, or one entry a prior or a task.
    found = {name: need for name, need in found.items() if name not in ELSEWHERE}
    declared = {name for name in fields.FIELDS if name not in ('model.vision', 'model.lora')}
    declared = {name for name in declared if '*' not in name and 'max_new_tokens' not in name}
    assert set(found) == declared
    required = {name for name, field in fields.FIELDS.items() if field.required}
    assert {name for name, need in found.items() if need and 'tower' not in name} <= required


ELSEWHERE = ('model.quantize', 'model.more_priors', 'eval.max_new_tokens')


@pytest.mark.parametrize(
    ('name', 'value', 'message'),
    [
        ('train.stepz', 3, r'train\.stepz: no such field; did you mean train\.steps\?'),
        ('data.synthetic_faces.aus', [3], r'the rig cannot show \[3\]'),
        ('train.batch_size', '2', r"train\.batch_size is '2'; expected a whole number"),
        ('later.field', 1, r'later\.field: no such field'),
        ('model.llm.heads', 3, r'llm\.heads 3 must be a multiple'),
        ('model.llm.width', 10**9, r'model\.llm\.width is 1000000000'),
        ('base.quantize', 'int9', r"base\.quantize is 'int9'"),
        ('eval.sampler', {'topk': 4}, r'eval\.sampler\.topk: no such field; did you mean'),
        ('train.validate', {'every': 2}, r'lacks train\.validate\.split, which train\.validate'),
    ],
)
def test_a_fault_in_a_runs_config_is_named_with_its_file(name, value, message):
    with pytest.raises(UserError, match=rf'runs/a/config\.json: not what a run .*{message}'):
        RunConfig.of_run(with_value(name, value), 'runs/a/config.json')


@pytest.mark.parametrize('section', ['model', 'base', 'data', 'eval', 'eval.sampler', 'model.llm'])
@pytest.mark.parametrize('value', [None, 3, 'x', [1]])
def test_a_section_of_a_runs_config_that_is_none_is_named(section, value):
    with pytest.raises(UserError, match=rf'config\.json: not what .*{section} is .*a section'):
        RunConfig.of_run(with_value(section, value), 'config.json')


@pytest.mark.parametrize('section', ['base', 'data', 'train', 'eval'])
def test_a_section_that_a_runs_config_lacks_is_named(section):
    values = of_run()
    del values[section]
    with pytest.raises(UserError, match=rf'config\.json: .*the config lacks the section {section}'):
        RunConfig.of_run(values, 'config.json')


@pytest.mark.parametrize('values', [None, [], 'x', 3])
def test_a_runs_config_that_is_no_object_is_named(values):
    with pytest.raises(UserError, match=r"config\.json: field 'config' is .* expected a config's"):
        RunConfig.of_run(values, 'config.json')


def test_the_data_set_of_a_run_need_not_be_known_here():
    values = with_value('data.dataset', 'of_a_lab', 'configs/emola.py')
    assert RunConfig.of_run(values, 'config.json').data.dataset == 'of_a_lab'
    with pytest.raises(UserError, match=r"data\.dataset is 'of_a_lab'; expected one of"):
        RunConfig.from_dict(values)


def test_fields_that_older_runs_lack_count_as_what_they_did():
    now = of_run('configs/mini.py')
    older = copy.deepcopy(now)
    del older['train']['last_batch'], older['eval']['refill'], older['data']['workers']
    older['data'].pop('landmarks')
    now['data']['landmarks'] = 'given'
    assert RunConfig.of_run(older, 'old') == RunConfig.from_dict(now)
    now['train'] |= {'last_batch': 'keep', 'steps': 9}
    changed = differing(RunConfig.of_run(older, 'old'), RunConfig.from_dict(now))
    assert changed == ['train.last_batch', 'train.steps']


def test_how_long_a_host_may_be_silent_may_change_from_start_to_start():
    now, patient, older = of_run(), with_value('hosts.silence', 300), of_run()
    del older['hosts']
    one, two, three = map(RunConfig.from_dict, (now, patient, older))
    assert differing(one, two) == differing(three, two) == []


def test_a_run_of_an_older_version_is_read():
    """Its config.json was written by the version of ba3cdbc, for configs/tiny.py."""
    made = RunConfig.of_run(read_json(OLD_RUN / 'config.json')['config'], str(OLD_RUN))
    assert differing(made, RunConfig.from_config_dict(config_files.load('configs/tiny.py'))) == []
