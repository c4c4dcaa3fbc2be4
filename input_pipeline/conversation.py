"""One prompt builder for training and evaluation: an instruction becomes tokens and a loss mask.

The picture always stands in front of the instruction, as in LLaVA: text before it, the visual
positions, text behind it. The texts around the picture and the answer are tokenised apart, so the
prompt of evaluation is token for token the prompt of training.
"""

from __future__ import annotations

import dataclasses
from typing import Protocol

import numpy as np
from jaxtyping import Float32, Int32

from input_pipeline.label_spans import Span, label_spans, overlaps

VISUAL_TOKEN = -1
"""Stands for one visual embedding (an image patch or the prior token) in `tokens`."""


class TextEncoder(Protocol):
    """What the prompt builder needs of a tokenizer."""

    @property
    def bos_id(self) -> int | None:
        """Opens a prompt; None where the model was trained without."""
        ...

    @property
    def eos_id(self) -> int:
        """Ends an answer."""
        ...

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`, no special token added."""
        ...

    def spans(self, text: str) -> list[Span]:
        """Characters (start, end) that each of those tokens stands for."""
        ...


@dataclasses.dataclass(frozen=True)
class Template:
    """The words around the picture, the instruction and the answer.

    Attributes:
      before_image: text in front of the visual tokens.
      after_image: text behind them; `{instruction}` is filled in.
      starts_with_bos: whether the tokenizer's BOS opens the prompt.
    """

    before_image: str
    after_image: str
    starts_with_bos: bool


def _vicuna(person: str) -> Template:
    return Template(
        before_image=(
            f'A chat between a curious {person} and an artificial intelligence assistant. '
            f"The assistant gives helpful, detailed, and polite answers to the {person}'s "
            'questions. USER: '
        ),
        after_image='\n{instruction} ASSISTANT:',
        starts_with_bos=True,
    )


TEMPLATES: dict[str, Template] = {
    'vicuna_v1': _vicuna('user'),
    'llava_v1': _vicuna('human'),
    'chatml': Template(
        before_image='<|im_start|>user\n',
        after_image='\n{instruction}<|im_end|>\n<|im_start|>assistant\n',
        starts_with_bos=False,
    ),
}
"""Named in a config's `data.template`; 'vicuna_v1' is what the paper's model was trained with,
'llava_v1' what the released evaluation asks it with."""


@dataclasses.dataclass(frozen=True)
class Conversation:
    """One tokenised training example.

    Attributes:
      tokens: i32[L]; `VISUAL_TOKEN` at the visual positions.
      targets: i32[L]; the token that follows, 0 where `loss_weights` is 0.
      loss_weights: f32[L]; 1 where the answer or its end is predicted (`label_weight` where it
        states the label), else 0.
    """

    tokens: Int32[np.ndarray, 'L']
    targets: Int32[np.ndarray, 'L']
    loss_weights: Float32[np.ndarray, 'L']


def prompt_tokens(
    tokenizer: TextEncoder, template: Template, instruction: str, visual_tokens: int
) -> list[int]:
    """The prompt up to where the answer starts: what evaluation feeds and training masks.

    Without visual tokens the two texts are one, without the line break behind the picture.
    """
    bos = [tokenizer.bos_id] if template.starts_with_bos and tokenizer.bos_id is not None else []
    after = template.after_image.format(instruction=instruction.strip())
    if not visual_tokens:
        return [*bos, *tokenizer.encode(template.before_image + after.removeprefix('\n'))]
    return [
        *bos,
        *tokenizer.encode(template.before_image),
        *[VISUAL_TOKEN] * visual_tokens,
        *tokenizer.encode(after),
    ]


def conversation(
    tokenizer: TextEncoder,
    template: Template,
    instruction: str,
    response: str,
    visual_tokens: int,
    *,
    task: str = '',
    label_weight: float = 1.0,
) -> Conversation:
    """A training example: everything before the answer is masked; answer and EOS are trained.

    White space around the answer belongs to it, as in the released code. The last token is never an
    input (nothing follows EOS), so L is one less than the text's length.

    Args:
      tokenizer: of the language model.
      template: the words around.
      instruction: the question.
      response: the answer.
      visual_tokens: visual positions.
      task: what the answer's label is; see `label_spans`. Needed if `label_weight` isn't 1.
      label_weight: weight of the tokens that state the label; 1 in the paper.
    """
    prompt = prompt_tokens(tokenizer, template, instruction, visual_tokens)
    answer = [*tokenizer.encode(response), tokenizer.eos_id]
    weights = np.ones(len(answer), np.float32)
    if label_weight != 1.0:
        stated = label_spans(task, response)
        for position, span in enumerate(tokenizer.spans(response)):
            if overlaps(span, stated):
                weights[position] = label_weight
    ids = np.asarray(prompt + answer, np.int32)
    weights = np.concatenate([np.zeros(len(prompt), np.float32), weights])
    return Conversation(
        tokens=ids[:-1],
        targets=np.where(weights > 0, ids, 0)[1:],
        loss_weights=weights[1:],
    )
