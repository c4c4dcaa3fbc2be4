"""The command that answers for photos and videos.

python -m emola_jax.predict PATH… --checkpoint=RUN
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from emola_jax import runtime
from emola_jax.command import positive
from emola_jax.errors import UserError
from emola_jax.files import atomic_write
from emola_jax.landmarks.finder import FaceFinder
from emola_jax.predict import calibration, inputs, overlay, page
from emola_jax.predict.inputs import Shot
from emola_jax.predict.load import BATCH, identity, load, read_config
from emola_jax.predict.model import FaceAnswer, Predictor
from emola_jax.predict.results import ANSWERED, NO_FACE, UNREADABLE, Results

_DESCRIPTION = """\
Finds the faces in photos and videos and answers for each: action units and emotion with
probabilities, an explanation of both, and where text and probabilities disagree.

PATH is
  a photo or a video    whatever its name; videos by their suffix
  a folder              all photos and videos in it and below
  a glob                in quotes, ** goes through folders
  -                     paths on stdin, one a line

In --out lie
  predictions.jsonl     a line a face: box, landmarks, probabilities, texts, flags
  predictions.csv       the same as a table
  predictions.html      all of it on one page, with the time lines of videos
  overlays/             a picture a photo: the faces marked, the answers beside them
  timelines/            action units over the seconds of a video, an SVG a face
  photos.jsonl          a line a photo: answered, no face, or why it cannot be read

Ctrl-C keeps what is done; the same command goes on from there. Probabilities are calibrated once
`python -m emola_jax.calibrate RUN` has been run."""

_EXAMPLES = """\
examples:
  python -m emola_jax.predict photos/ --checkpoint=runs/mini
  python -m emola_jax.predict talk.mp4 --checkpoint=runs/mini --fps=5 --no-text
  find . -name '*.jpg' | python -m emola_jax.predict - --checkpoint=runs/mini
  python -m emola_jax.predict me.jpg --checkpoint=runs/mini --ask='Is the smile genuine?'
"""

_PHOTOS = 8  # at a time
_SHOWN_FAULTS = 8


def main(argv: Sequence[str]) -> int:
    """Answers, and says where the results are; the exit status is 1 if no photo could be read."""
    arguments = _parser().parse_args(argv)
    workdir, out = arguments.checkpoint, arguments.out
    files, faults = inputs.collect(arguments.paths, sys.stdin, without=out)
    if not files:
        raise UserError('\n'.join(fault for _, fault in faults) or 'no path was given')
    runtime.start(read_config(workdir))
    results = Results.open(out, _settings(arguments), overwrite=arguments.overwrite)
    done = results.done()
    stopped = False
    try:
        _answer(arguments, files, results, done)
    except KeyboardInterrupt:
        stopped = True
    results.write_table()
    title = _title(arguments.paths, files)
    calibrated = _is_calibrated(workdir)
    about = [f'run {workdir}', 'calibrated' if calibrated else 'not calibrated']
    path = page.write_page(results, title=title, about=about, limit=arguments.page_photos)
    if not calibrated and not arguments.ask:
        print(f'not calibrated: python -m emola_jax.calibrate {workdir} makes probabilities hold')
    return _summarise(results, faults, path, stopped=stopped)


def _answer(
    arguments: argparse.Namespace,
    files: Sequence[Path],
    results: Results,
    done: frozenset[str],
) -> None:
    total = inputs.count(files, arguments.fps)
    waiting = iter(inputs.shots(files, arguments.fps, done))
    first = next(waiting, None)
    if first is None:
        return
    model = _load(arguments)
    left = max(total - len(done), 1)
    with tqdm(total=left, desc='predict', unit='photo', dynamic_ncols=True) as bar:
        for group in _groups(itertools.chain([first], waiting), _PHOTOS):
            answers = _answer_group(model, group, arguments)
            for shot, faces in zip(group, answers, strict=True):
                if shot.pixels is None:
                    bar.write(shot.fault, file=sys.stderr)
                elif arguments.overlays:
                    _draw(results.folder / page.overlay_name(shot.name), shot, faces)
            results.add(group, answers)
            bar.update(len(group))


def _answer_group(
    model: Predictor, group: Sequence[Shot], arguments: argparse.Namespace
) -> list[list[FaceAnswer]]:
    readable = [shot.pixels for shot in group if shot.pixels is not None]
    answered = iter(model(readable, texts=arguments.text, questions=arguments.ask))
    return [next(answered) if shot.pixels is not None else [] for shot in group]


def _draw(path: Path, shot: Shot, faces: Sequence[FaceAnswer]) -> None:
    assert shot.pixels is not None
    with atomic_write(path) as partial:
        overlay.draw(shot.pixels, faces).save(partial, 'JPEG', quality=90)


def _load(arguments: argparse.Namespace) -> Predictor:
    finder = FaceFinder.load(max_faces=arguments.max_faces, min_score=arguments.min_score)
    return load(
        arguments.checkpoint,
        batch=arguments.batch,
        base=arguments.base,
        clip=arguments.clip,
        finder=finder,
    )


def _settings(arguments: argparse.Namespace) -> dict[str, object]:
    """What answers depend on."""
    return {
        'run': str(arguments.checkpoint),
        **identity(arguments.checkpoint),
        'calibrated': _is_calibrated(arguments.checkpoint),
        'text': arguments.text,
        'ask': arguments.ask,
        'fps': arguments.fps,
        'max_faces': arguments.max_faces,
        'min_score': arguments.min_score,
    }


def _is_calibrated(workdir: Path) -> bool:
    return calibration.load(workdir, identity(workdir)) is not None


def _title(paths: Sequence[str], files: Sequence[Path]) -> str:
    if len(paths) == 1 and paths[0] != inputs.STDIN:
        return Path(paths[0]).resolve().name or paths[0]
    return f'{len(files)} files'


def _summarise(
    results: Results, faults: Sequence[tuple[str, str]], path: Path, *, stopped: bool
) -> int:
    photos = results.photos()
    counts = {
        status: sum(photo['status'] == status for photo in photos)
        for status in (ANSWERED, NO_FACE, UNREADABLE)
    }
    faces = sum(photo['faces'] for photo in photos)
    print(
        f'{faces} faces in {counts[ANSWERED]} photos or frames; {counts[NO_FACE]} without a face, '
        f'{counts[UNREADABLE]} unreadable'
    )
    lines = [fault for _, fault in faults]
    lines += [photo['fault'] for photo in photos if photo['fault']]
    for line in lines[:_SHOWN_FAULTS]:
        print(f'  {line}')
    if len(lines) > _SHOWN_FAULTS:
        print(f'  and {len(lines) - _SHOWN_FAULTS} more, in {results.folder / "photos.jsonl"}')
    print(f'table: {results.folder / "predictions.csv"}\npage: {path}')
    if stopped:
        print('stopped; the same command goes on from here')
        return 130
    return 0 if counts[ANSWERED] + counts[NO_FACE] else 1


def _groups(shots: Iterator[Shot], size: int) -> Iterator[list[Shot]]:
    while group := list(itertools.islice(shots, size)):
        yield group


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= 1000:
        raise argparse.ArgumentTypeError(f'{text!r}: expected frames a second, above 0')
    return rate


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f'{text!r}: expected a number from 0 to 1')
    return share


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        'python -m emola_jax.predict',
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('paths', nargs='+', metavar='PATH', help='photos, folders, globs, videos, or -')
    add('--checkpoint', type=Path, required=True, metavar='RUN', help='folder of a trained run')
    add('--out', type=Path, default=Path('predictions'), metavar='DIR', help='(predictions)')
    add('--fps', type=_rate, default=2.0, metavar='N', help='frames a second of a video (2)')
    add(
        '--ask',
        action='append',
        default=[],
        metavar='QUESTION',
        help='ask every face this in place of emotion and action units; may be repeated',
    )
    add('--no-text', dest='text', action='store_false', help='probabilities alone, much faster')
    add('--no-overlays', dest='overlays', action='store_false', help='write no pictures')
    add('--max-faces', type=positive, default=16, metavar='N', help='faces a photo (16)')
    add('--min-score', type=_share, default=0.5, metavar='P', help='of the detector (0.5)')
    add('--batch', type=positive, default=BATCH, metavar='N', help=f'faces at a time ({BATCH})')
    add('--page-photos', type=positive, default=200, metavar='N', help='shown on the page (200)')
    add('--base', metavar='DIR', help="LLaVA's weights, if not where they were in training")
    add('--clip', metavar='DIR', help="CLIP's weights, likewise")
    add('--overwrite', action='store_true', help='replace the answers in --out')
    return parser


def cli() -> None:
    """Runs `main`; what is the user's to mend is one message and exit status 1."""
    try:
        sys.exit(main(sys.argv[1:]))
    except UserError as error:
        sys.exit(f'emola_jax.predict: {error}')
    except KeyboardInterrupt:
        sys.exit('emola_jax.predict: stopped; nothing is lost that was written')


if __name__ == '__main__':
    cli()
