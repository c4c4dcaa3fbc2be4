"""Emotion, action units and an explanation for every face of a photo.

    python examples/predict.py me.jpg runs/mini

The checkpoint is a run of this project, EmoLA as released, an adapter of PEFT, plain LLaVA-1.5 or a
merged model: a folder, or owner/name of the Hugging Face hub.
"""

import sys

import emola_jax


def main(photo: str, checkpoint: str, **options: object) -> None:
    """Prints what the checkpoint says of every face."""
    emola = emola_jax.load(checkpoint, **options)
    for number, face in enumerate(emola(photo), 1):
        print(f'face {number}, {face.emotions[face.emotion]:.0%} {face.emotion}')
        print('  action units:', ', '.join(f'AU{au}' for au in face.active_aus) or 'none')
        print(f'  {face.emotion_text}\n  {face.au_text}')
        for flag in face.flags:
            print(f'  note: {flag}')


if __name__ == '__main__':
    main(*sys.argv[1:])
