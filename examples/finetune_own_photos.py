"""Goes on training a checkpoint on photos of one's own, and scores it on those held out.

    python examples/finetune_own_photos.py photos runs/mine emola-lora

`photos` holds pictures and one label file (docs/datasets.md, `folder`), for example labels.csv:

    file,emotion,aus,text,split
    a.jpg,happiness,"6, 12",The cheeks are raised.,train
    b.jpg,sadness,"1, 15",The mouth corners are drawn down.,eval
"""

import sys

import emola_jax

CONFIG = 'configs/emola.py:task=mix,dataset=folder'


def main(photos: str, workdir: str, start: str = '', **overrides: object) -> None:
    """Trains, evaluates and says where the report is."""
    settings = {'data.root': photos, 'data.landmarks': 'computed', 'init_from': start}
    run = emola_jax.train(CONFIG, workdir, {**settings, **overrides})
    for task, scores in run.scores.items():
        print(f'{task}: S_re {scores.strict.s_re:.1f}, S_ge {scores.strict.s_ge:.1f}')
    print(f'report: {run.report}')


if __name__ == '__main__':
    main(*sys.argv[1:])
