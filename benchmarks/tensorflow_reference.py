"""The matting Laplacian as a published TensorFlow program computes it: window sums by cumsum.

Everything is in float64. An image is padded symmetrically by r, so unlike in pydpst windows reach
over the border.
"""

from __future__ import annotations

import tensorflow as tf


def window_sums(x: tf.Tensor, radius: int) -> tf.Tensor:
    """Sums of x (H, W, ...) over the windows around each pixel."""
    side = 2 * radius + 1
    rest = [[0, 0]] * (len(x.shape) - 2)
    x = tf.pad(x, [[radius, radius], [radius, radius], *rest], "SYMMETRIC")
    x = tf.pad(x, [[1, 0], [1, 0], *rest])
    total = tf.cumsum(tf.cumsum(x, 0), 1)
    return total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]


class TensorFlowLaplacian:
    """L of a guide image (H, W, 3); the inverse covariances are computed once, here."""

    def __init__(self, image: tf.Tensor, eps: float = 1e-7, radius: int = 1) -> None:
        self.image, self.radius, self.size = image, radius, float((2 * radius + 1) ** 2)
        self.mean = self._window_means(image)
        covariance = self._covariance(image, self.mean)
        ridge = eps / self.size * tf.eye(3, dtype=tf.float64)
        self.inverse = tf.linalg.inv(covariance + ridge)

    def _window_means(self, x: tf.Tensor) -> tf.Tensor:
        return window_sums(x, self.radius) / self.size

    def _covariance(self, p: tf.Tensor, mean: tf.Tensor) -> tf.Tensor:
        product = self._window_means(self.image[..., :, None] * p[..., None, :])
        return product - self.mean[..., :, None] * mean[..., None, :]

    @tf.function
    def matvec(self, p: tf.Tensor) -> tf.Tensor:
        """L p for p (H, W, C)."""
        mean = self._window_means(p)
        a = self.inverse @ self._covariance(p, mean)
        b = mean - tf.reduce_sum(a * self.mean[..., :, None], -2)
        a, b = window_sums(a, self.radius), window_sums(b, self.radius)
        return self.size * p - tf.reduce_sum(a * self.image[..., :, None], -2) - b

    @tf.function
    def energy_and_gradient(self, p: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The sum over channels of pᵀL p, and its gradient."""
        with tf.GradientTape() as tape:
            tape.watch(p)
            energy = tf.reduce_sum(p * self.matvec(p))
        return energy, tape.gradient(energy, p)
