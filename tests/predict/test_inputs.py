import cv2
import numpy as np
import pytest
from PIL import Image

from emola_jax.errors import UserError
from emola_jax.predict import inputs
from input_pipeline import images
from tests.input_pipeline.test_images import STORED, encoded, scene, turned
from tests.predict.photos import cut, turn_video, write_photos, write_timed_video, write_video


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp('photos')
    write_photos(made)
    return made


def test_all_sorts_of_photos_show_the_same(folder):
    plain, size = inputs.read_photo(folder / 'plain.jpg')
    assert size == (256, 256)
    middle = plain[30:-30, 30:-30].astype(float)
    for name, apart in {'cmyk.jpg': 4, 'exif.jpg': 4, 'rgba.png': 4}.items():
        other, size = inputs.read_photo(folder / name)
        assert size == (256, 256)
        assert np.abs(other[30:-30, 30:-30] - middle).mean() < apart, name
    grey, _ = inputs.read_photo(folder / 'grey.png')
    wide, _ = inputs.read_photo(folder / 'grey16.png')
    assert grey.shape == wide.shape == (256, 256, 3)
    assert np.corrcoef(grey.ravel(), wide.ravel())[0, 1] > 0.999


def test_what_is_transparent_is_white(folder):
    pixels, _ = inputs.read_photo(folder / 'rgba.png')
    assert (pixels[:20] == 255).all()


def test_a_huge_photo_is_shrunk_and_keeps_its_size_in_the_answers(tmp_path):
    vast = Image.new('RGB', (9000, 6000), (90, 120, 150))
    vast.save(tmp_path / 'vast.jpg')
    pixels, size = inputs.read_photo(tmp_path / 'vast.jpg')
    assert size == (9000, 6000)
    area = pixels.shape[0] * pixels.shape[1]
    assert 0.2 * images.LARGEST_PHOTO < area <= 1.001 * images.LARGEST_PHOTO
    assert pixels.shape[1] / pixels.shape[0] == pytest.approx(1.5, rel=0.01)


def test_a_long_photo_keeps_the_detail_of_its_shorter_side(folder):
    pixels, size = inputs.read_photo(folder / 'wide.jpg')
    assert pixels.shape == (600, 12000, 3) and size == (12000, 600)


@pytest.mark.parametrize('name', ['truncated.jpg', 'text.jpg', 'missing.jpg'])
def test_a_bad_photo_is_one_clear_line(folder, name):
    with pytest.raises(UserError, match=name) as caught:
        inputs.read_photo(folder / name)
    assert '\n' not in str(caught.value)


def test_frames_come_at_the_chosen_rate(tmp_path):
    video = write_video(tmp_path / 'clip.mp4')
    frames = list(inputs.shots([video], 5, frozenset()))
    assert [shot.seconds for shot in frames] == pytest.approx([n / 5 for n in range(10)])
    assert len(frames) == inputs.count([video], 5)
    brightness = [shot.pixels.mean() for shot in frames]
    np.testing.assert_allclose(brightness, [20 * n for n in range(10)], atol=6)
    rest = list(inputs.shots([video], 5, frozenset(shot.name for shot in frames[:7])))
    assert [shot.name for shot in rest] == [shot.name for shot in frames[7:]]


def test_a_broken_video_is_one_clear_line(tmp_path):
    path = tmp_path / 'broken.mp4'
    path.write_bytes(b'no video')
    (shot,) = inputs.shots([path], 5, frozenset())
    assert shot.pixels is None
    assert shot.fault == f'{path}: no readable video'


@pytest.mark.parametrize('orientation', [6, 8])
def test_a_lying_tiff_has_the_size_of_the_upright_photo(tmp_path, orientation):
    stored = STORED[orientation](scene())
    (tmp_path / 'a.tif').write_bytes(encoded(stored, 'TIFF', exif=turned(orientation)))
    pixels, size = inputs.read_photo(tmp_path / 'a.tif')
    assert size == (48, 32) and pixels.shape == (32, 48, 3)


def test_frames_of_a_variable_rate_are_sampled_by_their_times(tmp_path):
    times = [n / 10 for n in range(10)] + [1.6, 3.2, 4.8, 6.4]
    video = write_timed_video(tmp_path / 'uneven.mkv', times)
    frames = list(inputs.shots([video], 2, frozenset()))
    assert [shot.seconds for shot in frames] == pytest.approx([0, 0.5, 1.6, 3.2, 4.8, 6.4])
    assert [round(shot.pixels.mean() / 10) for shot in frames] == [0, 5, 10, 11, 12, 13]
    for shot in frames:
        assert (inputs.frame_at(video, shot.seconds) == shot.pixels).all()


def test_after_a_pause_the_rate_is_kept(tmp_path):
    times = [0, 0.1, *(3 + n / 20 for n in range(20))]
    video = write_timed_video(tmp_path / 'pause.mkv', times)
    frames = list(inputs.shots([video], 2, frozenset()))
    assert [shot.seconds for shot in frames] == pytest.approx([0, 3, 3.5])


def test_times_that_are_rounded_to_milliseconds_lose_no_frame(tmp_path):
    video = write_timed_video(tmp_path / 'thirds.mkv', [n / 30 for n in range(20)])
    frames = list(inputs.shots([video], 10, frozenset()))
    assert [shot.seconds for shot in frames] == pytest.approx([n / 10 for n in range(7)], abs=1e-3)


@pytest.mark.parametrize('code, suffix', [('WMV2', '.wmv'), ('FLV1', '.FLV'), ('mp4v', '.ts')])
def test_more_kinds_of_videos_are_read(tmp_path, code, suffix):
    video = tmp_path / f'clip{suffix}'
    write_video(tmp_path / f'clip{suffix.lower()}', code=code).rename(video)
    assert inputs.is_video(video)
    frames = list(inputs.shots([video], 5, frozenset()))
    assert [shot.seconds for shot in frames] == pytest.approx([n / 5 for n in range(10)], abs=2e-3)


def test_a_kind_that_is_not_read_is_called_by_its_name(tmp_path):
    for name, said in [('a.heic', 'HEIC'), ('b.nef', 'raw data'), ('c.swf', 'video of a kind')]:
        (tmp_path / name).write_bytes(b'\0\1\2')
        (shot,) = inputs.shots([tmp_path / name], 5, frozenset())
        assert shot.pixels is None and said in shot.fault and 'convert it to' in shot.fault


def test_a_video_that_breaks_off_gives_its_frames_and_one_clear_line(tmp_path):
    video = cut(write_video(tmp_path / 'a.avi', seconds=4, code='MJPG', noisy=True), 0.6)
    *frames, end = inputs.shots([video], 5, frozenset())
    assert len(frames) > 8 and all(shot.pixels is not None for shot in frames)
    assert (end.name, end.seconds, end.pixels) == (str(video), None, None)
    assert end.fault.startswith(f'{video}: breaks off at 2.') and '4.0 s' in end.fault
    done = frozenset(shot.name for shot in frames)
    assert [shot.fault for shot in inputs.shots([video], 5, done)] == [end.fault]


def test_a_video_of_a_phone_held_upright_is_upright(tmp_path):
    video = tmp_path / 'phone.mp4'
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*'mp4v'), 5, (96, 64))
    stored = np.zeros((64, 96, 3), np.uint8)
    stored[:32, :48] = 255
    for _ in range(5):
        writer.write(stored)
    writer.release()
    turn_video(video)
    (shot,) = inputs.shots([video], 1, frozenset())
    assert shot.size == (64, 96) and shot.pixels.shape == (96, 64, 3)
    assert shot.pixels[:40, 40:].mean() > 200 and shot.pixels[:, :24].mean() < 20
