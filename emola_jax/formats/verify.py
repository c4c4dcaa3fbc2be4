"""Runs one sample through what was written and through our model, and compares logits."""

from __future__ import annotations

import dataclasses
import functools
import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import sentencepiece
from jaxtyping import Float32
from PIL import Image

from emola_jax import extras
from emola_jax.errors import UserError
from emola_jax.models import tokenizer_files
from emola_jax.models.config import EmolaConfig
from emola_jax.models.emola import Emola
from emola_jax.models.sentencepiece_model import PROBE, SPACE
from emola_jax.models.tokenizer import Tokenizer
from emola_jax.weights.trees import Params
from input_pipeline.conversation import VISUAL_TOKEN, Template, prompt_tokens
from input_pipeline.images import square_pixels


@dataclasses.dataclass(frozen=True)
class Sample:
    """One question about one face.

    Attributes:
      image: the encoded picture.
      landmarks: as of a record.
      instruction: the question.
    """

    image: bytes
    landmarks: Float32[np.ndarray, '212']
    instruction: str


@dataclasses.dataclass(frozen=True)
class Reading:
    """What a model makes of a sample's prompt.

    Attributes:
      tokens: the prompt; `VISUAL_TOKEN` at the visual positions.
      logits: of the next token at each position, float32; columns beyond our vocabulary are left
        out of a comparison.
    """

    tokens: list[int]
    logits: Float32[np.ndarray, 'L V']


def example_sample(inputs: int = 212) -> Sample:
    """A made-up picture that isn't square, and made-up landmarks; always the same."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    file = io.BytesIO()
    coarse.resize((160, 120), Image.Resampling.BICUBIC).save(file, 'png')
    landmarks = rng.uniform(-1, 1, inputs).astype(np.float32)
    return Sample(file.getvalue(), landmarks, 'What emotion does this face show, and why?')


def difference(folder: Path, ours: Reading, theirs: Reading) -> float:
    """The largest absolute difference between the logits of both, at any position of the prompt.

    Raises:
      UserError: the prompts differ.
    """
    if theirs.tokens != ours.tokens:
        raise UserError(
            f'{folder}: reads the prompt as tokens {theirs.tokens}, expected {ours.tokens}'
        )
    columns = ours.logits.shape[-1]
    return float(np.abs(theirs.logits[:, :columns] - ours.logits).max())


def check_tokenizer(
    original: Path | None, folder: Path, encode: Callable[[str], list[int]], added: Iterable[str]
) -> None:
    """Compares a written tokenizer with what another library makes of the original's files.

    That is SentencePiece for a tokenizer.model, else transformers' class for any tokenizer.json:
    none of them shares our reading of the files.

    Args:
      original: folder of the files; None where there are none (a GGUF, say).
      folder: what was written, for messages.
      encode: ids of a text with the written tokenizer, no special token added.
      added: its tokens that are recognised in a text; texts with one are left out.

    Raises:
      UserError: a text has other ids.
    """
    if original is None:
        return
    texts = [text for text in PROBE if not any(token in text for token in added)]
    if (original / tokenizer_files.MODEL).is_file():
        name = 'SentencePiece'
        model = str(original / tokenizer_files.MODEL)
        theirs = sentencepiece.SentencePieceProcessor(model_file=model).encode
    else:
        from transformers import PreTrainedTokenizerFast

        name = 'transformers'
        loaded = PreTrainedTokenizerFast(tokenizer_file=str(original / tokenizer_files.JSON))
        theirs = functools.partial(loaded.encode, add_special_tokens=False)
        # Our reading of a leading space is SentencePiece's, which that class may not share.
        texts = [text for text in texts if not text.startswith((' ', SPACE))]
    for text in texts:
        if (found := list(encode(text))) != (expected := list(theirs(text))):
            raise UserError(
                f'{folder}: its tokenizer makes {found} of {text!r}, but {name} makes {expected} '
                f'of it with the files in {original}'
            )


def our_reading(
    model: EmolaConfig,
    params: Params,
    tokenizer: Tokenizer,
    template: Template,
    sample: Sample,
) -> Reading:
    """What our model reads, computed in float32."""
    tokens = prompt_tokens(tokenizer, template, sample.instruction, model.visual_tokens)
    row = np.asarray([tokens], np.int32)
    batch = {
        'tokens': row,
        'positions': np.arange(row.shape[1], dtype=np.int32)[None],
        'segment_ids': np.ones_like(row),
    }
    if model.vision is not None:
        pixels = square_pixels(sample.image, size=model.vision.image_size, name='sample')
        batch['images'] = pixels[None, None]
    if model.reads_landmarks:
        batch['landmarks'] = sample.landmarks[None, None]
    # float32 in both libraries: a difference is then a fault and no rounding.
    apply = jax.jit(Emola(model.replace(dtype='float32')).apply)
    with jax.default_matmul_precision('highest'):
        logits = apply({'params': params}, batch)[0]
    return Reading(tokens, np.asarray(logits))


def read_transformers(
    folder: Path, sample: Sample, placeholder: int, original: Path | None = None
) -> Reading:
    """Reads with transformers, image and prompt included: folders of kinds `hf` and `llava-hf`.

    Args:
      folder: what was written.
      sample: image, landmarks where the folder has the prior, and question.
      placeholder: id of image positions in the folder.
      original: the source's folder of tokenizer files, if it has one.

    Raises:
      UserError: torch is not installed, a text has other ids than in `original`, or tensors are
        missing or left over.
    """
    extras.check_torch('checking what was written')
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from transformers.utils import logging

    logging.disable_progress_bar()
    ours = _has_only_our_code(folder)
    loaded: Any = AutoModelForImageTextToText.from_pretrained(
        folder, dtype=torch.float32, trust_remote_code=ours, output_loading_info=True
    )
    net, report = loaded
    faults = {name: sorted(map(str, keys)) for name, keys in report.items() if keys}
    if faults:
        raise UserError(f'{folder}: transformers does not load it whole: {faults}')
    processor = AutoProcessor.from_pretrained(folder, trust_remote_code=ours)
    words = processor.tokenizer
    encode = functools.partial(words.encode, add_special_tokens=False)
    check_tokenizer(original, folder, encode, words.get_added_vocab())
    question = {'type': 'text', 'text': sample.instruction}
    text = processor.apply_chat_template(
        [{'role': 'user', 'content': [{'type': 'image'}, question]}], add_generation_prompt=True
    )
    extra = {'landmarks': sample.landmarks} if getattr(processor, 'landmark_inputs', 0) else {}
    picture = Image.open(io.BytesIO(sample.image))
    inputs = processor(images=picture, text=text, return_tensors='pt', **extra)
    with torch.inference_mode():
        logits = net.eval()(**inputs).logits[0].numpy()
    ids = inputs['input_ids'][0].tolist()
    return Reading([VISUAL_TOKEN if i == placeholder else i for i in ids], logits)


def _has_only_our_code(folder: Path) -> bool:
    """Whether a folder's Python files are this project's own, byte for byte, and there are some."""
    found = sorted(folder.rglob('*.py'))
    return bool(found) and all(
        path.parent == folder
        and (_HF_FILES / path.name).is_file()
        and path.read_bytes() == (_HF_FILES / path.name).read_bytes()
        for path in found
    )


_HF_FILES = Path(__file__).parent / 'hf_files'
