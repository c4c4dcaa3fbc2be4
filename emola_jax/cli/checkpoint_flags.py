"""Flags of every command that answers with a checkpoint, for what its files do not say."""

from __future__ import annotations

import argparse

from emola_jax.cli.command import positive
from emola_jax.config.quantize import PRESETS
from emola_jax.experiment import trained
from emola_jax.experiment.trained import DATASET, MAX_NEW_TOKENS, Asked, Trained
from emola_jax.experts.finder import Finder
from emola_jax.experts.insightface import PREPROCESSINGS
from emola_jax.experts.registry import load_finder
from emola_jax.files import places
from emola_jax.files.json_values import JsonObject
from input_pipeline.conversation import TEMPLATES
from input_pipeline.datasets import registry

CHECKPOINT = """\
a trained run, EmoLA as released, an adapter of PEFT, LLaVA-1.5 or a merged EmoLA: a folder, or \
owner/name[@revision] of the Hugging Face hub"""

ABOUT = """\
A run states everything itself. Of other checkpoints --base, --clip, --dataset and --template say
what their files do not; what is taken for granted is printed."""


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the flags, except the name of the checkpoint."""
    group = parser.add_argument_group('the checkpoint', ABOUT)
    flag = group.add_argument
    flag(
        '--base',
        type=places.given,
        metavar='DIR',
        help='LLaVA below an adapter or a run, if not where it names it; a folder or hub id',
    )
    flag('--clip', type=places.given, metavar='DIR', help='CLIP, likewise')
    flag(
        '--allow-download',
        action='store_true',
        help='fetch from the hub what the checkpoint itself names (its base, CLIP)',
    )
    flag(
        '--dataset',
        choices=[*registry.BUILDERS, *registry.ALIASES],
        help=f'the data set in whose words it is asked ({DATASET})',
    )
    flag(
        '--template',
        choices=sorted(TEMPLATES),
        help='its conversation template (the one that it names, or vicuna_v1)',
    )
    flag(
        '--max-new-tokens',
        type=positive,
        metavar='N',
        help=f'longest answer ({MAX_NEW_TOKENS})',
    )
    flag(
        '--quantize',
        choices=list(PRESETS),
        help='store the weights in 8 or 4 bits (docs/memory.md)',
    )
    flag(
        '--expert',
        default='mesh',
        metavar='mesh|onnx=FILE',
        help='landmarks of FaceMesh (mesh), or of InsightFace 2d106det from a file of yours',
    )
    flag(
        '--preprocess',
        default='insightface',
        choices=PREPROCESSINGS,
        help='what 2d106det sees: the face as InsightFace cuts it out, or the whole crop, as the '
        'released landmarks were made',
    )


def asked(arguments: argparse.Namespace) -> Asked:
    """What the flags say of the checkpoint."""
    return Asked(
        base=arguments.base,
        clip=arguments.clip,
        allow_download=arguments.allow_download,
        dataset=arguments.dataset,
        template=arguments.template,
        max_new_tokens=arguments.max_new_tokens,
    )


def look(name: str, arguments: argparse.Namespace) -> Trained:
    """Finds out what the checkpoint is, and prints what is taken for granted of it.

    Raises:
      UserError: see `trained.look`.
    """
    found = trained.look(name, asked(arguments))
    for line in trained.describe(found):
        print(line)
    if not found.is_run and found.config.model.prior.enabled and arguments.expert == 'mesh':
        print(
            "  landmarks of FaceMesh: a released EmoLA learnt InsightFace's, whose points lie "
            'elsewhere on the face, so its prior is off; --expert=onnx=2d106det.onnx gives its own'
        )
    return found


def finder(arguments: argparse.Namespace, **settings: int | float) -> Finder:
    """The finder of faces that the flags name; settings of `FaceFinder`."""
    return load_finder(arguments.expert, arguments.preprocess, **settings)


def settings(found: Trained, arguments: argparse.Namespace) -> JsonObject:
    """What answers depend on, for the stamp of a folder of results."""
    given = {
        name: value
        for name in ('dataset', 'template', 'max_new_tokens', 'quantize')
        if (value := getattr(arguments, name)) is not None
    }
    if arguments.expert != 'mesh':
        given |= {'expert': arguments.expert, 'preprocess': arguments.preprocess}
    return {**found.identity, **given}
