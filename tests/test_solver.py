from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
import torch
from torch import Tensor

from pydpst import ConvergenceError, MattingLaplacian, ops
from pydpst.matting.conjugate_gradients import Convergence
from pydpst.matting.multigrid import Multigrid
from pydpst.matting.restricted import FreeOperator
from pydpst.ops import reference

SIZE = (31, 43)


def photo(channels: int = 3, size: tuple[int, int] = SIZE, seed: int = 0) -> Tensor:
    """Something with edges and texture, float64."""
    generator = torch.Generator().manual_seed(seed)
    rough = torch.rand(1, channels, 7, 9, generator=generator, dtype=torch.float64)
    smooth = torch.nn.functional.interpolate(rough, size, mode="bicubic").clamp(0, 1)[0]
    noise = torch.rand(smooth.shape, generator=generator, dtype=torch.float64)
    return 0.9 * smooth + 0.1 * noise


def matrix(image: Tensor, eps: float, radius: int) -> np.ndarray:
    """L, column by column."""
    count = image[0].numel()
    identity = torch.eye(count, dtype=torch.float64).view(count, *image.shape[1:])
    columns = MattingLaplacian(image, eps, radius).matvec(identity)
    return columns.flatten(1).T.numpy()


def some_free(seed: int = 1) -> Tensor:
    free = torch.zeros(SIZE, dtype=torch.bool)
    free[5:25, 10:38] = True
    free[0:4, 0:7] = True
    free[26:31, 37:43] = True
    return free


@pytest.mark.parametrize("radius", [1, 2, 5])
@pytest.mark.parametrize("channels", [1, 3])
def test_diagonal(radius: int, channels: int) -> None:
    image = photo(channels)
    have = MattingLaplacian(image, 1e-7, radius).diagonal()
    want = np.diagonal(matrix(image, 1e-7, radius))
    assert have.shape == SIZE
    np.testing.assert_allclose(have.flatten().numpy(), want, atol=1e-5)
    single = MattingLaplacian(image.float(), 1e-4, radius).diagonal()
    np.testing.assert_allclose(
        single.flatten().numpy(), np.diagonal(matrix(image, 1e-4, radius)), atol=1e-2
    )


@pytest.mark.parametrize(
    ("preconditioner", "radius"), [("multigrid", 1), ("multigrid", 2), ("jacobi", 1), ("jacobi", 4)]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_equals_a_direct_solve(radius: int, channels: int, preconditioner: str) -> None:
    image = photo(channels)
    generator = torch.Generator().manual_seed(2)
    diagonal = torch.rand(SIZE, generator=generator, dtype=torch.float64)
    diagonal[diagonal < 0.7] = 0
    b = torch.rand(2, *SIZE, generator=generator, dtype=torch.float64)
    x, convergence = MattingLaplacian(image, 1e-5, radius).solve(
        b, diagonal, tol=1e-10, max_iter=5000, preconditioner=preconditioner
    )
    system = scipy.sparse.csc_matrix(
        matrix(image, 1e-5, radius) + np.diag(diagonal.flatten().numpy())
    )
    want = scipy.sparse.linalg.spsolve(system, b.flatten(1).T.numpy()).T
    assert convergence.converged
    assert convergence.residual <= 1e-10
    np.testing.assert_allclose(x.flatten(1).numpy(), want, atol=1e-6)


@pytest.mark.parametrize("radius", [1, 3])
def test_held_pixels(radius: int) -> None:
    image, free = photo(), some_free()
    generator = torch.Generator().manual_seed(3)
    held = torch.rand(1, *SIZE, generator=generator, dtype=torch.float64)
    b = torch.rand(1, *SIZE, generator=generator, dtype=torch.float64)
    given = held.clone()
    x, _ = MattingLaplacian(image, 1e-5, radius).solve(
        b, torch.zeros(SIZE), held, tol=1e-10, free=free
    )
    assert torch.equal(held, given)
    assert torch.equal(x[:, ~free], held[:, ~free])
    L, inside = matrix(image, 1e-5, radius), free.flatten().numpy()
    right = (b.flatten().numpy() - L @ np.where(inside, 0, held.flatten().numpy()))[inside]
    want = np.linalg.solve(L[inside][:, inside], right)
    np.testing.assert_allclose(x[:, free][0].numpy(), want, atol=1e-6)


@pytest.mark.parametrize("share", ["part", "all"])
@pytest.mark.parametrize("radius", [1, 2, 3])
def test_tiles_add_up_to_the_operator(share: str, radius: int) -> None:
    """Several tiles, and those at the right and lower borders that are smaller."""
    image = photo(size=(150, 170))
    free = torch.zeros(150, 170, dtype=torch.bool)
    free[100:, 130:] = True
    free[3:9, 2:40] = True
    if share == "all":
        free[:] = True
    guide = image[None]
    whitening = ops.matting_whitening(guide, 1e-5, radius)
    added = torch.rand(free.shape, dtype=torch.float64)
    operator = FreeOperator(image, whitening[0], radius, added, free)
    x = torch.rand(2, operator.count, dtype=torch.float64)
    full = torch.zeros(2, *free.shape, dtype=torch.float64)
    full[:, free] = x
    want = reference.matting_matvec(guide, full[None], 1e-5, radius)[0] + added * full
    torch.testing.assert_close(operator(x), want[:, free], rtol=0, atol=1e-9)
    own = matrix(image[:, :31, :43], 1e-5, radius) if share == "all" else None
    if own is not None:  # two windows' reach from the cut the diagonal is the same
        inner = operator.diagonal.view(free.shape)[: 31 - 2 * radius, : 43 - 2 * radius]
        want = torch.from_numpy(np.diagonal(own).copy()).view(31, 43) + added[:31, :43]
        torch.testing.assert_close(inner, want[: inner.shape[0], : inner.shape[1]])


@pytest.mark.parametrize("radius", [1, 2])
@pytest.mark.parametrize("added", [0.0, 1.0])
def test_coarse_operators_are_galerkin_products(radius: int, added: float) -> None:
    image, free = photo(), some_free()
    whitening = ops.matting_whitening(image[None], 1e-5, radius)[0]
    diagonal = torch.full(SIZE, added, dtype=torch.float64)
    diagonal[:, ::2] = 0
    operator = FreeOperator(image, whitening, radius, diagonal, free)
    levels = Multigrid(operator, image).levels
    for (fine, _, transfer), (coarse, _, _) in pairwise(levels):
        c = torch.rand(2, transfer.count, 4, dtype=torch.float64)
        product = transfer.down(fine(transfer.up(c)))
        torch.testing.assert_close(coarse(c), product, rtol=1e-7, atol=1e-9)
        r = torch.rand(*fine(transfer.up(c)).shape, dtype=torch.float64)
        torch.testing.assert_close((transfer.up(c) * r).sum(), (c * transfer.down(r)).sum())


def test_the_cycle_is_symmetric_and_positive() -> None:
    image = photo(size=(90, 110))
    whitening = ops.matting_whitening(image[None], 1e-7, 1)[0]
    free = torch.ones(90, 110, dtype=torch.bool)
    added = torch.zeros(90, 110, dtype=torch.float64)
    added[::7, ::5] = 100
    cycle = Multigrid(FreeOperator(image, whitening, 1, added, free), image)
    x, y = torch.rand(2, 1, free.numel(), dtype=torch.float64) - 0.5
    assert float((x * cycle(y)).sum()) == pytest.approx(float((y * cycle(x)).sum()), rel=1e-6)
    assert float((x * cycle(x)).sum()) > 0


def test_right_hand_sides_are_independent() -> None:
    laplacian = MattingLaplacian(photo(), 1e-5)
    b = torch.rand(3, *SIZE, dtype=torch.float64)
    b[1] = 0
    b[2] *= 1e6
    diagonal = torch.ones(SIZE)
    together, _ = laplacian.solve(b, diagonal, tol=1e-9)
    for i in range(3):
        alone, _ = laplacian.solve(b[i : i + 1], diagonal, tol=1e-9)
        torch.testing.assert_close(together[i], alone[0], rtol=1e-6, atol=1e-6)
    assert not together[1].any()
    stacked, _ = laplacian.solve(b.view(3, 1, *SIZE), diagonal, tol=1e-9)
    torch.testing.assert_close(stacked.view(b.shape), together)


def test_batch_of_guides() -> None:
    images = torch.stack([photo(), photo(seed=5)])
    b = torch.rand(2, 1, *SIZE, dtype=torch.float64)
    diagonal = torch.rand(2, *SIZE) + 0.1
    x, convergence = MattingLaplacian(images, 1e-5).solve(b, diagonal)
    for i in range(2):
        alone, went = MattingLaplacian(images[i], 1e-5).solve(b[i], diagonal[i])
        torch.testing.assert_close(x[i], alone)
        assert convergence.iterations >= went.iterations


def test_float32_reaches_the_tolerance() -> None:
    image = photo().float()
    b, diagonal = torch.rand(1, *SIZE), torch.full(SIZE, 0.01)
    x, convergence = MattingLaplacian(image).solve(b, diagonal, tol=1e-9)
    assert x.dtype == torch.float32
    assert convergence.residual <= 1e-9


def test_a_start_at_the_solution_needs_no_iteration() -> None:
    laplacian = MattingLaplacian(photo(), 1e-5)
    b, diagonal = torch.rand(1, *SIZE, dtype=torch.float64), torch.ones(SIZE)
    x, _ = laplacian.solve(b, diagonal, tol=1e-9)
    _, convergence = laplacian.solve(b, diagonal, x, tol=1e-8)
    assert convergence.iterations == 0


def test_a_solve_that_does_not_converge_is_not_silent() -> None:
    laplacian = MattingLaplacian(photo())
    b, diagonal = torch.rand(1, *SIZE, dtype=torch.float64), torch.full(SIZE, 1e-3)
    with pytest.raises(ConvergenceError, match="after 2 iterations"):
        laplacian.solve(b, diagonal, max_iter=2)
    with pytest.warns(UserWarning, match="did not converge"):
        x, convergence = laplacian.solve(b, diagonal, max_iter=2, on_failure="warn")
    assert not convergence.converged
    assert convergence.iterations == 2
    assert x.isfinite().all()


def test_ctrl_c_keeps_what_there_is() -> None:
    laplacian = MattingLaplacian(photo())
    b, diagonal = torch.rand(1, *SIZE, dtype=torch.float64), torch.full(SIZE, 1e-3)
    seen: list[Convergence] = []

    def stop(convergence: Convergence) -> None:
        seen.append(convergence)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="was interrupted"):
        _, convergence = laplacian.solve(b, diagonal, on_failure="warn", callback=stop)
    assert convergence.interrupted
    assert convergence.iterations == 3
    assert convergence.residual == pytest.approx(seen[-1].residual, rel=1e-3)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"diagonal": torch.zeros(SIZE)}, "no pixel has a known value"),
        ({"diagonal": torch.full(SIZE, -1.0)}, "diagonal holds -1"),
        ({"diagonal": torch.full(SIZE, torch.nan)}, "diagonal holds NaN"),
        ({"diagonal": torch.ones(3, 3)}, r"diagonal has the shape \(3, 3\)"),
        ({"x0": torch.ones(1, 3, 3, dtype=torch.float64)}, r"x0 has the shape \(1, 3, 3\)"),
        ({"free": torch.ones(SIZE)}, "free is torch.float32"),
        ({"free": torch.ones(2, 2, dtype=torch.bool)}, r"free has the shape \(2, 2\)"),
        ({"tol": 0.0}, "tol is 0.0"),
        ({"max_iter": 0}, "max_iter is 0"),
        ({"on_failure": "ignore"}, "on_failure is 'ignore'"),
        ({"preconditioner": "ilu"}, "preconditioner is 'ilu'"),
    ],
)
def test_errors_name_the_value(change: dict[str, object], sentence: str) -> None:
    arguments = {"b": torch.ones(1, *SIZE, dtype=torch.float64), "diagonal": torch.ones(SIZE)}
    with pytest.raises(ValueError, match=sentence):
        MattingLaplacian(photo()).solve(**{**arguments, **change})  # type: ignore[arg-type]
