"""Package metadata of emola_jax; `make lock` makes the constraints and requirements/ of it."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent

# What training, evaluating and reporting need; neither TensorFlow nor PyTorch is among them. JAX
# and Flax are in ranges of which every pair can be imported: Flax 0.12.8 cannot with JAX 0.11.1 and
# newer, Flax 0.12.9 not with 0.11.2 (names of jax.experimental.hijax went away), and Python 3.11
# ends at JAX 0.10.2 and Flax 0.12.8.
RUNTIME = [
    'absl-py',
    'array_record',
    'flax>=0.12.8,<0.12.9; python_version < "3.12"',
    'flax>=0.12.10,<0.13; python_version >= "3.12"',
    'gguf',
    'grain>=0.2.18',
    'huggingface_hub',
    'importlib_resources',  # tensorflow-datasets imports it without declaring it
    'jax>=0.10,<0.11; python_version < "3.12"',
    'jax>=0.11.1,<0.13; python_version >= "3.12"',
    'jaxtyping',
    'jinja2',
    'markupsafe',
    'ml-collections',
    'ml_dtypes',
    'numpy>=2',
    'opencv-python-headless',
    'optax',
    'orbax-checkpoint',
    'pillow',
    'safetensors',
    'scipy',
    'sentencepiece',  # transformers reads LLaMA's tokenizer.model with it
    'tensorboardX',
    'tensorflow-datasets>=4.9.10',
    'tokenizers',
    'tqdm',
    'transformers>=5',
]

# Reading PyTorch's own checkpoint files.
CONVERT = ['peft', 'torch']

GPU = ['jax[cuda12]']
TPU = ['jax[tpu]']

DEV = [
    'ai-edge-litert',
    'hypothesis',
    'mypy',
    'onnx',
    'onnxruntime',
    'pytest',
    'pytest-xdist',
    'rouge==1.0.1',
    'rouge-score==0.1.2',
    'ruff',
    'setuptools>=77',
]

setup(
    name='emola_jax',
    version='0.1.0',
    description='EmoLA in JAX: facial affective behaviour analysis with instruction tuning',
    long_description=(HERE / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    license_files=['LICENSE'],
    python_requires='>=3.11',
    packages=find_packages(
        include=['emola_jax', 'emola_jax.*', 'input_pipeline', 'input_pipeline.*', 'configs*']
    ),
    package_data={
        '': ['*.json', '*.npy', '*.npz', '*.toml', '*.txt'],
        # hf_files is data and no package: what is copied beside the weights of a written folder.
        'emola_jax': ['reporting/templates/*', 'formats/hf_files/*.py'],
    },
    entry_points={'console_scripts': ['emola = emola_jax.__main__:main']},
    install_requires=RUNTIME,
    extras_require={
        'gpu': GPU,
        'tpu': TPU,
        'convert': CONVERT,
        'dev': [*CONVERT, *DEV],
    },
)
