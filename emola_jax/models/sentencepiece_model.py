"""A LLaMA's tokenizer.model: SentencePiece itself, and the same tokenizer in `tokenizers`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, Protocol

import sentencepiece
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from emola_jax.errors import UserError
from emola_jax.files.whole import read_bytes
from input_pipeline.conversation import TEMPLATES

SPACE = '\N{LOWER ONE EIGHTH BLOCK}'
"""Stands for a space in the pieces of SentencePiece."""

_BPE = 2  # sentencepiece's TrainerSpec.ModelType
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED = 1, 2, 3, 4  # its SentencePiece.Type

PROBE: tuple[str, ...] = (
    *(template.before_image for template in TEMPLATES.values()),
    *(t.after_image.format(instruction='What AUs are shown?') for t in TEMPLATES.values()),
    '',
    'a',
    ' a',
    '  a',
    'a ',
    'a  ',
    ' ',
    '   ',
    '\n',
    '\n\n',
    '\n a',
    ' \n',
    '\t',
    'tab\tsep',
    '\r\n',
    'mid   dle',
    'hello world',
    'The person in the image appears to express happiness.',
    "AU12 (Lip Corner Puller), AU 4; don't.\n1. AU26/27: 0.85 %",
    '12345',
    '3.14',
    'Sürprise',
    'ÀÉ é ﬁ …',
    '😀',
    '顔 微笑 Привет',
    'a\u200bb\u00a0c\ufeff',
    SPACE,
    f'a{SPACE}b',
    f'{SPACE}a',
    '<0x0A>',
    '<image>',
    'x\x01y',
)
"""Texts on which two tokenizers must agree: our prompts, and what tells tokenizers apart (white
space at both ends, line starts, digits, composed letters, bytes that no piece covers)."""


class Piece(Protocol):
    """One entry of the vocabulary."""

    piece: str
    score: float
    type: int


class SentencePiece:
    """What SentencePiece makes of a tokenizer.model."""

    def __init__(self, path: Path) -> None:
        """Opens a file.

        Raises:
          UserError: it is no SentencePiece model, or a damaged one.
        """
        from sentencepiece import sentencepiece_model_pb2  # imports protobuf

        self.path = path
        schema: Any = sentencepiece_model_pb2  # its classes are made at run time
        self.proto = schema.ModelProto()
        content = read_bytes(path)
        try:
            self.proto.ParseFromString(content)
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=content)
        except Exception as error:  # protobuf's and SentencePiece's kinds
            reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
            raise UserError(
                f'{path}: not a readable SentencePiece model ({reason[0]}); download it again'
            ) from None
        if not self.pieces:
            raise UserError(f'{path}: a SentencePiece model without pieces; download it again')

    @property
    def pieces(self) -> Sequence[Piece]:
        """The vocabulary: `piece`, `score` and `type` of each id."""
        return self.proto.pieces

    def encode(self, text: str) -> list[int]:
        """Ids of a text as SentencePiece has them; special tokens in it are plain text."""
        return list(self._processor.encode(text))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids."""
        return str(self._processor.decode(list(ids)))

    def special(self) -> dict[str, str]:
        """The tokens that the model itself names: 'bos_token' and so on, where it has them."""
        ids = {
            'bos_token': self._processor.bos_id(),
            'eos_token': self._processor.eos_id(),
            'pad_token': self._processor.pad_id(),
            'unk_token': self._processor.unk_id(),
        }
        return {name: self.pieces[index].piece for name, index in ids.items() if index >= 0}

    def backend(self, *, prefix_everywhere: bool) -> tokenizers.Tokenizer:
        """The same tokenizer in `tokenizers`, with the special tokens recognised in a text.

        Args:
          prefix_everywhere: whether a text that follows a special token gets a leading space, as
            every text does; that is `legacy` of tokenizer_config.json.
        """
        spec = self.proto.normalizer_spec
        backend = tokenizers.Tokenizer(self._model())
        backend.normalizer = normalizers.Sequence(self._normalizers())
        scheme = 'never'
        if spec.add_dummy_prefix:
            scheme = 'always' if prefix_everywhere else 'first'
        backend.pre_tokenizer = pre_tokenizers.Metaspace(
            replacement=SPACE, prepend_scheme=scheme, split=False
        )
        steps: list[decoders.Decoder] = [
            decoders.Replace(SPACE, ' '),
            decoders.ByteFallback(),
            decoders.Fuse(),
        ]
        if spec.add_dummy_prefix:
            steps.append(decoders.Strip(content=' ', left=1))
        backend.decoder = decoders.Sequence(steps)
        for kinds, special in (((_UNKNOWN, _CONTROL), True), ((_USER_DEFINED,), False)):
            backend.add_tokens(
                [
                    tokenizers.AddedToken(entry.piece, normalized=False, special=special)
                    for entry in self.pieces
                    if entry.type in kinds
                ]
            )
        return backend

    def _model(self) -> models.Model:
        trained = self.proto.trainer_spec
        if trained.model_type != _BPE:
            return models.Unigram(
                [(entry.piece, entry.score) for entry in self.pieces],
                unk_id=trained.unk_id,
                byte_fallback=trained.byte_fallback,
            )
        return models.BPE(
            vocab={entry.piece: index for index, entry in enumerate(self.pieces)},
            merges=self._merges(),
            unk_token=self.special().get('unk_token'),
            fuse_unk=True,
            byte_fallback=trained.byte_fallback,
        )

    def _merges(self) -> list[tuple[str, str]]:
        """Every pair of pieces that is a piece, the highest score first, as SentencePiece joins."""
        scores = {
            entry.piece: entry.score
            for entry in self.pieces
            if entry.type in (_NORMAL, _USER_DEFINED)
        }
        pairs = [
            (-score, cut, piece)
            for piece, score in scores.items()
            for cut in range(1, len(piece))
            if piece[:cut] in scores and piece[cut:] in scores
        ]
        return [(piece[:cut], piece[cut:]) for _, cut, piece in sorted(pairs)]

    def _normalizers(self) -> list[normalizers.Normalizer]:
        spec = self.proto.normalizer_spec
        steps: list[normalizers.Normalizer] = []
        if spec.precompiled_charsmap:
            steps.append(normalizers.Precompiled(spec.precompiled_charsmap))
        if spec.remove_extra_whitespaces:
            steps += [normalizers.Strip(), normalizers.Replace(tokenizers.Regex(' {2,}'), ' ')]
        return steps + (prefix_steps() if spec.add_dummy_prefix else [])


def prefix_steps() -> list[normalizers.Normalizer]:
    """Normalizers that give a text with a leading space its prefix as well.

    SentencePiece puts one space before any text; the Metaspace of `tokenizers` leaves it out where
    there is one already, and the ids of ' a' would be those of 'a'.
    """
    return [
        normalizers.Replace(SPACE, ' '),
        normalizers.Replace(tokenizers.Regex(r'\A '), '  '),
    ]


def check_same(backend: tokenizers.Tokenizer, where: Path, original: SentencePiece) -> None:
    """Checks that a tokenizer is what SentencePiece is: pieces, ids of the probe, texts of ids.

    Args:
      backend: what is to be used.
      where: its file, for messages.
      original: of the tokenizer.model that it belongs to.

    Raises:
      UserError: the first difference.
    """

    def fail(what: str) -> NoReturn:
        raise UserError(f'{where} and {original.path} differ: {what}; keep the one trained with')

    for index, entry in enumerate(original.pieces):
        if entry.type == _NORMAL and backend.id_to_token(index) != entry.piece:
            fail(f'id {index} is {backend.id_to_token(index)!r} and {entry.piece!r}')
    added = {str(token): index for index, token in backend.get_added_tokens_decoder().items()}
    own = {entry.piece for entry in original.pieces if entry.type == _USER_DEFINED}
    cases = {
        text: original.encode(text)
        for text in PROBE
        if not any(token in text for token in added.keys() - own)
    }
    for ids in cases.values():
        if (text := backend.decode(ids)) != original.decode(ids):
            fail(f'ids {ids} are the text {text!r} and {original.decode(ids)!r}')
    cases |= {f'face{token}': [*original.encode('face'), index] for token, index in added.items()}
    for text, ids in cases.items():
        if (found := backend.encode(text, add_special_tokens=False).ids) != ids:
            fail(f'{text!r} has the ids {found} and {ids}')
