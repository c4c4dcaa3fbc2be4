"""README.md of a written folder: what it is, how to load it, what it scored, which licence."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from emola_jax.files.json_values import JsonObject
from emola_jax.files.whole import read_json
from emola_jax.formats.hf_config_in import CONFIG_FILE
from emola_jax.formats.source import Source, beyond_one_prior
from emola_jax.metrics.scores import RunScores, Scoring
from emola_jax.models.config import EmolaConfig
from input_pipeline.records import TASKS

SCORES_FILE = 'scores.json'

_LICENCES = {
    'embedded': (
        'apache-2.0',
        'The language model is SmolLM2-135M-Instruct (Apache-2.0); the vision tower was trained on '
        'faces rendered from a CC0 head mesh.',
    ),
    'llava': (
        'other',
        'Derived from LLaVA-1.5 (weights under the LLaMA 2 Community License) and CLIP (MIT). '
        'Those terms, and the terms of the training data, hold for these weights too.',
    ),
    'random': ('other', 'The base weights are random: this folder is of use for tests only.'),
}
_UNKNOWN_LICENCE = (
    'other',
    'The licences of the base weights and of the training data hold for these weights too.',
)

_USE = """```python
import numpy as np
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

folder = 'path/to/this/folder'
model = AutoModelForImageTextToText.from_pretrained(folder{trust})
processor = AutoProcessor.from_pretrained(folder{trust})
question = {{'type': 'text', 'text': 'What emotion does this face show, and why?'}}
chat = [{{'role': 'user', 'content': [{{'type': 'image'}}, question]}}]
prompt = processor.apply_chat_template(chat, add_generation_prompt=True)
inputs = processor(
    images=Image.open('face.png'), text=prompt, {landmarks}return_tensors='pt'
)
answer = model.generate(**inputs)[0, inputs['input_ids'].shape[1] :]
print(processor.decode(answer, skip_special_tokens=True))
```"""

_USE_EMOLA = (
    'The released code loads this folder as a LoRA checkpoint (`--model-path`) on the LLaVA-1.5 '
    'that `adapter_config.json` names (`--model-base`).'
)

_LANDMARKS = (
    '`landmarks.npy` holds {inputs} float32 numbers, x0, y0, x1, y1, … of the facial points that '
    'the model was trained with, in [-1, 1] over the picture padded to a square (x right, y down; '
    'the corners are ±1). They become one token behind the patches of the image; without them the '
    'model raises an error. For several faces, give lists of images and prompts and one row a face.'
)

_WITHOUT_PRIOR = (
    'This is plain LLaVA: **the facial prior is dropped**. The model was trained with a token of '
    'landmarks that this format has no place for, so its answers differ from those that were '
    'scored.'
)
_PRIOR_ELSEWHERE = ' The `hf` format keeps the prior.'

_RENDERED = (
    '> The model was trained and tested on **rendered** faces. Its figures say nothing about real '
    'people and cannot be compared with published ones.'
)


@dataclasses.dataclass(frozen=True)
class CardFacts:
    """What a card says.

    Attributes:
      kind: of the folder: 'hf', 'llava-hf', 'emola' or 'peft'.
      model: sizes.
      dtype: of the weights.
      base: one line on the weights that training started from.
      about: the run's config.json (keys config, base, data), if there is a run.
      scores: the run's scores.json, if it was evaluated.
    """

    kind: str
    model: EmolaConfig
    dtype: str
    base: str
    about: JsonObject | None = None
    scores: RunScores | None = None

    @property
    def merged(self) -> bool:
        """Whether the folder holds a whole model and not an adapter."""
        return self.kind in ('hf', 'llava-hf')

    @property
    def prior(self) -> bool:
        """Whether the folder holds the facial prior."""
        return self.kind != 'llava-hf' and self.model.prior.enabled

    @property
    def drops_prior(self) -> bool:
        """Whether the model has a prior that the folder lacks."""
        return self.kind == 'llava-hf' and bool(self.model.priors)


def facts_of(kind: str, source: Source, dtype: str) -> CardFacts:
    """What there is to tell of a source; of a run of ours its config and scores too."""
    about, scores = run_of(source.folder)
    if about is not None:
        base = about['base']['description']
    else:
        named = source.base or str(source.folder)
        # Of a folder of this machine the name alone.
        base = Path(named).name if Path(named).exists() else named
    return CardFacts(kind, source.model, dtype, base, about, scores)


def run_of(folder: Path) -> tuple[JsonObject | None, RunScores | None]:
    """config.json and scores.json of a run of ours, as far as `folder` is one."""
    path = folder / CONFIG_FILE
    about = read_json(path) if path.is_file() else {}
    if not {'config', 'base'} <= about.keys():
        return None, None
    scores = folder / SCORES_FILE
    return about, RunScores.read(scores) if scores.is_file() else None


def model_card(facts: CardFacts, use: str = '') -> str:
    """The text of README.md, with the metadata block that the Hugging Face hub reads.

    Args:
      facts: what to tell.
      use: how the folder is loaded, where that isn't by transformers alone.
    """
    run = (facts.about or {}).get('config', {})
    licence, note = _LICENCES.get(run.get('base', {}).get('kind'), _UNKNOWN_LICENCE)
    rendered = run.get('data', {}).get('dataset') == 'synthetic_faces'
    how = 'with LoRA merged into the weights' if facts.merged else 'as a LoRA adapter'
    parts = [
        _metadata(facts, licence),
        '# EmoLA',
        'Answers questions about a face: which emotion it shows, which facial action units, and '
        'why. The method is that of Li et al., *Facial Affective Behavior Analysis with '
        f'Instruction Tuning*, ECCV 2024; written by emola_jax, {how}.',
        _dropped_prior(facts),
        _RENDERED if rendered else '',
        '## Use',
        use or _use(facts),
        _LANDMARKS.format(inputs=facts.model.prior.inputs)
        if facts.kind == 'hf' and facts.prior
        else '',
        '## Model',
        _model(facts, run),
        _scores(facts),
        '## Licence',
        note,
    ]
    return '\n\n'.join(part for part in parts if part) + '\n'


def _dropped_prior(facts: CardFacts) -> str:
    if not facts.drops_prior:
        return ''
    return _WITHOUT_PRIOR + ('' if beyond_one_prior(facts.model) else _PRIOR_ELSEWHERE)


def _use(facts: CardFacts) -> str:
    if facts.kind == 'emola':
        return _USE_EMOLA
    trust = ', trust_remote_code=True' if facts.kind == 'hf' else ''
    if facts.prior:
        return _USE.format(trust=trust, landmarks="landmarks=np.load('landmarks.npy'), ")
    return _USE.format(trust=trust, landmarks='').replace('import numpy as np\n', '')


def _metadata(facts: CardFacts, licence: str) -> str:
    lines = (
        '---',
        f'library_name: {"transformers" if facts.merged else "peft"}',
        'pipeline_tag: image-text-to-text',
        f'license: {licence}',
        'tags: [emola, llava, facial-expression, action-units]',
        '---',
    )
    return '\n'.join(lines)


def _model(facts: CardFacts, run: JsonObject) -> str:
    model, lines = facts.model, [f'- base: {facts.base}']
    if model.vision is not None:
        vision = model.vision
        lines.append(
            f'- vision: ViT of {vision.used_layers} layers, {vision.image_size} px in patches of '
            f'{vision.patch_size}, {vision.tokens} tokens'
        )
    lines.append(
        f'- language model: LLaMA of {model.llm.layers} layers, width {model.llm.width}, '
        f'vocabulary {model.llm.vocab}'
    )
    if facts.prior:
        lines.append(f'- facial prior: {model.prior.inputs} numbers, one token')
    lines.append(f'- weights: {facts.dtype}')
    if run:
        lora, train = run['model'].get('lora') or {}, run['train']
        length = f'{train["steps"]} steps' if 'steps' in train else f'{train["epochs"]} epoch(s)'
        lines.append(
            f'- trained: {length} of {train["batch_size"]} rows on {run["data"]["dataset"]}, LoRA '
            f'rank {lora.get("rank", "none")}, seed {run["seed"]}'
        )
    return '\n'.join(lines)


def _scores(facts: CardFacts) -> str:
    rows = [
        f'| {task} | {name} | ' + ' | '.join(map(_cell, scoring.headlines.values())) + ' |'
        for task in TASKS
        for name, scoring in _scorings(facts.scores, task)
    ]
    if not rows:
        return ''
    told = [
        '## Scores',
        'In percent. `strict` reads an answer as a person would, `reference` as the released '
        'script does; `control` is `strict` with a blank image and the landmarks of another face.',
        '\n'.join(['| task | scoring | S_re | S_ge (ROUGE-L) | REGE |', '| --- ' * 5 + '|', *rows]),
    ]
    if facts.drops_prior:
        told.append('They were had **with** the facial prior, which this folder lacks.')
    return '\n\n'.join(told)


def _scorings(scores: RunScores | None, task: str) -> list[tuple[str, Scoring]]:
    if scores is None or task not in scores.tasks:
        return []
    control = scores.control.get(task)
    found = [*scores.tasks[task].by_scoring.items()]
    return [*found, ('control', control.strict)] if control else found


def _cell(value: float | None) -> str:
    return '–' if value is None else f'{value:.1f}'
