"""`python -m emola_jax.compile`: the command of `emola_jax.cli.compile`."""

import runpy

if __name__ == '__main__':
    runpy.run_module('emola_jax.cli.compile', run_name='__main__', alter_sys=True)
