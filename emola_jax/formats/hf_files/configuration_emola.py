"""Configuration of EmoLA: LLaVA with one facial-prior token behind the patches of each face."""

from transformers import LlavaConfig


class EmolaConfig(LlavaConfig):
    """A LlavaConfig and what the facial prior adds.

    Attributes:
        landmark_inputs: numbers in a landmark vector (106 points, x and y); 0 for a model without
            the prior token.
        landmark_hidden: width between the two linear maps of the landmark projector.
        landmark_standardize: subtract a stored mean and divide by a stored deviation first.
        spatial_merge: m joins m x m neighbouring patches into one token before the projector.
        projector_rms: rescales every visual token to this root mean square; None leaves them.
    """

    model_type = 'emola'

    landmark_inputs: int = 212
    landmark_hidden: int = 4096
    landmark_standardize: bool = False
    spatial_merge: int = 1
    projector_rms: float | None = None
