"""The command that makes and checks landmark files.

python -m emola_jax.landmarks PATH… [--audit]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from emola_jax.cli import command
from emola_jax.cli.command import positive
from emola_jax.experts import listing
from emola_jax.experts.extract import extract, write_failures
from emola_jax.experts.insightface import PREPROCESSINGS
from emola_jax.experts.listing import Listing
from emola_jax.experts.pictures import Item
from emola_jax.experts.registry import Expert, load_expert
from emola_jax.files import places
from emola_jax.files.locks import one_writer
from emola_jax.files.names import readable
from emola_jax.reporting import landmark_audit, landmark_audit_page

_DESCRIPTION = """\
Extracts the 106 facial landmarks that EmoLA takes, one .npy file (float32[212]) per picture, or
checks those that are there.

PATH is
  a folder              all pictures in it and below; landmarks go to the folder 'landmarks' next to
                        'images', or to <name>_landmarks, under the same names: x.npy of x.jpg, but
                        x.jpg.npy and x.png.npy where there are both
  an annotation file    JSON as FABA-Instruct's; it names picture and landmark file of each example,
                        both below --root
  a picture             its landmark file goes next to it

The numbers are x0, y0, x1, y1, … in [-1, 1] over the picture padded to a square. Of several faces
the largest counts. Pictures without a face get no file and are listed in landmark_failures.csv."""

_EXAMPLES = """\
examples:
  python -m emola_jax.landmarks data/FABAInstruct/train/images
  python -m emola_jax.landmarks data/FABAInstruct/eval/eval_au_anno.json --audit
  python -m emola_jax.landmarks photos --expert=onnx=2d106det.onnx --preprocess=reference
"""

_BATCH = 32
_SHOWN_FAILURES = 5


def main(argv: Sequence[str]) -> int:
    """Extracts or audits, and says where the result is; 1 if an argument names nothing."""
    arguments = _parser().parse_args(argv)
    for folder in filter(None, (arguments.out, arguments.report)):
        places.check_output_folder(folder)
    found = listing.collect(arguments.paths, root=arguments.root, out=arguments.out)
    for line in (*found.notes, *found.faults):
        print(line)
    report = arguments.report or _common_folder(found.items)
    places.check_output_folder(report)
    expert = load_expert(arguments.expert, arguments.preprocess, arguments.batch)
    with one_writer(report, 'looks for landmarks'):
        if arguments.audit:
            findings = landmark_audit.audit(found.items, expert, batch=arguments.batch)
            _report_audit(findings, report, arguments)
            _print_some(found.refused)
        else:
            _extract(found, expert, report, arguments)
    return 1 if found.faults else 0


def _extract(found: Listing, expert: Expert, report: Path, arguments: argparse.Namespace) -> None:
    items = found.items
    done = extract(items, expert, batch=arguments.batch, overwrite=arguments.overwrite)
    failed = [*found.refused, *done.failures]
    failures = report / 'landmark_failures.csv'
    write_failures(failures, failed)
    where = readable(_common_folder(items))
    print(f'{where}: {done.written} landmark files written, {done.kept} kept')
    _print_some(failed)
    if failed:
        print(f'{len(failed)} pictures without landmarks: {readable(failures)}')


def _print_some(failed: Sequence[tuple[Path, str]]) -> None:
    for image, reason in failed[:_SHOWN_FAILURES]:
        print(f'  {readable(image)}: {readable(reason)}')
    if len(failed) > _SHOWN_FAILURES:
        print(f'  and {len(failed) - _SHOWN_FAILURES} more')


def _report_audit(
    findings: Sequence[landmark_audit.Finding], folder: Path, arguments: argparse.Namespace
) -> None:
    table, page = folder / 'landmark_audit.csv', folder / 'landmark_audit.html'
    landmark_audit.write_csv(table, findings)
    preprocessing = f' ({arguments.preprocess})' if arguments.expert != 'mesh' else ''
    landmark_audit_page.write_page(
        page, findings, expert=arguments.expert + preprocessing, worst=arguments.worst
    )
    print(f'{len(findings)} landmark files')
    for status, number in landmark_audit.counts(findings).items():
        print(f'  {number:7,}  {status}: {landmark_audit.STATUSES[status]}')
    print(f'every file: {table}\nhistogram and the farthest: {page}')


def _common_folder(items: Sequence[Item]) -> Path:
    """The deepest folder that holds all landmark files; this one if that is the whole disk."""
    first, *rest = {item.landmarks.absolute().parent for item in items}
    common = next(
        folder
        for folder in (first, *first.parents)
        if all(other.is_relative_to(folder) for other in rest)
    )
    return Path.cwd() if common == common.parent else common


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        'python -m emola_jax.landmarks',
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('paths', nargs='+', metavar='PATH', help='folders, annotation files, pictures')
    add('--out', type=places.path, metavar='DIR', help='put all landmark files below this folder')
    add('--root', type=places.path, metavar='DIR', help='what paths in annotation files start at')
    add(
        '--expert',
        default='mesh',
        metavar='mesh|onnx=FILE',
        help='FaceMesh (fetched, default), or InsightFace 2d106det from a file of yours',
    )
    add(
        '--preprocess',
        default='insightface',
        choices=PREPROCESSINGS,
        help='of an ONNX expert: the detected face as InsightFace cuts it out (default), or the '
        'whole picture, BGR, as the released landmarks were made',
    )
    add('--batch', type=positive, default=_BATCH, metavar='N', help='pictures at a time (32)')
    add('--overwrite', action='store_true', help='extract also where there is a landmark file')
    add('--audit', action='store_true', help='check the landmark files instead of writing them')
    add('--worst', type=positive, default=24, metavar='N', help='pictures on the audit page (24)')
    add(
        '--report',
        type=places.path,
        metavar='DIR',
        help='folder of tables and page (with the files)',
    )
    return parser


def cli() -> None:
    """Runs `main`; prints a user error as one sentence, exit status 1."""
    with command.exits_with_a_sentence('emola_jax.landmarks'):
        sys.exit(main(sys.argv[1:]))


if __name__ == '__main__':
    cli()
