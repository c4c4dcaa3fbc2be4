"""What `emola_jax.compile` found, in words and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

GIB = 2.0**30


def describe(result: dict[str, Any]) -> str:
    """One result on a few lines of a terminal."""
    head = f'{result["topology"]}: {result["chips"]} chips'
    if 'error' in result:
        return f'{head}\n  {result["error"]}'
    axes = ' x '.join(f'{name} {size}' for name, size in result['axes'].items())
    lines = ['', f'{head}, {axes}']
    for name in ('train', 'generate'):
        if name in result:
            lines += _program(name, result[name], result)
    return '\n'.join(lines)


def _program(name: str, found: dict[str, Any], result: dict[str, Any]) -> list[str]:
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


def _costs(found: dict[str, Any]) -> list[str]:
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
        f'    memory traffic {found["hbm_bytes"] / 1e9:.1f} GB a chip',
        f'    between chips {kinds or "nothing"}',
        f'    at best       {roofline["seconds"]:.3f} s, bound by {roofline["bound"]} (compute '
        f'{roofline["compute"]:.3f}, memory {roofline["memory"]:.3f}, network '
        f'{roofline["network"]:.3f})',
        f'    XLA estimates {estimate}',
    ]


def advice(name: str, found: dict[str, Any], result: dict[str, Any]) -> list[str]:
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


def markdown(results: Sequence[dict[str, Any]]) -> str:
    """The table of a sweep; sizes in GiB a chip, times in seconds at best."""
    lines = [
        '| topology | chips | mesh (data x fsdp x tensor) | batch | length | train: HBM | fits | '
        'step at best (s) | bound by | TFLOP a chip (count / by hand) | generate: HBM | fits |',
        '| --- | --: | --- | --: | --: | --: | --- | --: | --- | --: | --: | --- |',
    ]
    for result in results:
        start = [result['topology'], str(result['chips'])]
        sizes = [str(result['batch']), str(result['length'])]
        if 'error' in result:
            cells = [*start, result['mesh'], *sizes, result['error'].replace('|', '/')]
            lines.append('| ' + ' | '.join([*cells, *[''] * (12 - len(cells))]) + ' |')
            continue
        mesh = ' x '.join(str(size) for size in result['axes'].values())
        train, generate = result.get('train'), result.get('generate')
        cells = [*start, mesh, *sizes, *_memory(train), *_time(train), *_memory(generate)]
        lines.append('| ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines) + '\n'


def _memory(found: dict[str, Any] | None) -> list[str]:
    if found is None:
        return ['', '']
    hbm = found['hbm']
    used = f'{hbm["total"] / GIB:.1f} of {hbm["chip"] / GIB:.0f}'
    return [used, 'yes' if found['fits'] else 'no']


def _time(found: dict[str, Any] | None) -> list[str]:
    if found is None or 'roofline' not in found:
        return ['', '', '']
    roofline = found['roofline']
    flops = found['flops']
    return [
        f'{roofline["seconds"]:.2f}',
        roofline['bound'],
        f'{flops["compiled"] / 1e12:.1f} ({flops["ratio"]:.3f})',
    ]
