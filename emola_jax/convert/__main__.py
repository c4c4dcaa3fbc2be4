"""`python -m emola_jax.convert`: the command of `emola_jax.cli.convert`."""

import runpy

if __name__ == '__main__':
    runpy.run_module('emola_jax.cli.convert', run_name='__main__', alter_sys=True)
