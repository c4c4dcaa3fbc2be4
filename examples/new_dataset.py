"""A data set of one's own layout: one folder per emotion, in a train and a test part.

    python examples/new_dataset.py FOLDER runs/by_folder       (FOLDER/train/happiness/a.jpg, …)

`scan` says which picture has which label, and `DataSet` what the set is called and what it labels;
configs and commands then know it by its name.
"""

import sys
from pathlib import Path

import emola_jax
from emola_jax.facs import EMOTIONS
from input_pipeline.datasets import wording
from input_pipeline.datasets.build import FaceBuilder
from input_pipeline.datasets.build_plan import DataSet
from input_pipeline.datasets.items import Item, Options, Scan


def missing(root: Path, options: Options) -> list[str]:
    """One line per folder that isn't there."""
    return [f'{root / split}: the pictures' for split in SPLITS if not (root / split).is_dir()]


def scan(root: Path, options: Options) -> Scan:
    """One record per picture; its folders say split and emotion."""
    found = Scan()
    for path in sorted(root.glob('*/*/*.jpg')):
        split, emotion = path.parts[-3], EMOTIONS.index(path.parts[-2])
        found.items.append(
            Item(
                id=str(path.relative_to(root)),
                split=split,
                image=str(path),
                task='emotion',
                instruction=wording.QUESTIONS['emotion'],
                response=wording.emotion_answer(emotion),
                emotion=emotion,
                source='by_folder',
            )
        )
    return found


SPLITS = ('train', 'test')


class ByFolder(FaceBuilder):
    """Made known by `register_dataset`."""

    name = 'by_folder'
    MANUAL_DOWNLOAD_INSTRUCTIONS = 'Put the pictures into FOLDER/{train,test}/EMOTION/.'
    DATA_SET = DataSet(
        name='by_folder',
        title='Faces by folder',
        tasks=('emotion',),
        splits=SPLITS,
        train='train',
        evaluated='test',
        au_list='',
        instructions=MANUAL_DOWNLOAD_INSTRUCTIONS,
        missing=missing,
        scan=scan,
    )


def main(root: str, workdir: str, **overrides: object) -> None:
    """Registers the data set, trains on it and evaluates."""
    emola_jax.register_dataset(ByFolder)
    settings = {'data.root': root, 'data.landmarks': 'computed', **overrides}
    run = emola_jax.train('configs/emola.py:dataset=by_folder', workdir, settings)
    print(f'accuracy {run.scores["emotion"].strict.s_re:.1f}; report: {run.report}')


if __name__ == '__main__':
    main(*sys.argv[1:])
