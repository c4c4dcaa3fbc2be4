"""The statistics of an instruction set as one HTML page that needs nothing but itself."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from emola_jax.files.json_values import JsonObject
from emola_jax.reporting import charts, paper_tables, run_page
from emola_jax.reporting.dataset_counts import Entry, Sheet
from emola_jax.reporting.published import FABA_INSTRUCT, DatasetFacts
from emola_jax.reporting.run_facts import TASK_TITLES

SHOWN_WORDS, SHOWN_INSTRUCTIONS = 12, 8


def render(title: str, dataset: str, entries: Sequence[Entry], sheets: Mapping[str, Sheet]) -> str:
    """The page as text.

    Args:
      title: of the page.
      dataset: the data set's name; with 'faba_instruct' its authors' figures stand beside ours.
      entries: of all splits.
      sheets: what `dataset_counts.sheets` makes of them.
    """
    read_off = {(e.split, e.task): e.read_off for e in entries}
    words = collections.defaultdict(list)
    for row in sheets['words_by_emotion'].records():
        words[row['emotion']].append(row)
    return (
        run_page.environment()
        .get_template('statistics.html')
        .render(
            title=title,
            task_titles=TASK_TITLES,
            rendered=dataset == paper_tables.RENDERED,
            faces=len({entry.face for entry in entries}),
            total=len(entries),
            read_off=sorted({split for (split, _), read in read_off.items() if read}),
            counts=sheets['counts'].records(),
            published=_facts(dataset, sheets),
            lengths=_lengths(sheets['lengths'].records()),
            histograms=_histograms(sheets['length_histogram'].records()),
            emotions=_by_split(sheets['emotions'].records(), 'emotion'),
            action_units=_by_split(sheets['action_units'].records(), 'au'),
            per_face=_per_face(sheets['aus_per_face'].records()),
            together=_cooccurrence(sheets['au_cooccurrence']),
            by_emotion=_au_by_emotion(sheets['au_by_emotion']),
            words={emotion: rows[:SHOWN_WORDS] for emotion, rows in words.items()},
            instructions=_instructions(sheets['instructions'].records()),
            files=sorted(sheets),
        )
    )


def _facts(dataset: str, sheets: Mapping[str, Sheet]) -> list[JsonObject]:
    """What the authors of the data set say, beside what was counted here."""
    if paper_tables.canonical(dataset) != 'faba':
        return []
    facts: DatasetFacts = FABA_INSTRUCT
    counted = {(row['split'], row['task']): row['records'] for row in sheets['counts'].records()}
    rows = [
        {
            'name': f'{split}, {task}: records',
            'published': number,
            'counted': counted.get((split, task)),
        }
        for split, tasks in facts.records.items()
        for task, number in tasks.items()
    ]
    means = {task: _mean_words(sheets, task) for task in facts.words}
    return rows + [
        {'name': f'{task}: mean words of an answer', 'published': number, 'counted': means[task]}
        for task, number in facts.words.items()
    ]


def _mean_words(sheets: Mapping[str, Sheet], task: str) -> float | None:
    """Over all splits, each counting as often as it has records."""
    records = {(r['split'], r['task']): r['records'] for r in sheets['counts'].records()}
    rows = [
        (row['mean'], records[row['split'], task])
        for row in sheets['lengths'].records()
        if (row['task'], row['text'], row['unit']) == (task, 'response', 'words')
    ]
    total = sum(number for _, number in rows)
    return round(sum(mean * number for mean, number in rows) / total, 2) if total else None


def _lengths(rows: Sequence[JsonObject]) -> list[JsonObject]:
    """One row for each text of each split and task, with its words and its sentences."""
    merged: dict[tuple[str, ...], JsonObject] = {}
    for row in rows:
        key = {name: row[name] for name in ('split', 'task', 'text')}
        merged.setdefault(tuple(key.values()), key)[row['unit']] = row
    return list(merged.values())


def _histograms(rows: Sequence[JsonObject]) -> dict[str, Markup]:
    made = {}
    for task in dict.fromkeys(row['task'] for row in rows):
        bins = [row for row in rows if row['task'] == task]
        edges = [*(row['from_words'] for row in bins), bins[-1]['to_words'] + 1]
        label = f'answers of the {task} task by their number of words'
        made[task] = charts.histogram(edges, [row['answers'] for row in bins], label=label)
    return made


def _by_split(rows: Sequence[JsonObject], key: str) -> dict[str, JsonObject]:
    """Class -> its name, and for each split its count and share."""
    table: dict[str, JsonObject] = {}
    for row in rows:
        entry = table.setdefault(str(row[key]), {'name': row.get('name', ''), 'splits': {}})
        entry['splits'][row['split']] = row
    return table


def _per_face(rows: Sequence[JsonObject]) -> dict[str, Markup]:
    made = {}
    for split in dict.fromkeys(row['split'] for row in rows):
        counts = [row['records'] for row in rows if row['split'] == split]
        edges = [number - 0.5 for number in range(len(counts) + 1)]
        made[split] = charts.histogram(edges, counts, label=f'{split}: action units of a face')
    return made


def _cooccurrence(sheet: Sheet) -> Markup | None:
    """Of the faces with the row's action unit, the share that has the column's too."""
    names = [f'AU{au}' for au in sheet.columns[1:]]
    if not names:
        return None
    counts = [row[1:] for row in sheet.rows]
    values = [
        [count / line[i] if line[i] and i != j else float('nan') for j, count in enumerate(line)]
        for i, line in enumerate(counts)
    ]
    label = 'share of the faces with the action unit of the row that show that of the column'
    return charts.heatmap(names, names, values, label=label, text=_whole_percent)


def _au_by_emotion(sheet: Sheet) -> Markup | None:
    if not sheet.rows or not sheet.columns[2:]:
        return None
    return charts.heatmap(
        [row[0] for row in sheet.rows],
        [f'AU{au}' for au in sheet.columns[2:]],
        [row[2:] for row in sheet.rows],
        label='share of the faces of an emotion that show an action unit',
        text=_whole_percent,
    )


def _whole_percent(share: float) -> str:
    return f'{100 * share:.0f}'


def _instructions(rows: Sequence[JsonObject]) -> dict[str, list[tuple[str, int]]]:
    """Task -> the most frequent instructions of all splits together."""
    found: dict[str, collections.Counter[str]] = {}
    for row in rows:
        found.setdefault(row['task'], collections.Counter())[row['instruction']] += row['records']
    return {task: counter.most_common(SHOWN_INSTRUCTIONS) for task, counter in found.items()}
