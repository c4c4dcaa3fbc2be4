import cv2
import numpy as np
import pytest

from emola_jax.errors import UserError
from input_pipeline.datasets import build
from input_pipeline.datasets.disfa import PARTS, Disfa
from tests.input_pipeline.datasets import trees
from tests.predict.photos import write_video

ALL_AUS = (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)


def label(root, subject, intensities, frames=3):
    """A subject's files: AU -> intensities of its frames, 0 where it isn't given."""
    for au in ALL_AUS:
        of_au = intensities.get(au, [0] * frames)
        lines = (f'{frame},{value}' for frame, value in enumerate(of_au, start=1))
        folder = root / 'DISFA/ActionUnit_Labels' / subject
        trees.put(folder / f'{subject}_au{au}.txt', '\r\n'.join(lines) + '\r\n')


def film(path, shades):
    """A video of plain frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 20, (32, 32))
    for shade in shades:
        writer.write(np.full((32, 32, 3), shade, np.uint8))
    writer.release()


@pytest.fixture
def root(tmp_path):
    raw = tmp_path / 'raw'
    label(raw, 'SN001', {12: [1, 2, 5], 25: [0, 3, 0], 5: [5, 5, 5]})
    label(raw, 'SN013', {1: [0, 0, 4]})
    film(raw / 'DISFA/Video_LeftCamera/LeftVideoSN001_comp.avi', [10, 120, 240])
    film(raw / 'DISFA/Video_LeftCamera/LeftVideoSN013_comp.avi', [50, 60])
    return raw


def test_intensities_from_two_on_are_present_and_frames_come_from_the_videos(root):
    built = trees.build(Disfa, root, 'au')
    made = trees.read(built)
    assert {part: trees.labels(records) for part, records in made.items()} == {
        'part1': [
            ('SN001/1', 'au', -1, ()),
            ('SN001/2', 'au', -1, (12, 25)),
            ('SN001/3', 'au', -1, (12,)),
        ],
        'part2': [('SN013/1', 'au', -1, ()), ('SN013/2', 'au', -1, ())],
    }
    shades = [
        cv2.imdecode(np.frombuffer(record.image, np.uint8), cv2.IMREAD_COLOR).mean()
        for record in made['part1']
    ]
    np.testing.assert_allclose(shades, [10, 120, 240], atol=4)
    # The labels of SN013 go one frame beyond its video.
    assert build.describe(built)['dropped'] == {'no such frame at the end of the video': 1}


def test_frames_counted_from_0_are_read_as_such(root):
    for subject, frames in (('SN001', 3), ('SN013', 3)):
        for number in range(frames):
            trees.picture(root / f'DISFA/frames/{subject}/{number}.jpg', 10 * number)
    made = trees.read(trees.build(Disfa, root, 'au'))
    assert made['part1'][1].id == 'SN001/2'
    assert made['part1'][1].image == (root / 'DISFA/frames/SN001/1.jpg').read_bytes()


def test_a_subject_without_pictures_is_a_problem(root):
    (root / 'DISFA/Video_LeftCamera/LeftVideoSN001_comp.avi').unlink()
    with pytest.raises(UserError, match=r"missing file \(3\)(.|\n)*SN001/1\.jpg doesn't exist"):
        trees.build(Disfa, root, 'au')


def test_a_video_that_is_none_is_named(root):
    trees.put(root / 'DISFA/Video_LeftCamera/LeftVideoSN001_comp.avi', 'no film')
    with pytest.raises(UserError, match=r'SN001_comp\.avi: no frame of it can be decoded'):
        trees.build(Disfa, root, 'au')
    assert not (root / 'DISFA/frames/SN001').exists()


def test_faults_of_label_files_are_listed_together(root):
    folder = root / 'DISFA/ActionUnit_Labels'
    trees.put(folder / 'SN001/SN001_au4.txt', '1,0\n2,6\n3;1\n')
    (folder / 'SN001/SN001_au9.txt').unlink()
    trees.put(folder / 'SN013/SN013_au25.txt', '1,0\n2,0\n')
    label(root, 'SN099', {})
    with pytest.raises(UserError) as error:
        trees.build(Disfa, root, 'au')
    for part in (
        "SN001_au4.txt, line 2: the intensity of AU4 is '6', expected 0..5",
        "SN001_au4.txt, line 3: expected 'frame,intensity', not '3;1'",
        'SN001_au9.txt: no such file',
        'SN013: its files label different frames (3 of AU1, 3 of AU2,',
        '5 problems of 4 kinds',
        'subject SN099 is none of the 27 of the three folds',
    ):
        assert part in str(error.value)


def test_the_parts_share_nobody_and_hold_all_27():
    people = [subject for part in PARTS.values() for subject in part]
    assert len(people) == len(set(people)) == 27
    assert all(len(part) == 9 for part in PARTS.values())
    # The database has no SN014, SN015, SN019, SN020 and SN022, and ends with SN032.
    absent = {14, 15, 19, 20, 22}
    assert sorted(people) == [f'SN{n:03d}' for n in range(1, 33) if n not in absent]


def test_what_programs_leave_in_folders_is_passed_over(root):
    trees.check_litter(Disfa, root, 'au')


def test_a_video_that_is_none_costs_its_subject_alone(root):
    trees.put(root / 'DISFA/Video_LeftCamera/LeftVideoSN001_comp.avi', 'no film')
    built = trees.build(Disfa, root, 'au', drop=True)
    assert {part: len(records) for part, records in trees.read(built).items()} == {'part2': 2}
    dropped = build.describe(built)['dropped']
    assert (dropped['unreadable video'], dropped['missing file']) == (1, 3)


def test_a_video_that_breaks_off_is_named_and_read_once_it_is_whole(root):
    video = root / 'DISFA/Video_LeftCamera/LeftVideoSN001_comp.avi'
    write_video(video, code='MJPG', noisy=True)
    whole = video.read_bytes()
    video.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r'SN001_comp\.avi: only \d+ of its 20 frames can be dec'):
        trees.build(Disfa, root, 'au')
    assert not (root / 'DISFA/frames/SN001').exists()
    video.write_bytes(whole)
    assert len(trees.read(trees.build(Disfa, root, 'au'))['part1']) == 3
