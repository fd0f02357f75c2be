"""Ways to compute L p, side by side: each takes a guide and p (3, H, W) and gives what to time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.matting.laplacian import MattingLaplacian

EPS = 1e-7


@dataclass
class Contender:
    """What a guide image is turned into: functions to time."""

    matvec: Callable[[], object]
    energy_and_gradient: Callable[[], object] | None = None


def pydpst(image: Tensor, p: Tensor, radius: int) -> Contender:
    laplacian = MattingLaplacian(image, EPS, radius)
    variable = p.clone().requires_grad_()

    def energy_and_gradient() -> None:
        torch.autograd.grad(laplacian.energy(variable), variable)

    return Contender(lambda: laplacian.matvec(p), energy_and_gradient)


def _formula_in_torch(image: Tensor, radius: int) -> Callable[[Tensor], Tensor]:
    """L p in torch ops; windows by avg_pool2d, inverse covariances computed once."""
    side = 2 * radius + 1
    size = side**2

    def means(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, side, stride=1)

    def sums_around(x: Tensor) -> Tensor:
        return F.avg_pool2d(F.pad(x, [2 * radius] * 4), side, stride=1) * size

    mean = means(image)
    products = means((image[:, None] * image[None]).flatten(0, 1)).unflatten(0, (3, 3))
    covariance = (products - mean[:, None] * mean[None]).permute(2, 3, 0, 1)
    identity = torch.eye(3, device=image.device)
    inverse = torch.linalg.inv((covariance + EPS / size * identity).double()).float()
    windows = sums_around(torch.ones_like(mean[:1]))

    def matvec(p: Tensor) -> Tensor:
        p_mean = means(p)
        cross = means((image[:, None] * p[None]).flatten(0, 1)).unflatten(0, (3, 3))
        cross = cross - mean[:, None] * p_mean[None]
        a = torch.einsum("yxgh,hcyx->gcyx", inverse, cross)
        b = p_mean - (a * mean[:, None]).sum(0)
        a_sum = sums_around(a.flatten(0, 1)).unflatten(0, (3, 3))
        return windows * p - (a_sum * image[:, None]).sum(0) - sums_around(b)

    return matvec


def eager_torch(image: Tensor, p: Tensor, radius: int) -> Contender:
    matvec = _formula_in_torch(image, radius)
    variable = p.clone().requires_grad_()

    def energy_and_gradient() -> None:
        torch.autograd.grad((variable * matvec(variable)).sum(), variable)

    return Contender(lambda: matvec(p), energy_and_gradient)


def compiled_torch(image: Tensor, p: Tensor, radius: int) -> Contender:
    """The same by torch.compile, in one graph with its gradient."""
    matvec = _formula_in_torch(image, radius)
    compiled = torch.compile(matvec)
    energy = torch.compile(lambda variable: (variable * matvec(variable)).sum())
    variable = p.clone().requires_grad_()
    return Contender(lambda: compiled(p), lambda: torch.autograd.grad(energy(variable), variable))


def jax(image: Tensor, p: Tensor, radius: int) -> Contender:
    """The same formula in JAX, compiled."""
    import jax
    import jax.numpy as jnp

    side = 2 * radius + 1
    size = side**2

    def sums(x: jax.Array) -> jax.Array:
        window = (1,) * (x.ndim - 2) + (side, side)
        return jax.lax.reduce_window(x, 0.0, jax.lax.add, window, (1,) * x.ndim, "VALID")

    def sums_around(x: jax.Array) -> jax.Array:
        return sums(jnp.pad(x, [(0, 0)] * (x.ndim - 2) + [(2 * radius, 2 * radius)] * 2))

    guide, signal = jnp.asarray(image.cpu().numpy()), jnp.asarray(p.cpu().numpy())
    mean = sums(guide) / size
    covariance = sums(guide[:, None] * guide[None]) / size - mean[:, None] * mean[None]
    ridge = EPS / size * jnp.eye(3)
    inverse = jnp.linalg.inv(covariance.transpose(2, 3, 0, 1) + ridge)
    windows = sums_around(jnp.ones_like(mean[:1]))

    def matvec(p: jax.Array) -> jax.Array:
        p_mean = sums(p) / size
        cross = sums(guide[:, None] * p[None]) / size - mean[:, None] * p_mean[None]
        a = jnp.einsum("yxgh,hcyx->gcyx", inverse, cross)
        b = p_mean - (a * mean[:, None]).sum(0)
        return windows * p - (sums_around(a) * guide[:, None]).sum(0) - sums_around(b)

    product = jax.jit(matvec)
    gradient = jax.jit(jax.value_and_grad(lambda p: (p * matvec(p)).sum()))
    return Contender(
        lambda: product(signal).block_until_ready(),
        lambda: gradient(signal)[1].block_until_ready(),
    )


def _matrix(image: Tensor, radius: int) -> object:
    from pymatting import cf_laplacian

    return cf_laplacian(image.permute(1, 2, 0).double().numpy(), EPS, radius).tocsr()


def torch_csr(image: Tensor, p: Tensor, radius: int) -> Contender:
    """The explicit matrix as torch's sparse CSR tensor, multiplied by MKL."""
    matrix = _matrix(image, radius)
    sparse = torch.sparse_csr_tensor(
        torch.from_numpy(matrix.indptr),
        torch.from_numpy(matrix.indices),
        torch.from_numpy(matrix.data).float(),
        matrix.shape,
    )
    columns = p.flatten(1).T.contiguous()
    return Contender(lambda: sparse @ columns)


def torch_csr_pattern(image: Tensor, p: Tensor, radius: int) -> Contender:
    """A CSR matrix of L's sparsity with arbitrary values, for sizes that pymatting cannot build."""
    height, width, device = *image.shape[-2:], image.device
    reach = torch.arange(-2 * radius, 2 * radius + 1, device=device)
    rows, columns = (
        (torch.arange(side, device=device)[:, None] + reach).clamp(0, side - 1).int()
        for side in (height, width)
    )
    indices = (rows[:, None, :, None] * width + columns[None, :, None, :]).flatten()
    starts = torch.arange(0, len(indices) + 1, len(reach) ** 2, dtype=torch.int32, device=device)
    size = (height * width, height * width)
    values = torch.rand(len(indices), device=device)
    sparse = torch.sparse_csr_tensor(starts, indices, values, size)
    signal = p.flatten(1).T.contiguous()
    return Contender(lambda: sparse @ signal)


def scipy_csr(image: Tensor, p: Tensor, radius: int) -> Contender:
    """The explicit matrix, multiplied by SciPy."""
    matrix = _matrix(image, radius).astype("float32")
    columns = p.flatten(1).T.contiguous().numpy()
    return Contender(lambda: matrix @ columns)


def tensorflow(image: Tensor, p: Tensor, radius: int) -> Contender:
    """The published TensorFlow operator, in float64."""
    import tensorflow as tf
    from tensorflow_reference import TensorFlowLaplacian

    guide, signal = (tf.constant(x.permute(1, 2, 0).double().numpy()) for x in (image, p))
    laplacian = TensorFlowLaplacian(guide, EPS, radius)
    return Contender(
        lambda: laplacian.matvec(signal).numpy(),
        lambda: laplacian.energy_and_gradient(signal)[1].numpy(),
    )
