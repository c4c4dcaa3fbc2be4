"""EmoLA (ECCV 2024) for transformers: LLaVA-1.5 with landmarks as one more visual token.

Each image becomes its patches and then one token of its landmarks, so a prompt holds (patches + 1)
image placeholders for each image. Everything else, generation included, is LLaVA's.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, LlavaForConditionalGeneration
from transformers.models.llava.modeling_llava import (
    LlavaCausalLMOutputWithPast,
    LlavaModel,
    LlavaModelOutputWithPast,
    LlavaPreTrainedModel,
)
from transformers.utils import can_return_tuple

from .configuration_emola import EmolaConfig


class EmolaProjector(nn.Module):
    """Linear, GELU (by erf), Linear; `rms` rescales every output to that root mean square."""

    def __init__(self, inputs: int, hidden: int, outputs: int, rms: float | None) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(inputs, hidden)
        self.linear_2 = nn.Linear(hidden, outputs)
        self.rms = rms

    def forward(self, x: Tensor) -> Tensor:
        """Maps the last axis."""
        x = self.linear_2(nn.functional.gelu(self.linear_1(x)))
        if self.rms is None:
            return x
        wide = x.float()
        square = wide.square().mean(-1, keepdim=True)
        return (wide * torch.rsqrt(square + 1e-6) * self.rms).to(x.dtype)


class EmolaModel(LlavaModel):
    """Vision tower, both projectors and the language model, without the output head."""

    config_class = EmolaConfig
    landmark_mean: Tensor
    landmark_std: Tensor

    def __init__(self, config: EmolaConfig) -> None:
        LlavaPreTrainedModel.__init__(self, config)
        vision: Any = config.vision_config
        text: Any = config.text_config
        width = text.hidden_size
        self.vision_tower = AutoModel.from_config(vision)
        # CLIP's last norm serves its class token alone, which is not used: there are no weights.
        getattr(self.vision_tower, 'vision_model', self.vision_tower).post_layernorm = nn.Identity()
        features = vision.hidden_size * config.spatial_merge**2
        projector: Any = EmolaProjector(features, width, width, config.projector_rms)
        self.multi_modal_projector = projector
        self.language_model = AutoModel.from_config(text)
        if config.landmark_inputs:
            self.landmark_projector = EmolaProjector(
                config.landmark_inputs, config.landmark_hidden, width, config.projector_rms
            )
        if config.landmark_standardize:
            self.register_buffer('landmark_mean', torch.zeros(config.landmark_inputs))
            self.register_buffer('landmark_std', torch.ones(config.landmark_inputs))
        self.post_init()

    def get_image_features(self, pixel_values: Tensor) -> Tensor:
        """Images [N, 3, H, W] -> [N, T, D], row by row; the tower holds the needed layers alone."""
        patches = self.vision_tower(pixel_values).last_hidden_state[:, 1:]
        count, length, width = patches.shape
        merge = self.config.spatial_merge
        side = round(length**0.5) // merge
        blocks = patches.reshape(count, side, merge, side, merge, width).transpose(2, 3)
        return self.multi_modal_projector(blocks.reshape(count, side * side, merge**2 * width))

    def landmark_tokens(self, landmarks: Tensor) -> Tensor:
        """Landmarks [N, 212] in [-1, 1] over the square image -> [N, 1, D]."""
        weight = self.landmark_projector.linear_1.weight
        landmarks = landmarks.to(weight.device, torch.float32)
        if self.config.landmark_standardize:
            landmarks = (landmarks - self.landmark_mean) / self.landmark_std
        return self.landmark_projector(landmarks.to(weight.dtype))[:, None]

    def visual_tokens(self, pixel_values: Tensor, landmarks: Tensor | None) -> Tensor:
        """For each image its patches, then its prior: [N, T (+ 1), D]."""
        patches = self.get_image_features(pixel_values)
        if not self.config.landmark_inputs:
            return patches
        expected = (len(pixel_values), self.config.landmark_inputs)
        if landmarks is None:
            raise ValueError(f'landmarks are missing; expected shape {expected}, a row an image')
        if tuple(landmarks.shape) != expected:
            raise ValueError(f'landmarks have shape {tuple(landmarks.shape)}, expected {expected}')
        return torch.cat([patches, self.landmark_tokens(landmarks).to(patches.device)], dim=1)

    def embed(self, input_ids: Tensor, pixel_values: Tensor, landmarks: Tensor | None) -> Tensor:
        """Token embeddings with the visual tokens in place of the image placeholders, in order."""
        here = input_ids == self.config.image_token_id
        # The placeholder's id lies beyond the embedding table.
        x = self.get_input_embeddings()(input_ids.masked_fill(here, 0))
        visual = self.visual_tokens(pixel_values, landmarks).flatten(0, 1)
        if here.sum() != len(visual):
            raise ValueError(
                f'input_ids hold {here.sum()} image placeholders, expected {len(visual)}: '
                f'{len(visual) // len(pixel_values)} for each of {len(pixel_values)} image(s)'
            )
        return x.masked_scatter(here[..., None].to(x.device), visual.to(x.device, x.dtype))

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        landmarks: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **kwargs: Any,
    ) -> LlavaModelOutputWithPast:
        """`landmarks` [N, 212], a row an image, are read wherever `pixel_values` are given.

        The cache is among `kwargs`: it is `past_key_values` up to Transformers 5.23, then `cache`.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError('expected either input_ids or inputs_embeds')
        if input_ids is not None and pixel_values is not None:
            inputs_embeds = self.embed(input_ids, pixel_values, landmarks)
        elif input_ids is not None:
            if input_ids.shape[1] > 1 and (input_ids == self.config.image_token_id).any():
                raise ValueError('input_ids hold image placeholders, but pixel_values are missing')
            inputs_embeds = self.get_input_embeddings()(input_ids)
        outputs = self.language_model(
            attention_mask=attention_mask,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            **kwargs,
        )
        return LlavaModelOutputWithPast(**outputs)


class EmolaForConditionalGeneration(LlavaForConditionalGeneration):
    """EmoLA with its output head: `generate(**processor(images=..., text=..., landmarks=...))`."""

    config_class = EmolaConfig

    def __init__(self, config: EmolaConfig) -> None:
        LlavaPreTrainedModel.__init__(self, config)
        self.model = EmolaModel(config)
        text: Any = config.text_config
        self.lm_head = nn.Linear(text.hidden_size, text.vocab_size, bias=False)
        self.post_init()
        # Rounded to bfloat16 they would move the landmarks. (Transformers 4 looks at post_init for
        # parameters of these names, and they are buffers.)
        self._keep_in_fp32_modules_strict = {'landmark_mean', 'landmark_std'}

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        landmarks: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> LlavaCausalLMOutputWithPast:
        """Logits of the next token; with `labels` (-100 is left out) also their loss."""
        outputs = self.model(
            input_ids=input_ids,
            pixel_values=pixel_values,
            landmarks=landmarks,
            attention_mask=attention_mask,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            **kwargs,
        )
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(outputs.last_hidden_state[:, kept])
        loss = None
        if labels is not None:
            loss = self.loss_function(logits, labels, self.lm_head.out_features)
        others = {name: value for name, value in outputs.items() if name != 'last_hidden_state'}
        return LlavaCausalLMOutputWithPast(loss=loss, logits=logits, **others)
