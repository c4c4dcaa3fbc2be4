import csv
import json
import math
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emola_jax.cli import statistics
from emola_jax.reporting import dataset_counts, dataset_entries
from emola_jax.reporting.dataset_counts import Entry
from input_pipeline.records import Record

FABA = Path(__file__).parents[1] / 'golden' / 'faba'


def entry(task='emotion', response='It is calm.', *, emotion=None, aus=None, **more) -> Entry:
    values = {'split': 'train', 'instruction': 'What?', 'face': 'f', 'read_off': False} | more
    return Entry(task=task, response=response, emotion=emotion, aus=aus, **values)


ENTRIES = [
    entry(response='Lips rise, cheeks rise.', emotion='happiness', face='a'),
    entry(response='Brows fall. Lips fall again.', emotion='sadness', face='b', instruction='So?'),
    entry(response='Who knows!', face='c'),
    entry('au', 'AU1 and AU4.', aus=(1, 4), face='a'),
    entry('au', 'AU4.', aus=(4,), face='b'),
    entry('au', 'None is active.', aus=(), face='c'),
    entry('au', 'AU4.', aus=(4,), face='z', split='test'),
]


def rows(name, entries=ENTRIES):
    return dataset_counts.sheets(entries)[name].records()


def test_counts_and_variety():
    train = rows('counts')[0]
    assert (train['split'], train['task'], train['records'], train['faces']) == (
        'train', 'emotion', 3, 3,
    )  # fmt: skip
    assert train['words'] == 4 + 5 + 2 and train['distinct_words'] == 8
    assert train['distinct_1'] == pytest.approx(8 / 11)
    assert train['distinct_2'] == pytest.approx(8 / 8)
    entropy = -(2 / 3 * math.log2(2 / 3) + 1 / 3 * math.log2(1 / 3))
    assert train['effective_instructions'] == pytest.approx(2**entropy)
    assert train['unread'] == 1


def test_equally_frequent_instructions_are_as_varied_as_they_are_many():
    entries = [entry(instruction=str(i % 5)) for i in range(20)]
    assert rows('counts', entries)[0]['effective_instructions'] == pytest.approx(5)


def test_lengths_are_in_blanks_and_sentences():
    of = {(r['split'], r['task'], r['text'], r['unit']): r for r in rows('lengths')}
    words = of['train', 'emotion', 'response', 'words']
    assert words['mean'] == pytest.approx(np.mean([4, 5, 2]))
    assert (words['min'], words['median'], words['max']) == (2, 4, 5)
    assert of['train', 'emotion', 'response', 'sentences']['max'] == 2


def test_histogram_counts_every_answer_once():
    entries = [entry(response='w ' * n) for n in (3, 3, 4, 200, 97)]
    bins = rows('length_histogram', entries)
    assert sum(b['answers'] for b in bins) == 5 and len(bins) <= 25
    assert bins[0]['from_words'] == 3
    for length in (3, 4, 97, 200):
        assert sum(b['from_words'] <= length <= b['to_words'] for b in bins) == 1


def test_labels_and_what_occurs_together():
    emotions = {r['emotion']: r['records'] for r in rows('emotions')}
    assert emotions['happiness'] == emotions['sadness'] == 1 and sum(emotions.values()) == 2
    units = {(r['split'], r['au']): r for r in rows('action_units')}
    assert units['train', 4]['records'] == 2 and units['test', 1]['records'] == 0
    assert units['train', 4]['share'] == pytest.approx(2 / 3)
    together = {r['au']: r for r in rows('au_cooccurrence')}
    assert (together[1]['1'], together[1]['4'], together[4]['1'], together[4]['4']) == (1, 1, 1, 3)
    faces = {(r['split'], r['action_units']): r['records'] for r in rows('aus_per_face')}
    assert faces == {
        ('train', 0): 1,
        ('train', 1): 1,
        ('train', 2): 1,
        ('test', 0): 0,
        ('test', 1): 1,
    }
    by_emotion = {r['emotion']: r for r in rows('au_by_emotion')}
    assert by_emotion['happiness'] == {'emotion': 'happiness', 'faces': 1, '1': 1.0, '4': 1.0}
    assert by_emotion['sadness']['1'] == 0.0 and set(by_emotion) == {'happiness', 'sadness'}


def test_words_of_an_emotion_are_those_that_it_alone_uses():
    entries = [
        entry(response=f'{own} and the face', emotion=emotion)
        for emotion, own in (('happiness', 'a happy smirk'), ('fear', 'an afraid tremble'))
        for _ in range(30)
    ]
    found = rows('words_by_emotion', entries)
    assert {(r['emotion'], r['word']) for r in found} == {
        ('happiness', 'a'), ('happiness', 'smirk'), ('fear', 'an'), ('fear', 'tremble'),
    }  # fmt: skip
    assert all(r['z'] > 1.96 and r['count'] == 30 for r in found)


def test_log_odds_against_the_formula():
    table = np.array([[8.0, 2, 0], [1, 4, 5]])
    prior = 10 * table.sum(axis=0) / table.sum()
    ours, others = table[0] + prior, table[1] + prior
    z = [
        (math.log(a / (ours.sum() - a)) - math.log(b / (others.sum() - b)))
        / math.sqrt(1 / a + 1 / b)
        for a, b in zip(ours, others, strict=True)
    ]
    scores = dataset_counts.log_odds(table, 10.0)
    assert np.allclose(scores[0], z) and np.allclose(scores[1], -scores[0])


def test_labels_are_kept_or_read_off():
    record = Record('x', b'p', np.zeros(212, np.float32), 'au', 'Q', 'AU 4, but no AU12.', 3, (9,))
    kept = dataset_entries.entry_of(record, 's', labelled=True)
    assert (kept.aus, kept.emotion, kept.read_off) == ((9,), 'anger', False)
    read = dataset_entries.entry_of(record, 's', labelled=False)
    assert (read.aus, read.emotion, read.read_off) == ((4,), None, True)


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.open = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag != 'meta':
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return ' '.join(' '.join(self.texts).split())


def test_faba_instruct_from_its_released_layout(tmp_path, capsys):
    out = tmp_path / 'out'
    assert statistics.main(['--dataset=faba_instruct', f'--root={FABA}', f'--out={out}']) == 0
    assert str(out / 'statistics.html') in capsys.readouterr().out
    with (out / 'counts.csv').open(newline='') as file:
        counts = {(row['split'], row['task']): row for row in csv.DictReader(file)}
    items = json.loads((FABA / 'FABAInstruct/train/train_au_anno.json').read_text())
    assert int(counts['train', 'au']['records']) == len(items)
    text = (out / 'statistics.html').read_text()
    page = Page(text)
    assert 'Entries of train carry no label' in page.text
    assert '19,474' in page.text and '207.35' in page.text
    assert 'http' not in text and not [tag for tag, _ in page.tags if tag in ('script', 'link')]


def test_one_task_needs_the_files_of_no_other(tmp_path):
    root, out = tmp_path / 'root', tmp_path / 'out'
    shutil.copytree(FABA, root)
    for path in root.glob('FABAInstruct/*/*_au_anno.json'):
        path.unlink()
    arguments = ['--dataset=faba', '--task=emotion', f'--root={root}', f'--out={out}']
    assert statistics.main(arguments) == 0
    with (out / 'counts.csv').open(newline='') as file:
        assert {row['task'] for row in csv.DictReader(file)} == {'emotion'}


_ODD = '\0\x0b\x1b[31m\x85\u2028<&"\'>]]>{{7*7}}{% x %}\U0001f600\u0301\ufffe'


@settings(max_examples=12, deadline=None)
@given(st.lists(st.text(st.sampled_from(_ODD + 'ab .,1'), max_size=30), min_size=1, max_size=4))
def test_any_text_becomes_a_page_that_says_it_and_runs_nothing(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp('odd')
    turns = [{'from': 'human', 'value': 'Q'}, {'from': 'gpt', 'value': 'A'}]
    items = [{'conversations': [turns[0] | {'value': t}, turns[1] | {'value': t}]} for t in texts]
    path = folder / 'odd.json'
    path.write_text(json.dumps(items))
    for task in ('emotion', 'au'):
        assert statistics.main([f'--json={path}', f'--task={task}', f'--out={folder}/{task}']) == 0
        page = Page((folder / task / 'statistics.html').read_text())
        assert not [tag for tag, _ in page.tags if tag == 'script'] and '49' not in page.text
        with (folder / task / 'instructions.csv').open(newline='') as file:
            told = {row['instruction'] for row in csv.DictReader(file)}
        assert told == {text.strip() for text in texts}


def test_where_the_results_cannot_go_is_a_sentence(tmp_path):
    path = tmp_path / 'a.json'
    turns = [{'from': 'human', 'value': 'Q'}, {'from': 'gpt', 'value': 'AU4.'}]
    path.write_text(json.dumps([{'conversations': turns}]))
    with pytest.raises(SystemExit, match=r'a\.json: is a file; a folder was expected'):
        statistics.main([f'--json={path}', '--task=au', f'--out={path}'])


def test_a_conversation_file_of_any_model(tmp_path, capsys):
    turns = [
        {'from': 'human', 'value': '<image>\nWhich <b>?'},
        {'from': 'gpt', 'value': 'AU12 <script>alert(1)</script>'},
        {'from': 'human', 'value': 'And now?'},
        {'from': 'gpt', 'value': 'No action unit is active.'},
    ]
    path = tmp_path / 'some.json'
    path.write_text(json.dumps([{'image': 'a.jpg', 'conversations': turns}]))
    first, second = dataset_entries.json_entries(path, 'au')
    assert (first.instruction, first.aus, first.face) == ('Which <b>?', (12,), 'a.jpg')
    assert (second.instruction, second.aus, second.face) == ('And now?', (), 'a.jpg')
    out = tmp_path / 'out'
    assert statistics.main([f'--json={path}', '--task=au', f'--out={out}']) == 0
    page = Page((out / 'statistics.html').read_text())
    assert 'Entries of some carry no label' in page.text and 'Words by emotion' not in page.text
    assert not [tag for tag, _ in page.tags if tag == 'script']


@pytest.mark.parametrize(
    ('content', 'flags', 'message'),
    [
        ('{', ['--task=au'], 'bad.json: not JSON'),
        ('[]', ['--task=au'], 'at least one'),
        ('[{"id": 1}]', ['--task=au'], 'entry 0: lacks the field(s) conversations'),
        (
            '[{"conversations": [{"from": "human", "value": "x"}]}]',
            ['--task=au'],
            "entry 0: has turns from ['human'], expected 'human' and 'gpt' in turn",
        ),
        ('[' * 100_000, ['--task=au'], 'nested too deep'),
        ('[null]', ['--task=au'], 'entry 0: is None, expected an object'),
        (
            '[{"conversations": [{"from": "human", "value": ""}, {"from": "gpt", "value": null}]}]',
            ['--task=au'],
            'entry 0: turn 1: value is None, expected a text',
        ),
        ('[{"conversations": ["q", "a"]}]', ['--task=au'], "entry 0: turn 0 is 'q', expected"),
        ('[{"conversations": 3}]', ['--task=au'], 'entry 0: conversations is 3, expected a list'),
        ('[]', [], 'give --task=emotion or --task=au'),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path, capsys, content, flags, message):
    path = tmp_path / 'bad.json'
    path.write_text(content)
    with pytest.raises(SystemExit) as ended:
        statistics.main([f'--json={path}', f'--out={tmp_path}/out', *flags])
    error = str(ended.value.code)
    assert message in error and '\n' not in error
    assert not (tmp_path / 'out').exists()


def test_bad_entries_are_left_out_and_counted_if_that_is_asked_for(tmp_path, capsys):
    turns = [{'from': 'human', 'value': 'Q'}, {'from': 'gpt', 'value': 'AU4.'}]
    path, out = tmp_path / 'a.json', tmp_path / 'out'
    good, bad = {'conversations': turns}, {'conversations': [turns[0], {'from': 'gpt', 'value': 3}]}
    path.write_text(json.dumps([good, None, bad, good]))
    arguments = [f'--json={path}', '--task=au', f'--out={out}']
    with pytest.raises(SystemExit, match=r'entry 1: is None(.|\n)*entry 2: turn 1: value is 3'):
        statistics.main(arguments)
    assert statistics.main([*arguments, '--drop']) == 0
    assert 'left out: 2 unreadable row\n' in capsys.readouterr().err
    with (out / 'counts.csv').open(newline='') as file:
        assert [row['records'] for row in csv.DictReader(file)] == ['2']
    path.write_text(json.dumps([None]))
    with pytest.raises(SystemExit, match='entry 0: is None'):
        statistics.main([*arguments, '--drop'])


def test_bad_records_of_a_data_set_too(tmp_path, capsys):
    root, out = tmp_path / 'root', tmp_path / 'out'
    shutil.copytree(FABA, root)
    path = root / 'FABAInstruct/train/train_au_anno.json'
    entries = json.loads(path.read_text())
    path.write_text(json.dumps([*entries, {'image': None}, entries[0]]))
    arguments = ['--dataset=faba', '--task=au', f'--root={root}', f'--out={out}']
    with pytest.raises(SystemExit, match=f'entry {len(entries)}: lacks the field'):
        statistics.main(arguments)
    assert statistics.main([*arguments, '--drop']) == 0
    assert 'left out: 1 unreadable row, 1 the same entry again\n' in capsys.readouterr().err
    path.write_text('{')
    with pytest.raises(SystemExit, match=r'train_au_anno\.json: not JSON'):
        statistics.main([*arguments, '--drop'])
