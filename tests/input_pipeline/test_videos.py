import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from emola_jax.errors import UserError
from input_pipeline import videos
from tests.predict.photos import cut, write_timed_video, write_video

UNEVEN = [0, 0.1, 0.2, 0.3, 0.5, 1.6, 1.633, 3.2, 6.4]


def times(path):
    with videos.opened(path) as capture:
        return list(videos.frames(path, capture))


@pytest.mark.parametrize('suffix', ['.mkv', '.webm'])
def test_times_are_those_of_the_container(tmp_path, suffix):
    video = write_timed_video(tmp_path / f'uneven{suffix}', UNEVEN)
    assert times(video) == pytest.approx(UNEVEN, abs=0.0006)


@pytest.mark.parametrize(
    ('suffix', 'code'),
    [
        ('.3gp', 'H263'),
        ('.asf', 'WMV2'),
        ('.avi', 'MJPG'),
        ('.flv', 'FLV1'),
        ('.ivf', 'VP80'),
        ('.m2ts', 'MPG2'),
        ('.mkv', 'VP80'),
        ('.mov', 'mp4v'),
        ('.mp4', 'mp4v'),
        ('.mpg', 'MPG2'),
        ('.MTS', 'MPG2'),
        ('.ogv', 'VP80'),
        ('.ts', 'mp4v'),
        ('.vob', 'MPG2'),
        ('.webm', 'VP80'),
        ('.wmv', 'WMV2'),
        ('.y4m', 'I420'),
    ],
)
def test_every_kind_is_timed_evenly_where_its_frames_are(tmp_path, suffix, code):
    size = (176, 144)
    path = tmp_path / f'even{suffix}'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), 10, size)
    for number in range(10):
        writer.write(np.full((144, 176, 3), 20 * number, np.uint8))
    writer.release()
    assert times(path) == pytest.approx([n / 10 for n in range(10)], abs=0.02)


def test_frames_are_found_by_their_times(tmp_path):
    video = write_timed_video(tmp_path / 'uneven.mkv', UNEVEN)
    wanted = [6.4, 0.2, 1.633, 2.0]
    found = videos.frames_at(video, wanted)
    assert [None if frame is None else round(frame.mean() / 10) for frame in found] == [
        8,
        2,
        6,
        None,
    ]
    assert videos.frames_at(tmp_path / 'gone.mkv', [0.0]) == [None]


class _Untimed:
    """A capture whose container times no frame but some."""

    def __init__(self, stated):
        self.left = list(stated)

    def get(self, key):
        if key == cv2.CAP_PROP_FRAME_COUNT:
            return -9e16
        return 10.0 if key == cv2.CAP_PROP_FPS else self.now

    def grab(self):
        self.now = self.left.pop(0) if self.left else None
        return self.now is not None


@pytest.mark.parametrize(
    ('stated', 'expected'),
    [
        ([0, 0, 0, 0], [0, 0.1, 0.2, 0.3]),
        ([0, 100, 200, 0], [0, 0.1, 0.2, 0.3]),
        ([0, 500, 400, 900], [0, 0.5, 0.6, 0.9]),
        ([float('nan'), 100], [0, 0.1]),
        ([-40, -20, 100], [0, 0.1, 0.2]),
    ],
)
def test_a_frame_without_a_time_comes_one_step_after_the_one_before(stated, expected):
    assert list(videos.frames(Path('a.avi'), _Untimed(stated))) == pytest.approx(expected)


@pytest.mark.parametrize(
    'content', [b'', b'no video', b'#EXTM3U\nhttp://127.0.0.1/x.mp4\n', b'\0' * 99, b'RIFF\0\0\0\0']
)
def test_what_is_no_video_is_one_line(tmp_path, content):
    path = tmp_path / 'a.mp4'
    path.write_bytes(content)
    with pytest.raises(UserError, match=r'a\.mp4: no readable video') as caught:
        times(path)
    assert '\n' not in str(caught.value)


def test_a_missing_file_a_folder_and_a_pipe_are_one_line(tmp_path):
    os.mkfifo(tmp_path / 'pipe.mp4')
    for name in ('gone.mp4', '', 'pipe.mp4'):
        with pytest.raises(UserError, match='no readable video'):
            times(tmp_path / name)


class _Counting(BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self):
        type(self).asked += 1
        self.send_error(404)

    def log_message(self, *_):
        pass


def test_nothing_is_fetched(tmp_path, monkeypatch):
    server = HTTPServer(('127.0.0.1', 0), _Counting)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f'127.0.0.1:{server.server_port}'
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / 'http:' / address
    folder.mkdir(parents=True)
    (folder / 'x.mp4').write_bytes(b'\0no video')
    play_list = tmp_path / 'list.mp4'
    play_list.write_text(f'#EXTM3U\n#EXTINF:1,\nhttp://{address}/y.mp4\n')
    joined = tmp_path / 'joined.mp4'
    joined.write_text(f"ffconcat version 1.0\nfile 'http://{address}/z.mp4'\n")
    relative = folder.relative_to(tmp_path) / 'x.mp4'
    try:
        for path in (relative, play_list, joined):
            with pytest.raises(UserError):
                times(path)
    finally:
        server.shutdown()
        server.server_close()
    assert _Counting.asked == 0


def test_a_name_that_is_no_text_is_opened(tmp_path):
    video = write_video(tmp_path / 'clip.mp4')
    odd = video.rename(tmp_path / os.fsdecode(b'clip\xff.mp4'))
    assert len(times(odd)) == 20


def test_a_frame_beyond_the_limit_is_refused(tmp_path, monkeypatch):
    video = write_video(tmp_path / 'clip.mp4')
    monkeypatch.setattr(videos, 'LARGEST_FRAME', 96 * 64 - 1)
    with pytest.raises(UserError, match='frames of 96 x 64 pixels'):
        times(video)


@pytest.mark.parametrize(
    ('suffix', 'code'),
    [('.avi', 'MJPG'), ('.avi', 'XVID'), ('.mkv', 'mp4v'), ('.webm', 'VP80'), ('.flv', 'FLV1')],
)
def test_a_video_that_breaks_off_says_where_and_gives_what_is_there(tmp_path, suffix, code):
    video = write_video(tmp_path / f'whole{suffix}', seconds=4, code=code, noisy=True)
    assert times(video) == pytest.approx([n / 10 for n in range(40)], abs=0.0006)
    part, seen = cut(video, 0.5), []
    with (
        videos.opened(part) as capture,
        pytest.raises(UserError, match=r'breaks off at \d\.\d s \(frame \d+\).* 4\.0 s') as caught,
    ):
        seen.extend(videos.frames(part, capture))
    assert 'part_whole' in str(caught.value) and f'(frame {len(seen)})' in str(caught.value)
    assert seen == pytest.approx([n / 10 for n in range(len(seen))], abs=0.0006)
    assert videos.frames_at(part, [0.1, 3.5])[1] is None


def test_a_last_frame_that_stays_is_no_missing_end(tmp_path):
    video = write_timed_video(tmp_path / 'still.mkv', UNEVEN, lasts=9.6)
    assert times(video) == pytest.approx(UNEVEN, abs=0.0006)
    with pytest.raises(UserError, match=r'breaks off at 9\.6 s'):  # the longest gap is 3.2 s
        times(write_timed_video(tmp_path / 'part.mkv', UNEVEN, lasts=12))


def test_a_sound_that_outlasts_the_picture_a_little_is_no_missing_end(tmp_path):
    video = write_timed_video(tmp_path / 'tail.mkv', [n / 10 for n in range(30)], lasts=3.9)
    assert len(times(video)) == 30


@pytest.mark.parametrize(
    'text',
    [
        '#EXTM3U\n# é\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{video}\n#EXT-X-ENDLIST\n',
        'ffconcat version 1.0\n# é\nfile {video}\n',
        '\ufeff<?xml version="1.0"?>\n<MPD profiles="urn:mpeg:dash:profile:x"><BaseURL>{video}',
        'v=0\nc=IN IP4 127.0.0.1\n# é\nm=video 9 RTP/AVP 96\n',
        '{space}\n#EXTM3U\n{video}\né',
    ],
)
def test_a_list_that_is_called_a_video_opens_no_other_file(text, tmp_path, monkeypatch):
    whole = tmp_path / 'whole.avi'
    writer = cv2.VideoWriter(str(whole), cv2.VideoWriter.fourcc(*'MJPG'), 5, (32, 24))
    writer.write(np.zeros((24, 32, 3), np.uint8))
    writer.release()
    listed = tmp_path / 'talk.mp4'
    listed.write_text(text.format(video=whole.name, space=' ' * 5000), 'utf-8')
    monkeypatch.setattr(cv2, 'VideoCapture', None)  # it is not even asked
    with pytest.raises(UserError, match=r'talk\.mp4: no readable video'), videos.opened(listed):
        pass


def test_a_frame_that_grows_beyond_the_limit_is_not_decoded(tmp_path, monkeypatch):
    path = tmp_path / 'a.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 5, (32, 24))
    for _ in range(3):
        writer.write(np.zeros((24, 32, 3), np.uint8))
    writer.release()
    with videos.opened(path) as capture:
        assert capture.grab() and videos.retrieve(capture) is not None
        monkeypatch.setattr(videos, 'LARGEST_FRAME', 32 * 24 - 1)
        assert capture.grab() and videos.retrieve(capture) is None
