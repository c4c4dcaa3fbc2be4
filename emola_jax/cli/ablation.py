"""`python -m emola_jax.ablation`: the command of `emola_jax.study.ablation`."""

import runpy

if __name__ == '__main__':
    runpy.run_module('emola_jax.study.ablation', run_name='__main__', alter_sys=True)
