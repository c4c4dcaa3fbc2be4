"""configs/tiny.py cut in folds, as a data set with subject-exclusive folds is.

Each split of the rendered faces is the test set of one fold.
"""

from configs import tiny

SPLITS = ('train', 'validation', 'test')


def get_config(argument=''):
    """`argument` is 'fold=K', K from 1."""
    name, _, fold = argument.partition('=')
    assert name == 'fold', argument
    config = tiny.get_config()
    tested = int(fold) - 1
    config.data.train_split, config.eval.split = SPLITS[(tested + 1) % 3], SPLITS[tested]
    config.data.synthetic_faces.update({'train_faces': 4, 'validation_faces': 5, 'test_faces': 6})
    config.train.update({'steps': 1, 'batch_size': 2})
    config.data.packing_bins = 2
    return config
