"""What the fuzzers try: one target per kind of file that a stranger may bring."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from benchmarks.fuzz_inputs import Mutate, damaged_bytes, damaged_json, damaged_lines

GOLDEN = Path(__file__).parent.parent / 'tests' / 'golden'
RELEASED = GOLDEN / 'released' / 'llava-v1.5-tiny-lora-emola-mha'
BASE = GOLDEN / 'released' / 'llava-v1.5-tiny-mha'
CLIP = GOLDEN / 'released' / 'openai' / 'clip-tiny-patch14-56'


@dataclasses.dataclass(frozen=True)
class Target:
    """One kind of input.

    Attributes:
      files: makes whole files in a folder: the seeds, by name below it.
      read: reads one damaged file (the others are whole); answers, or raises.
      mutate: suffix -> how a file is damaged; files of other suffixes stay whole.
    """

    files: Callable[[Path], None]
    read: Callable[[Path], Any]
    mutate: Mapping[str, Mutate]


def _scene() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)


def _picture_files(folder: Path) -> None:
    picture = Image.fromarray(_scene())
    kinds = ('AVIF', 'BMP', 'GIF', 'JPEG', 'JPEG2000', 'PNG', 'PPM', 'TIFF', 'WEBP')
    more: dict[str, dict[str, Any]] = {kind: {} for kind in kinds}
    many = {'save_all': True, 'append_images': [Image.new('RGB', (32, 24))] * 3}
    for name, kind, options in (
        *((kind, kind, more[kind]) for kind in kinds),
        (
            'progressive',
            'JPEG',
            {'progressive': True, 'exif': b'Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3'},
        ),
        *((f'many-{kind}', kind, many) for kind in ('GIF', 'PNG', 'TIFF', 'WEBP', 'AVIF', 'MPO')),
        *((f'tiff-{c}', 'TIFF', {'compression': c}) for c in ('tiff_lzw', 'jpeg', 'tiff_deflate')),
    ):
        file = io.BytesIO()
        picture.save(file, kind, **options)
        (folder / f'{name}.bin').write_bytes(file.getvalue())


def _read_picture(path: Path) -> None:
    from input_pipeline import images

    images.square_pixels(path.read_bytes(), size=16, name='x')


def _video_files(folder: Path) -> None:
    for suffix, code in (('.mp4', 'mp4v'), ('.avi', 'MJPG'), ('.mkv', 'mp4v'), ('.webm', 'VP80')):
        fourcc = cv2.VideoWriter.fourcc(*code)
        writer = cv2.VideoWriter(str(folder / f'a{suffix}'), fourcc, 10, (32, 24))
        for _ in range(8):
            writer.write(_scene())
        writer.release()


def _read_video(path: Path) -> None:
    from input_pipeline import videos

    with videos.opened(path) as capture:
        for number, _ in enumerate(videos.frames(path, capture)):
            videos.retrieve(capture)
            if number > 200:
                break
    videos.length(path)


def _annotation_files(folder: Path) -> None:
    (folder / 'images').mkdir()
    Image.fromarray(_scene()).save(folder / 'images' / 'a.jpg')
    entry = {
        'image': 'a.jpg',
        'landmark': 'a.npy',
        'conversations': [
            {'from': 'human', 'value': '<image>\nWhat AUs?'},
            {'from': 'gpt', 'value': 'AU4 and AU9.'},
        ],
        'gpt4': 'AU4.',
        'label': '4, 9',
        'source': 'x',
    }
    (folder / 'anno.json').write_text(json.dumps([entry, {**entry, 'label': 'fear'}]))
    (folder / 'labels.csv').write_text('file,emotion,text\na.jpg,fear,"It is\nfear."\n')


def _read_annotation(path: Path) -> None:
    from emola_jax.cli import statistics
    from input_pipeline.datasets import registry
    from input_pipeline.datasets.build_plan import make_plan
    from input_pipeline.datasets.items import Options

    folder = path.parent
    if path.suffix == '.json':
        for task in ('au', 'emotion'):
            out = folder / 'statistics.html'
            statistics.main([f'--json={path}', f'--task={task}', f'--out={out}'])
        return
    data_set = registry.find('folder').DATA_SET
    options = Options(task='emotion')
    found = data_set.look(folder, options)
    make_plan(data_set, options, found, folder / 'work', drop=True, threads=1)


def _config_files(folder: Path) -> None:
    shutil.copy(BASE / 'config.json', folder / 'base.json')
    shutil.copy(RELEASED / 'config.json', folder / 'emola.json')
    shutil.copy(CLIP / 'config.json', folder / 'clip.json')
    base = json.loads((BASE / 'config.json').read_text())
    clip = json.loads((CLIP / 'config.json').read_text())
    clip = clip.get('vision_config', clip)
    hf = {'text_config': base, 'vision_config': clip, 'landmark_inputs': 212}
    hf |= {'vision_feature_layer': -2, 'rope_scaling': None, 'rope_parameters': {}}
    (folder / 'llava_hf.json').write_text(json.dumps(hf))
    processor = {'image_mean': [0.5, 0.5, 0.5], 'image_std': [0.2, 0.2, 0.2]}
    (folder / 'preprocessor.json').write_text(json.dumps(processor))


def _read_config(path: Path) -> None:
    from emola_jax.formats import hf_config_in
    from emola_jax.models.emola import param_shapes

    folder = path.parent / 'folder'
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    if path.stem == 'preprocessor':
        shutil.copy(path.parent / 'clip.json', folder / 'config.json')
        shutil.copy(path, folder / 'preprocessor_config.json')
        hf_config_in.read_vision(folder)
        return
    shutil.copy(path, folder / 'config.json')
    if path.stem == 'clip':
        hf_config_in.read_vision(folder)
    else:
        from emola_jax.models.config import VisionConfig

        param_shapes(hf_config_in.read_model(folder, VisionConfig()))


def _adapter_files(folder: Path) -> None:
    from safetensors.numpy import save_file

    from emola_jax.models.config import EmolaConfig, LlamaConfig, LoraConfig, PriorConfig

    model = EmolaConfig(
        vision=None,
        prior=PriorConfig(enabled=False),
        llm=LlamaConfig(vocab=64, width=24, layers=2, heads=4, kv_heads=2, head_dim=6, mlp=40),
        lora=LoraConfig(rank=3, alpha=6.0, dropout=0.0, targets=('q',)),
    )
    (folder / 'emola.json').write_text(
        json.dumps({'model': model.to_dict(), 'template': 'llava_v1', 'foreign': {}})
    )
    config = {'peft_type': 'LORA', 'r': 3, 'lora_alpha': 6, 'target_modules': ['q_proj']}
    more = {'base_model_name_or_path': 'some/base', 'lora_dropout': 0.0, 'bias': 'none'}
    (folder / 'adapter_config.json').write_text(json.dumps(config | more))
    layer = 'base_model.model.model.language_model.layers.{}.self_attn.q_proj.lora_{}.weight'
    tensors = {
        layer.format(i, part): np.zeros(shape, np.float32)
        for i in range(2)
        for part, shape in (('A', (3, 24)), ('B', (24, 3)))
    }
    save_file(tensors, folder / 'adapter_model.safetensors')
    save_file({}, folder / 'projectors.safetensors')
    index = {'weight_map': {'x': 'model-1.safetensors'}, 'metadata': {'total_size': 12}}
    (folder / 'model.safetensors.index.json').write_text(json.dumps(index))
    shutil.copy(RELEASED / 'adapter_model.bin', folder / 'adapter_model.bin')


def _read_adapter(path: Path) -> None:
    from emola_jax.errors import UserError
    from emola_jax.formats import read_adapter
    from emola_jax.formats.read_folder import read_folder
    from emola_jax.weights import read_files

    folder = path.parent
    if path.name == 'model.safetensors.index.json':
        opened = read_files.open_folder(folder)
    elif path.suffix in ('.bin', '.safetensors'):
        opened = read_adapter.open_lora(path)
        for tensor in opened.tensors.values():
            tensor.whole()
    else:
        read_folder(folder, with_base=False)
        return
    if opened.faults:
        raise UserError('\n'.join(opened.faults))


def _tokenizer_files(folder: Path) -> None:
    import tokenizers

    from emola_jax.models.tokenizer_files import read_tokenizer

    for path in (GOLDEN / 'llama_tokenizer').glob('*'):
        if path.name != 'encoded.json':
            shutil.copy(path, folder)
    read_tokenizer(folder).backend.save(str(folder / 'tokenizer.json'))
    (folder / 'added_tokens.json').write_text(json.dumps({'<x>': 512}))
    config = json.loads((folder / 'tokenizer_config.json').read_text())
    token = tokenizers.AddedToken('<x>', normalized=False)
    flags = {name: getattr(token, name) for name in ('lstrip', 'rstrip', 'normalized', 'special')}
    config['added_tokens_decoder'] = {'512': {'content': '<x>', **flags}}
    (folder / 'tokenizer_config.json').write_text(json.dumps(config))


def _read_tokenizer(path: Path) -> None:
    from emola_jax.models.tokenizer import Tokenizer

    if path.name in ('tokenizer.model', 'tokenizer.json'):
        other = {'tokenizer.model', 'tokenizer.json'} - {path.name}
        (path.parent / other.pop()).unlink()
    tokenizer = Tokenizer.from_pretrained(path.parent)
    tokenizer.decode(tokenizer.encode('What AUs are\nshown?'))


def _gguf_files(folder: Path) -> None:
    import gguf

    writer = gguf.GGUFWriter(folder / 'a.gguf', 'llama')
    for add, value in (
        ('vocab_size', 11), ('embedding_length', 8), ('block_count', 1), ('head_count', 4),
        ('head_count_kv', 2), ('feed_forward_length', 12), ('rope_freq_base', 500.0),
        ('rope_dimension_count', 2), ('layer_norm_rms_eps', 1e-5),
        ('token_list', ['x', 'xx', *'abcdefghi']),
        ('token_types', [1] * 11), ('token_merges', ['x x']), ('tokenizer_model', 'gpt2'),
        ('tokenizer_pre', 'smollm'), ('eos_token_id', 2), ('bos_token_id', 1),
    ):  # fmt: skip
        getattr(writer, f'add_{add}')(value)
    shapes: dict[str, tuple[int, ...]] = {'token_embd': (11, 8), 'output_norm': (8,)}
    shapes |= {f'blk.0.{name}': (8,) for name in ('attn_norm', 'ffn_norm')}
    shapes |= {'blk.0.attn_q': (8, 8), 'blk.0.attn_output': (8, 8), 'blk.0.attn_k': (4, 8)}
    shapes |= {'blk.0.attn_v': (4, 8), 'blk.0.ffn_gate': (12, 8), 'blk.0.ffn_up': (12, 8)}
    shapes |= {'blk.0.ffn_down': (8, 12)}
    for name, shape in shapes.items():
        writer.add_tensor(f'{name}.weight', np.ones(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _read_gguf(path: Path) -> None:
    from emola_jax.formats import gguf
    from emola_jax.models.tokenizer import Tokenizer

    reader = gguf.open_gguf(path)
    gguf.read_gguf_llama(path, reader)
    Tokenizer.from_gguf(path, reader)


def _onnx_files(folder: Path) -> None:
    """A net of one layer, in the few messages that it takes."""

    def field(number: int, value: bytes | int) -> bytes:
        if isinstance(value, int):
            return _varint(number << 3) + _varint(value)
        return _varint(number << 3 | 2) + _varint(len(value)) + value

    def sized(name: bytes, sizes: tuple[int, ...]) -> bytes:
        shape = b''.join(field(1, field(1, size)) for size in sizes)
        return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))

    weight = field(1, 1) + field(2, 1) + field(8, b'w') + field(9, struct.pack('<f', 0.5))
    matrix = field(1, 3) + field(1, 212) + field(2, 1) + field(8, b'm')
    matrix += field(9, struct.pack('<636f', *[0.5] * 636))
    axis = field(1, b'axis') + field(20, 2) + field(3, 1)
    nodes = [
        field(1, b'x') + field(1, b'w') + field(2, b't') + field(4, b'Mul'),
        field(1, b't') + field(2, b'p') + field(4, b'GlobalAveragePool'),
        field(1, b'p') + field(2, b'f') + field(4, b'Flatten') + field(5, axis),
        field(1, b'f') + field(1, b'm') + field(2, b'y') + field(4, b'MatMul'),
    ]
    graph = b''.join(field(1, node) for node in nodes) + field(5, weight)
    graph += field(5, matrix)
    graph += field(11, sized(b'x', (1, 3, 192, 192))) + field(12, sized(b'y', (1, 212)))
    (folder / 'a.onnx').write_bytes(field(1, 8) + field(7, graph))


def _varint(value: int) -> bytes:
    found = b''
    while value > 127:
        found, value = found + bytes([value & 127 | 128]), value >> 7
    return found + bytes([value])


def _read_onnx(path: Path) -> None:
    from emola_jax.experts.insightface import InsightFaceExpert

    InsightFaceExpert.load(path)


def _prediction_files(folder: Path) -> None:
    rows = [
        {
            'id': 'a',
            'task': 'au',
            'prediction': 'AU4 and AU9.',
            'reference': 'AU4.',
            'label': '4, 9',
        },
        {'id': 2, 'prediction': '{"AU1": "no"}', 'reference': 'x', 'label': [4, 9]},
        {'id': 'c', 'prediction': '| AU | 4 |\n|-|-|\n| x | yes |', 'reference': '.', 'label': ''},
    ]
    (folder / 'au.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))
    rows = [
        {'id': str(i), 'prediction': text, 'reference': 'It is fear.', 'label': label}
        for i, (text, label) in enumerate(
            [('The answer is fear.', 'fear'), ('happy: 10 %, sad: 85 %', 1), ('not sad', '3')]
        )
    ]
    (folder / 'emotion.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))


def _read_predictions(path: Path) -> None:
    from emola_jax.metrics import read_answers, rege

    task: Any = path.stem
    found = read_answers.load(path, task)
    for reader in ('strict-1', 'strict-2'):
        rege.score(found.samples, task, (1, 4, 9), replicates=3, reader=reader)


_JSON: dict[str, Mutate] = {'.json': damaged_json}
TARGETS = {
    'pictures': Target(_picture_files, _read_picture, {'.bin': damaged_bytes}),
    'videos': Target(
        _video_files, _read_video, dict.fromkeys(('.mp4', '.avi', '.mkv', '.webm'), damaged_bytes)
    ),
    'annotations': Target(_annotation_files, _read_annotation, {**_JSON, '.csv': damaged_bytes}),
    'configs': Target(_config_files, _read_config, _JSON),
    'adapters': Target(
        _adapter_files,
        _read_adapter,
        {**_JSON, '.safetensors': damaged_bytes, '.bin': damaged_bytes},
    ),
    'tokenizers': Target(_tokenizer_files, _read_tokenizer, {**_JSON, '.model': damaged_bytes}),
    'gguf': Target(_gguf_files, _read_gguf, {'.gguf': damaged_bytes}),
    'onnx': Target(_onnx_files, _read_onnx, {'.onnx': damaged_bytes}),
    'predictions': Target(_prediction_files, _read_predictions, {'.jsonl': damaged_lines}),
}
