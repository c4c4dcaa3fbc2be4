"""What `emola_jax.compile` found, in words and as tables.

python -m emola_jax.compile.table sweep.json    prints the tables of a sweep's file once more
"""

from __future__ import annotations

from collections.abc import Sequence

from emola_jax.compile.chips import CHIPS
from emola_jax.files.json_values import JsonObject

GIB = 2.0**30


def describe(result: JsonObject) -> str:
    """One result on a few lines of a terminal."""
    head = result['topology'] + (f': {result["chips"]} chips' if 'chips' in result else '')
    if failure := _failure(result):
        return f'{head}\n  {failure}'
    axes = ' x '.join(f'{name} {size}' for name, size in result['axes'].items())
    lines = ['', f'{head}, {axes}']
    for name in ('train', 'generate'):
        if name in result:
            lines += _program(name, result[name], result)
    return '\n'.join(lines)


def _program(name: str, found: JsonObject, result: JsonObject) -> list[str]:
    hbm = found['hbm']
    shape = (
        f'{found["rows"]} rows of {found["length"]} tokens'
        if name == 'train'
        else f'{found["rows"]} prompts of {found["prompt"]}, {found["new_tokens"]} new tokens'
    )
    verdict = 'fits' if found['fits'] else 'does NOT fit'
    lines = [
        f'  {name}: {shape}: {verdict}',
        f'    HBM a chip    {hbm["total"] / GIB:.2f} of {hbm["chip"] / GIB:.0f} GiB',
    ]
    if 'temporaries' in hbm:
        lines[-1] += (
            f': arguments {hbm["arguments"] / GIB:.2f}, temporaries '
            f'{hbm["temporaries"] / GIB:.2f}, output {hbm["output"] / GIB:.2f} '
            f'({hbm["output_in_arguments"] / GIB:.2f} of it in the arguments)'
        )
        lines += _costs(found)
    if not found['fits']:
        lines += [f'    change        {text}' for text in advice(name, found, result)]
    return [*lines, f'    compiled in   {found["compile_seconds"]:.0f} s']


def _costs(found: JsonObject) -> list[str]:
    flops, roofline = found['flops'], found['roofline']
    kinds = ', '.join(
        f'{kind} {of["bytes"] / 1e9:.2f} GB in {of["runs"]:.0f}'
        for kind, of in sorted(found['collectives'].items())
    )
    xla = found['xla_seconds']
    estimate = 'none' if xla is None else f'{xla:.3f} s (a loop counts once)'
    return [
        f'    operations    {flops["compiled"] / 1e12:.2f} T a chip; by hand '
        f'{flops["by_hand"] / 1e12:.2f} T (ratio {flops["ratio"]:.3f})',
        *_token(found),
        f'    memory traffic {found["hbm_bytes"] / 1e9:.1f} GB a chip',
        f'    between chips {kinds or "nothing"}',
        f'    at best       {roofline["seconds"]:.3f} s, bound by {roofline["bound"]} (compute '
        f'{roofline["compute"]:.3f}, memory {roofline["memory"]:.3f}, network '
        f'{roofline["network"]:.3f})',
        f'    XLA estimates {estimate}',
    ]


def _token(found: JsonObject) -> list[str]:
    """One token of every answer, where the program writes answers."""
    if 'token_flops' not in found:
        return []
    token = found['token_flops']
    return [
        f'      of a token  {token["compiled"] / 1e9:.2f} G a chip; by hand '
        f'{token["by_hand"] / 1e9:.2f} G (ratio {token["ratio"]:.3f})'
    ]


def advice(name: str, found: JsonObject, result: JsonObject) -> list[str]:
    """What to change so that the program fits."""
    hbm, axes = found['hbm'], result['axes']
    if hbm['arguments'] > 0.9 * hbm['chip']:
        chips = result['chips'] * hbm['arguments'] / (0.7 * hbm['chip'])
        return [f'a larger slice: weights and optimiser alone need about {chips:.0f} chips']
    larger = f'a larger slice than {result["topology"]}'
    if axes['data'] > 1:
        larger = f'mesh.fsdp {axes["data"] * axes["fsdp"]} instead of mesh.data, or {larger}'
    if name == 'generate':
        return [f'a smaller eval.batch_size than {found["rows"]}, or {larger}']
    sharing = axes['data'] * axes['fsdp']
    texts = []
    if found['rows'] // sharing > 1:
        texts.append('train.accumulate twice as large (same batch, half the activations)')
    return [*texts, "model.remat='full' if it is another, a smaller --batch or --length", larger]


def _failure(result: JsonObject) -> str:
    return str(result.get('error') or result.get('died') or '')


_SLICE = (('topology', '---'), ('chips', '--:'), ('mesh (data x fsdp x tensor)', '---'))
_TRAINING = (
    *_SLICE,
    ('batch', '--:'),
    ('length', '--:'),
    ('search', '---'),
    ('HBM', '--:'),
    ('fits', '---'),
    ('step at best (s)', '--:'),
    ('bound by', '---'),
    ('TFLOP a chip (count / by hand)', '--:'),
)
_GENERATION = (
    *_SLICE,
    ('answers', '--:'),
    ('prompt', '--:'),
    ('new tokens', '--:'),
    ('search', '---'),
    ('HBM', '--:'),
    ('fits', '---'),
    ('all tokens at best (s)', '--:'),
    ('bound by', '---'),
    ('TFLOP a chip (count / by hand)', '--:'),
    ('GFLOP of a token (count / by hand)', '--:'),
)


def markdown(results: Sequence[JsonObject]) -> str:
    """The tables of a sweep, smallest slices first; GiB a chip, times in seconds at best."""
    ordered = sorted(results, key=_place)
    # What failed asked for a batch and a length, so it stands with the training.
    training = [_trains(one) for one in ordered if 'train' in one or 'generate' not in one]
    generation = [_generates(one) for one in ordered if 'generate' in one]
    parts = [
        _table(_TRAINING, training) if training else '',
        _table(_GENERATION, generation) if generation else '',
        smallest(results) if any('train' in one for one in results) else '',
        largest_compiler(results),
    ]
    return '\n'.join(part for part in parts if part)


def _table(columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]]) -> str:
    """Without the columns that no row fills."""
    shown = [at for at in range(len(columns)) if any(row[at] for row in rows)]
    lines = [[name for name, _ in columns], [align for _, align in columns], *rows]
    return ''.join(f'| {" | ".join(line[at] for at in shown)} |\n' for line in lines)


def _place(result: JsonObject) -> tuple[int, int, int, int]:
    chip = result['topology'].partition(':')[0]
    return (list(CHIPS).index(chip), result.get('chips', 0), result['batch'], result['length'])


def _slice(result: JsonObject) -> list[str]:
    """Cells of `_SLICE`; what failed says why in the place of its mesh."""
    mesh = ' x '.join(str(size) for size in result['axes'].values()) if 'axes' in result else ''
    failure = _failure(result).replace('|', '/')
    return [result['topology'], str(result.get('chips', '')), failure or mesh]


def _search(result: JsonObject) -> str:
    return 'fast' if result['fast'] else 'full'


def _trains(result: JsonObject) -> list[str]:
    """One row with a cell for each of `_TRAINING`."""
    found, shape = result.get('train'), [str(result['batch']), str(result['length'])]
    return [*_slice(result), *shape, _search(result), *_memory(found), *_time(found)]


def _generates(result: JsonObject) -> list[str]:
    """One row with a cell for each of `_GENERATION`."""
    found = result['generate']
    shape = [str(found[name]) for name in ('rows', 'prompt', 'new_tokens')]
    token = found.get('token_flops')
    of_token = f'{token["compiled"] / 1e9:.1f} ({token["ratio"]:.3f})' if token else ''
    return [*_slice(result), *shape, _search(result), *_memory(found), *_time(found), of_token]


def smallest(results: Sequence[JsonObject]) -> str:
    """The table of the smallest compiled slices that hold a training step, by chip and size.

    After 'not' comes the largest of the smaller ones that were compiled and don't.
    """
    shapes = sorted({(one['batch'], one['length']) for one in results if 'train' in one})
    names = [name for name in CHIPS if any(_is_of(one, name) for one in results if 'train' in one)]
    lines = [
        ['chip', *(f'{batch} x {length}' for batch, length in shapes)],
        ['---'] * (len(shapes) + 1),
    ]
    for name in names:
        cells = [
            _smallest([one for one in results if 'train' in one and _is_of(one, name, *shape)])
            for shape in shapes
        ]
        lines.append([name, *cells])
    return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


def _is_of(result: JsonObject, chip: str, batch: int = 0, length: int = 0) -> bool:
    shape = (result['batch'], result['length'])
    return result['topology'].startswith(f'{chip}:') and (not batch or shape == (batch, length))


def _smallest(results: Sequence[JsonObject]) -> str:
    fitting = sorted((one['chips'], one['topology']) for one in results if one['train']['fits'])
    # A slice that fits in one way (mesh, full search) fits.
    limit = fitting[0][0] if fitting else float('inf')
    refused = sorted((one['chips'], one['topology']) for one in results if one['chips'] < limit)
    parts = [fitting[0][1]] if fitting else []
    parts += [f'not {refused[-1][1]}'] if refused else []
    return ', '.join(parts)


def _memory(found: JsonObject | None) -> list[str]:
    if found is None:
        return ['', '']
    hbm = found['hbm']
    used = f'{hbm["total"] / GIB:.1f} of {hbm["chip"] / GIB:.0f}'
    return [used, 'yes' if found['fits'] else 'no']


def _time(found: JsonObject | None) -> list[str]:
    if found is None or 'roofline' not in found:
        return ['', '', '']
    roofline = found['roofline']
    flops = found['flops']
    return [
        f'{roofline["seconds"]:.2f}',
        roofline['bound'],
        f'{flops["compiled"] / 1e12:.1f} ({flops["ratio"]:.3f})',
    ]


def largest_compiler(results: Sequence[JsonObject]) -> str:
    """What the compiler took of the machine that ran it, at most; '' if no result says it."""
    known = [one for one in results if 'peak_bytes' in one]
    if not known:
        return ''
    worst = max(known, key=lambda one: one['peak_bytes'])
    return (
        f'The compiler took at most {worst["peak_bytes"] / GIB:.1f} GiB of its own machine '
        f'({worst["topology"]}, {worst["batch"]} x {worst["length"]}).\n'
    )


if __name__ == '__main__':
    from emola_jax.cli.compile_table import main

    main()
