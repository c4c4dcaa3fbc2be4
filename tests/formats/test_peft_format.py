"""Our adapter in the real PEFT, on a LLaVA of the real transformers."""

import copy

import numpy as np
import pytest
import torch
from flax.traverse_util import unflatten_dict
from peft import PeftModel
from safetensors.torch import load_file

from emola_jax.errors import UserError
from emola_jax.formats import layouts
from emola_jax.formats.read_folder import read_folder
from emola_jax.formats.source import trained
from emola_jax.formats.write import Options
from emola_jax.formats.write_peft import check, write
from emola_jax.generation.generate import generate
from emola_jax.models.config import PriorConfig
from emola_jax.models.emola import Emola
from emola_jax.weights import lazy, rules
from tests.formats.checkpoints import (
    MODEL,
    arrays,
    assert_same,
    llava_hf,
    source,
    variant,
)
from tests.models.tiny import conversation, run

pytestmark = pytest.mark.usefixtures('compiled_quickly')


def on_llava_hf(folder, tied):
    """The base with what the folder's README says: adapter by PEFT, projectors by hand."""
    base = copy.deepcopy(llava_hf(tied))
    beside = load_file(folder / 'projectors.safetensors')
    projector = {n: t for n, t in beside.items() if '.multi_modal_projector.' in n}
    assert len(projector) == 4
    missing, unexpected = base.load_state_dict(projector, strict=False)
    assert not unexpected
    assert len(missing) == len(base.state_dict()) - 4
    prior = {
        n.removeprefix('model.landmark_projector.'): t for n, t in beside.items() if 'land' in n
    }
    return PeftModel.from_pretrained(base, folder).eval(), prior


def their_embeds(model, prior, batch):
    net = model.get_base_model()
    pixels = batch['images'][0].astype(np.float32) / 255
    pixels = (pixels - np.float32(MODEL.vision.image_mean)) / np.float32(MODEL.vision.image_std)
    hidden = torch.tensor(batch['landmarks'][0])
    hidden = torch.nn.functional.linear(hidden, prior['linear_1.weight'], prior['linear_1.bias'])
    hidden = torch.nn.functional.gelu(hidden)
    hidden = torch.nn.functional.linear(hidden, prior['linear_2.weight'], prior['linear_2.bias'])
    images = net.model.get_image_features(torch.tensor(pixels.transpose(0, 3, 1, 2)))
    patches = getattr(images, 'pooler_output', images)[0]
    text = torch.tensor(np.maximum(batch['tokens'], 0), dtype=torch.long)
    embeds = net.get_input_embeddings()(text)
    embeds[0, 1 : 1 + len(patches)] = patches
    embeds[0, 1 + len(patches)] = hidden[0]
    return embeds


def their_logits(model, prior, batch):
    return model(inputs_embeds=their_embeds(model, prior, batch)).logits.numpy()


def their_answer(model, prior, batch, length):
    """Greedy; nothing ends it before."""
    model.generation_config.eos_token_id = None
    embeds = their_embeds(model, prior, batch)
    mask = torch.ones(embeds.shape[:2], dtype=torch.long)
    ids = model.generate(
        inputs_embeds=embeds,
        attention_mask=mask,
        max_new_tokens=length,
        do_sample=False,
        pad_token_id=0,
    )
    return ids.numpy()


@pytest.mark.parametrize('tied', [True, False], ids=['tied', 'untied'])
def test_peft_computes_what_we_compute(tmp_path, tied):
    ours = source(variant(tied=tied))
    frozen = {
        name: lazy.of_array(tensor.numpy()) for name, tensor in llava_hf(tied).state_dict().items()
    }
    table = layouts.LLAVA_HF_MODULES_OF_5.rules
    wanted = {
        p: v for p, v in ours.params.items() if p[0] in ('llm', 'vision') and 'lora' not in p[-1]
    }
    base, faults = rules.to_ours(table, frozen, wanted, ['.*(layers.2|post_layernorm|lm_head).*'])
    assert [fault for fault in faults if 'multi_modal_projector' not in fault] == []
    write(ours, tmp_path, Options())
    model, prior = on_llava_hf(tmp_path, tied)
    batch = conversation(MODEL, 9, seed=1)
    params = unflatten_dict(arrays({**ours.params, **base}))
    logits = run(Emola(ours.model), params, batch)
    with torch.no_grad():
        expected = their_logits(model, prior, batch)
        answer = their_answer(model, prior, batch, 20)
        with model.disable_adapter():
            without = their_logits(model, prior, batch)
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    never = ours.model.llm.vocab
    mine = generate(Emola(ours.model), params, batch, max_new_tokens=20, eos_id=never)
    np.testing.assert_array_equal(mine, answer)
    assert np.abs(without - expected).max() > 0.1  # the adapter matters


def test_peft_adapts_the_language_model_and_nothing_else(tmp_path):
    write(source(), tmp_path, Options())
    model, _ = on_llava_hf(tmp_path, False)
    adapted = {name for name, _ in model.named_modules() if name.endswith('.lora_A')}
    assert len(adapted) == 7 * MODEL.llm.layers
    assert all('language_model.layers' in name for name in adapted)
    loaded = {n: p for n, p in model.named_parameters() if 'lora_' in n}
    for name, tensor in load_file(tmp_path / 'adapter_model.safetensors').items():
        assert torch.equal(loaded[name.replace('.weight', '.default.weight')], tensor)
    assert len(loaded) == 14 * MODEL.llm.layers


@pytest.mark.parametrize('kv_heads', [4, 2], ids=['MHA', 'GQA'])
@pytest.mark.parametrize('scan', [True, False], ids=['scanned', 'unscanned'])
@pytest.mark.parametrize('prior', [True, False], ids=['prior', 'no prior'])
def test_ours_comes_back_tensor_for_tensor(tmp_path, kv_heads, scan, prior):
    ours = source(variant(kv_heads=kv_heads, scan=scan, prior=PriorConfig(enabled=prior)))
    write(ours, tmp_path, Options())
    read = read_folder(tmp_path, with_base=False)
    assert read.model == ours.model.replace(scan=True)
    lora, projectors = trained(ours)
    assert_same(read.params, lora | projectors)


def test_on_its_base_the_adapter_is_a_whole_model(tmp_path):
    (tmp_path / 'adapter').mkdir()
    write(source(), tmp_path / 'adapter', Options())
    llava_hf().save_pretrained(tmp_path / 'base')
    read = read_folder(tmp_path / 'adapter', base=str(tmp_path / 'base'))
    assert read.params.keys() == source().params.keys()
    embed = llava_hf().get_input_embeddings().weight.detach().numpy()
    np.testing.assert_array_equal(read.params['llm', 'embed'].whole(), embed)
    assert_same(
        {p: v for p, v in read.params.items() if p[0] == 'visual_projector'},
        {p: v for p, v in source().params.items() if p[0] == 'visual_projector'},
    )


def test_what_plain_llava_cannot_express_is_refused():
    with pytest.raises(UserError, match=r'--to=peft cannot.*rescales.*use --to=hf'):
        check(source(MODEL.replace(projector_rms=0.2)))
