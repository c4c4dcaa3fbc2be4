"""`python -m emola_jax.folds`: the command of `emola_jax.study.cross_validation`."""

import runpy

if __name__ == '__main__':
    runpy.run_module('emola_jax.study.cross_validation', run_name='__main__', alter_sys=True)
