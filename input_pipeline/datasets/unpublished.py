"""What TFDS is not to do for data sets that it does not know."""

from __future__ import annotations

import tensorflow_datasets as tfds


class UnpublishedInfo(tfds.core.DatasetInfo):
    """The facts of a data set that only this project builds."""

    def initialize_from_bucket(self) -> None:
        """Nothing: TFDS would ask its own bucket, and leave a temporary folder at every build."""
