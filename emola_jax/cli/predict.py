"""The command that answers for photos and videos.

python -m emola_jax.predict PATH… --checkpoint=RUN
"""

from __future__ import annotations

import argparse
import itertools
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from emola_jax.cli import checkpoint_flags, command
from emola_jax.cli.command import positive
from emola_jax.errors import UserError
from emola_jax.experiment import trained
from emola_jax.experiment.trained import Trained
from emola_jax.files import folders, places
from emola_jax.files.json_values import JsonObject
from emola_jax.files.locks import one_writer
from emola_jax.files.names import path_text, readable
from emola_jax.files.whole import atomic_write
from emola_jax.parallel import hosts
from emola_jax.predict import calibration, inputs, listing, overlay, page, rows
from emola_jax.predict.inputs import Shot
from emola_jax.predict.listing import Input
from emola_jax.predict.load import BATCH, load
from emola_jax.predict.model import FaceAnswer, Predictor
from emola_jax.predict.results import Results
from emola_jax.predict.rows import ANSWERED, NO_FACE, UNREADABLE

_DESCRIPTION = """\
Finds the faces in photos and videos and answers for each: action units and emotion with
probabilities, an explanation of both, and where text and probabilities disagree.

PATH is
  a photo or a video    whatever its name; videos by their suffix
  a folder              all photos and videos in it and below
  a glob                in quotes, ** goes through folders; a file of that name comes first
  -                     paths on stdin, one per line, or of `find -print0`

--out holds
  predictions.jsonl     one line per face: box, landmarks, probabilities, texts, flags
  predictions.csv       the same as a table
  predictions.html      all of it on one page, with the time lines of videos
  overlays/             one picture per photo: the faces marked, the answers next to them
  timelines/            action units over the seconds of a video, one SVG per face
  photos.jsonl          one line per photo: answered, no face, or why it cannot be read

Ctrl-C keeps what is done; the same command goes on from there. A photo is known by its place, its
size and the time of its last change: one that was replaced is answered again. Probabilities are
calibrated once `python -m emola_jax.calibrate RUN` has been run."""

_EXAMPLES = """\
examples:
  python -m emola_jax.predict photos/ --checkpoint=runs/mini
  python -m emola_jax.predict me.jpg --checkpoint=emola-lora --base=llava-v1.5-7b --quantize=nf4
  python -m emola_jax.predict talk.mp4 --checkpoint=runs/mini --fps=5 --no-text
  find . -name '*.jpg' | python -m emola_jax.predict - --checkpoint=runs/mini
  python -m emola_jax.predict me.jpg --checkpoint=runs/mini --ask='Is the smile genuine?'
"""

_PHOTOS = 8  # at a time
_SHOWN_FAULTS = 8


def main(argv: Sequence[str]) -> int:
    """Answers, and says where the results are; the exit status is 1 if no photo could be read."""
    arguments = _parse(argv)
    out = arguments.out
    places.check_output_folder(out)
    found = listing.collect(arguments.paths, _stdin_lines(), without=out)
    for note in found.notes:
        print(note)
    if not found.inputs:
        raise UserError('\n'.join(found.faults) or 'no path was given')
    hosts.start(trained.cpu_devices(arguments.checkpoint))
    checkpoint = checkpoint_flags.look(arguments.checkpoint, arguments)
    with one_writer(out, 'answers photos'):
        settings = _settings(checkpoint, arguments)
        results = Results.open(out, settings, found.inputs, overwrite=arguments.overwrite)
        stopped = False
        try:
            _answer(arguments, checkpoint, found.inputs, results)
        except KeyboardInterrupt:
            stopped = True
        results.write_table()
        about = [
            f'{"run" if checkpoint.is_run else checkpoint.kind} {readable(checkpoint.folder)}',
            'not calibrated' if settings['calibration'] is None else 'calibrated',
        ]
        title = _title(arguments.paths, found.inputs)
        path = page.write_page(results, title=title, about=about, limit=arguments.page_photos)
    if settings['calibration'] is None and not arguments.ask:
        run = shlex.quote(readable(arguments.checkpoint))
        data = '' if checkpoint.is_run else ' --config=CONFIG'
        print(f'not calibrated: python -m emola_jax.calibrate {run}{data} makes probabilities hold')
    return _summarise(results, found.faults, path, stopped=stopped)


def _answer(
    arguments: argparse.Namespace,
    checkpoint: Trained,
    files: Sequence[Input],
    results: Results,
) -> None:
    done = _done(files, results)
    total = inputs.count([one.path for one in files], arguments.fps)
    left = max(total - sum(map(len, done.values())), 1)
    model = None
    with tqdm(total=left, desc='predict', unit='photo', dynamic_ncols=True) as bar:
        for group in _groups(_shots(files, arguments.fps, done), _PHOTOS):
            if model is None and any(shot.pixels is not None for _, shot in group):
                model = _load(arguments, checkpoint)
            answers = _answer_group(model, [shot for _, shot in group], arguments)
            for (one, shot), faces in zip(group, answers, strict=True):
                if shot.pixels is None:
                    bar.write(readable(shot.fault), file=sys.stderr)
                elif arguments.overlays:
                    row = {'stem': results.stem(one), 'seconds': rows.seconds_of(shot)}
                    _draw(results.overlay(row), shot, faces)
            results.add(group, answers)
            bar.update(len(group))


def _done(files: Sequence[Input], results: Results) -> dict[str, frozenset[str]]:
    """File -> names of its photo or frames that are answered."""
    paths = {one.file: one.path for one in files}
    done: dict[str, set[str]] = {one.file: set() for one in files}
    for row in results.photos():
        if path := paths.get(row['file']):
            done[row['file']].add(inputs.shot_name(path, row['seconds']))
    return {file: frozenset(names) for file, names in done.items()}


def _shots(
    files: Sequence[Input], fps: float, done: Mapping[str, frozenset[str]]
) -> Iterator[tuple[Input, Shot]]:
    for one in files:
        for shot in inputs.shots([one.path], fps, done[one.file]):
            yield one, shot


def _answer_group(
    model: Predictor | None, group: Sequence[Shot], arguments: argparse.Namespace
) -> list[list[FaceAnswer]]:
    readable_ones = [shot.pixels for shot in group if shot.pixels is not None]
    if model is None:  # nothing is readable yet
        return [[] for _ in group]
    answered = iter(model(readable_ones, texts=arguments.text, questions=arguments.ask))
    return [next(answered) if shot.pixels is not None else [] for shot in group]


def _draw(path: Path, shot: Shot, faces: Sequence[FaceAnswer]) -> None:
    assert shot.pixels is not None
    with atomic_write(path) as partial:
        overlay.draw(shot.pixels, faces).save(partial, 'JPEG', quality=90)


def _load(arguments: argparse.Namespace, checkpoint: Trained) -> Predictor:
    finder = checkpoint_flags.finder(
        arguments, max_faces=arguments.max_faces, min_score=arguments.min_score
    )
    return load(checkpoint, batch=arguments.batch, finder=finder, quantize=arguments.quantize)


def _settings(checkpoint: Trained, arguments: argparse.Namespace) -> JsonObject:
    """What answers depend on."""
    made = calibration.load(checkpoint.folder, checkpoint.identity)
    return {
        'run': path_text(checkpoint.folder.resolve()),
        **checkpoint_flags.settings(checkpoint, arguments),
        'calibration': None if made is None else [made.temperature, made.slope, made.offset],
        'text': arguments.text,
        'ask': arguments.ask,
        'fps': arguments.fps,
        'max_faces': arguments.max_faces,
        'min_score': arguments.min_score,
    }


def _title(paths: Sequence[str], files: Sequence[Input]) -> str:
    if len(paths) == 1 and paths[0] != listing.STDIN:
        return readable(Path(paths[0]).resolve().name or paths[0])
    return f'{len(files)} files'


def _stdin_lines() -> Iterator[str]:
    yield from listing.stdin_lines(sys.stdin.buffer)


def _summarise(results: Results, faults: Sequence[str], path: Path, *, stopped: bool) -> int:
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
    lines = [*faults, *(photo['fault'] for photo in photos if photo['fault'])]
    for line in lines[:_SHOWN_FAULTS]:
        print(f'  {line}')
    if len(lines) > _SHOWN_FAULTS:
        print(f'  and {len(lines) - _SHOWN_FAULTS} more, in {results.folder / "photos.jsonl"}')
    print(f'table: {results.folder / "predictions.csv"}\npage: {path}')
    if stopped:
        print('stopped; the same command goes on from here')
        return 130
    return 0 if counts[ANSWERED] + counts[NO_FACE] else 1


def _groups(shots: Iterator[tuple[Input, Shot]], size: int) -> Iterator[list[tuple[Input, Shot]]]:
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
    add(
        '--checkpoint',
        type=places.given,
        required=True,
        metavar='CHECKPOINT',
        help=checkpoint_flags.CHECKPOINT,
    )
    add('--out', type=places.path, default=Path('predictions'), metavar='DIR', help='(predictions)')
    add('--fps', type=_rate, default=2.0, metavar='N', help='frames a second of a video (2)')
    add(
        '--ask',
        action='append',
        type=_question,
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
    add('--overwrite', action='store_true', help='replace the answers in --out')
    checkpoint_flags.add(parser)
    return parser


def _question(text: str) -> str:
    if not text.strip() or readable(text.replace('\n', ' ')) != text.replace('\n', ' '):
        raise argparse.ArgumentTypeError(f'{readable(text)!r}: expected a question, in UTF-8')
    return text


_OPTION = re.compile(r'--?[a-z-]*(=.*)?', re.DOTALL)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments; '-x.jpg' is a file if there is one, as `*.jpg` of a shell names it."""
    given = [
        f'./{text}'
        if text.startswith('-') and not _OPTION.fullmatch(text) and folders.exists(text)
        else text
        for text in argv
    ]
    return _parser().parse_args(given)


def cli() -> None:
    """Runs `main`; prints a user error as one sentence, exit status 1."""
    with command.exits_with_a_sentence('emola_jax.predict'):
        sys.exit(main(sys.argv[1:]))


if __name__ == '__main__':
    cli()
