"""`python -m emola_jax.predict`: the command of `emola_jax.cli.predict`."""

import runpy

if __name__ == '__main__':
    runpy.run_module('emola_jax.cli.predict', run_name='__main__', alter_sys=True)
