"""Photos in, answers out: action units and emotion with probabilities, and explanations.

from emola_jax import predict
model = predict.load('runs/mini')
faces = model([image])[0]                  # PIL image or uint8[H, W, 3]; the largest face first
"""

from emola_jax.predict.load import load
from emola_jax.predict.model import FaceAnswer, Predictor

__all__ = ['FaceAnswer', 'Predictor', 'load']
