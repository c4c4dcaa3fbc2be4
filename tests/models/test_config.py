import dataclasses
import json

import jax
import ml_collections
import numpy as np
import pytest

from emola_jax.errors import UserError
from emola_jax.models.config import (
    LLAVA_1_5_7B,
    SMOLLM2_135M,
    TINY,
    EmolaConfig,
    LlamaConfig,
    LoraConfig,
    VisionConfig,
)
from emola_jax.models.emola import Emola, example_batch
from emola_jax.parallel.sharding import RULES


def abstract(cfg):
    return jax.eval_shape(Emola(cfg).init, jax.random.key(0), example_batch(cfg))['params']


def count(tree):
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(tree))


def test_llava_has_the_published_number_of_parameters():
    # Vicuna-7B as its model card counts; CLIP ViT-L/14-336's vision model has 303,507,456, of which
    # one layer (12,596,224) and the last norm (2 x 1024) are not needed.
    params = abstract(LLAVA_1_5_7B.replace(lora=None))
    assert count(params['llm']) == 6_738_415_616
    assert count(params['vision']) == 303_507_456 - 12_596_224 - 2048
    assert count(params['visual_projector']) == 1024 * 4096 + 4096 + 4096 * 4096 + 4096
    assert count(params['face_prior']) == 212 * 4096 + 4096 + 4096 * 4096 + 4096


def test_lora_of_llava_has_the_closed_form_number_of_parameters():
    params = abstract(LLAVA_1_5_7B)
    adapters = count(params['llm']) - 6_738_415_616
    assert adapters == 32 * 128 * (4 * (4096 + 4096) + 3 * (4096 + 11008))


def test_smollm2_has_the_published_number_of_parameters():
    assert count(abstract(SMOLLM2_135M.replace(lora=None))['llm']) == 134_515_008


def test_dtypes_of_frozen_and_trained_weights():
    params = abstract(LLAVA_1_5_7B)
    assert params['llm']['layers']['q']['kernel'].value.dtype == 'bfloat16'
    assert params['llm']['layers']['q']['lora_a'].value.dtype == 'float32'
    assert params['vision']['patch_kernel'].value.dtype == 'bfloat16'
    assert params['visual_projector']['fc_1']['kernel'].value.dtype == 'float32'


@pytest.mark.parametrize('cfg', [LLAVA_1_5_7B, SMOLLM2_135M, TINY.replace(scan=False)])
def test_every_parameter_names_its_axes_from_the_sharding_rules(cfg):
    boxes = jax.tree.leaves(abstract(cfg), is_leaf=lambda leaf: hasattr(leaf, 'names'))
    for box in boxes:
        assert len(box.names) == box.value.ndim
        assert set(box.names) <= {None, *RULES}


def test_a_config_survives_json_and_config_dict():
    for cfg in (LLAVA_1_5_7B, SMOLLM2_135M, TINY.replace(vision=None, lora=None)):
        as_json = json.loads(json.dumps(cfg.to_dict()))
        assert EmolaConfig.from_config_dict(as_json) == cfg
        assert EmolaConfig.from_config_dict(ml_collections.ConfigDict(cfg.to_dict())) == cfg
        assert hash(EmolaConfig.from_config_dict(as_json)) == hash(cfg)


def test_unknown_fields_are_refused_by_name():
    with pytest.raises(UserError, match=r'llm\.with'):
        EmolaConfig.from_config_dict({'llm': {'with': 3}})
    with pytest.raises(UserError, match='ranks'):
        EmolaConfig.from_config_dict({'ranks': 3})


@pytest.mark.parametrize(
    ('build', 'named'),
    [
        (lambda: VisionConfig(image_size=100), 'image_size 100'),
        (lambda: VisionConfig(heads=7), 'heads 7'),
        (lambda: VisionConfig(feature_layer=-26), 'feature_layer -26'),
        (lambda: LlamaConfig(heads=32, kv_heads=5), 'kv_heads 5'),
        (lambda: LlamaConfig(head_dim=7), 'head_dim 7'),
        (lambda: LoraConfig(targets=('q', 'x')), 'x'),
        (lambda: LoraConfig(rank=0), 'rank 0'),
        (lambda: LoraConfig(dropout=1.0), 'dropout 1'),
        (lambda: EmolaConfig(remat='some'), 'some'),
        (lambda: EmolaConfig(dtype='int8'), 'int8'),
    ],
)
def test_impossible_values_are_refused_by_name(build, named):
    with pytest.raises(UserError, match=named):
        build()


def test_token_counts():
    assert LLAVA_1_5_7B.visual_tokens == 577
    assert SMOLLM2_135M.visual_tokens == 10
    assert dataclasses.replace(SMOLLM2_135M, vision=None).visual_tokens == 1
