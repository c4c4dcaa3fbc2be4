"""Writes docs/api.md from the docstrings of the public API.

python docs/make_api.py
"""

from __future__ import annotations

import inspect
from pathlib import Path

import emola_jax

PAGE = Path(__file__).with_name('api.md')
_START = """\
# The public API

What `import emola_jax` offers; everything else in the package is internal and may change. This page
is written by `python docs/make_api.py` from the docstrings.

`import emola_jax` itself imports neither JAX nor NumPy; they come with the first call. Errors that
a user can fix are `emola_jax.UserError`, one sentence each. [examples/](../examples) has one short
script per use.
"""
_RECORDS = ('Emola', 'FaceAnswer', 'Run')


def page() -> str:
    """The text of docs/api.md."""
    functions = [name for name in emola_jax.__all__ if name[0].islower()]
    parts = [_START]
    parts += [_entry(name, getattr(emola_jax, name)) for name in functions]
    for name in _RECORDS:
        record = getattr(emola_jax, name)
        parts.append(f'## {name}\n\n{_doc(record)}')
        parts += [_entry(f'{name}.{m}', getattr(record, m), '###') for m in _methods(record)]
    return '\n'.join(parts)


def _entry(name: str, thing: object, level: str = '##') -> str:
    if isinstance(thing, property):
        return f'{level} {name}\n\n{_doc(thing.fget)}'
    signature = inspect.signature(thing)
    lines = [f'    {_parameter(one)},' for one in signature.parameters.values()]
    starred = [n for n, p in enumerate(signature.parameters.values()) if p.kind is p.KEYWORD_ONLY]
    if starred:
        lines.insert(starred[0], '    *,')
    result = signature.return_annotation
    return (
        f'{level} {name}\n\n```python\n{name}(\n' + '\n'.join(lines) + f'\n) -> {result}\n```\n\n'
        f'{_doc(thing)}'
    )


def _parameter(one: inspect.Parameter) -> str:
    typed = one.name if one.annotation is one.empty else f'{one.name}: {one.annotation}'
    return typed if one.default is one.empty else f'{typed} = {one.default!r}'


def _doc(thing: object) -> str:
    """A docstring: its sections as lists."""
    found, head = [], ''
    for line in (inspect.getdoc(thing) or '').split('\n'):
        heads = ('Args:', 'Returns:', 'Raises:', 'Attributes:')
        head = line if line in heads else head
        if line in heads:
            found += [f'**{line.removesuffix(":")}**', '']
        elif head == 'Returns:':
            found.append(line.strip())
        elif line.startswith('  ') and not line.startswith('    '):
            name, colon, text = line.strip().partition(': ')
            found.append(
                f'- `{name}`: {text}' if colon and ' ' not in name else f'- {line.strip()}'
            )
        else:
            found.append(line)
    return '\n'.join(found) + '\n'


def _methods(record: type) -> list[str]:
    own = [name for name in vars(record) if name == '__call__' or name[0] != '_']
    fields = getattr(record, '__dataclass_fields__', {})
    return [name for name in own if name not in fields]


if __name__ == '__main__':
    PAGE.write_text(page(), encoding='utf-8')
