// The ops' schemas and what the build contains.
//
// L is the matting Laplacian of a guide image I (Levin, Lischinski and Weiss 2008, eq. 12): for
// each window k of n pixels, μ and cov(I) are the mean and covariance of its colours,
// S = cov(I) + (eps/n)·Id, and p is fitted by the affine model p̄ + aᵀ(I − μ) with
// a = S⁻¹ cov(I, p). Then (L p)_i is the sum over the windows that hold pixel i of p_i less the
// model at i. Only windows wholly inside the image count.
//
// The covariance may be nearly singular (eps is 1e-7), so no entry of S⁻¹ is ever formed: with
// S = R Rᵀ (Cholesky, in double), W = R⁻¹ is kept, and a = Wᵀ (W cov(I, p)).

#include <Python.h>
#include <torch/csrc/stable/library.h>
#include <torch/headeronly/version.h>

#include "cpu/processor.h"

STABLE_TORCH_LIBRARY(pydpst, library) {
  // For a guide image (B, G, H, W) of G = 1 or 3 channels: the whitening matrix W of each window,
  // its lower triangle packed by rows, (B, G(G + 1)/2, H − 2r, W − 2r).
  library.def("matting_whitening(Tensor image, float eps, int radius) -> Tensor");
  // L p for each channel of p (B, C, H, W).
  library.def("matting_matvec(Tensor image, Tensor whitening, Tensor p, int radius) -> Tensor");
  // L x for vectors x (C, N) of the free pixels of one guide image, the others being 0: (C, N).
  // slots (H, W) says which number of x a pixel is; those not from 0 to N − 1 are not free. tiles
  // (T, 4) are where to look for free pixels: rows from the first to before the second, columns
  // from the third to before the fourth. They must not overlap, and what none holds is 0.
  library.def(
      "matting_free_matvec(Tensor image, Tensor whitening, Tensor slots, Tensor tiles, Tensor x, "
      "int radius) -> Tensor");
  // The diagonal of L, (B, 1, H, W).
  library.def("matting_diagonal(Tensor image, Tensor whitening, int radius) -> Tensor");
  // The gradient of qᵀ L p, summed over the channels of p and q (B, C, H, W), in the guide image.
  library.def(
      "matting_image_gradient(Tensor image, Tensor whitening, Tensor p, Tensor q, int radius) -> "
      "Tensor");
  // The product of a sparse matrix of small blocks (N, K, a, b), whose columns (N, K) are their
  // places in x (C, M, b): (C, N, a). Blocks whose column is not from 0 to M − 1 count for nothing.
  library.def("ellpack_matvec(Tensor blocks, Tensor columns, Tensor x) -> Tensor");
  // Slices a bilateral grid (B, 12, D, Gh, Gw) of 3×4 colour transforms at each pixel's place and
  // guide (B, H, W), and applies them to an image (B, 3, H, W); see slice.h.
  library.def("bilateral_slice_apply(Tensor grid, Tensor guide, Tensor image) -> Tensor");
  // The gradients of its result, times grad (B, 3, H, W), in the grid, the guide and the image.
  library.def(
      "bilateral_slice_apply_backward(Tensor grad, Tensor grid, Tensor guide, Tensor image) -> "
      "(Tensor, Tensor, Tensor)");
  // Affine colour maps (B, 12, h, w), 3×4 matrices by rows, enlarged to an image of so many rows
  // and applied to a strip (B, 3, H, W) of it, whose first row is top.
  library.def("affine_maps_apply(Tensor maps, Tensor image, int top, int height) -> Tensor");
  // What a colour grade by region changes: the sum over the regions of masks (B, R, H, W) times
  // maps (B, R, hues, K, 12), 3×4 matrices by rows for 1 or 7 hues at K knots of the mean channel,
  // of an image (B, 3, H, W); see grade.h. The image itself is added if add.
  library.def("grade_change(Tensor maps, Tensor masks, Tensor image, bool add) -> Tensor");
  // The gradients of its result, times grad (B, 3, H, W): in the maps, in which it is linear, so
  // that only their numbers of hues and knots matter; and in the masks and the image.
  library.def(
      "grade_change_maps_gradient(Tensor grad, Tensor masks, Tensor image, int hues, int knots) -> "
      "Tensor");
  library.def(
      "grade_change_pixel_gradients(Tensor grad, Tensor maps, Tensor masks, Tensor image, bool "
      "add) "
      "-> (Tensor, Tensor)");
}

namespace {

#if defined(__clang__)
constexpr const char* kCompiler = "clang " __clang_version__;
#else
constexpr const char* kCompiler = "gcc " __VERSION__;
#endif

PyObject* build_info(PyObject*, PyObject*) {
  return Py_BuildValue("{s:s,s:s,s:s,s:s}", "compiler", kCompiler, "torch_headers", TORCH_VERSION,
                       "minimum_torch", "2.11", "instructions", pydpst::instruction_set());
}

PyMethodDef methods[] = {
    {"build_info", build_info, METH_NOARGS,
     "The compiler, the torch whose headers it used, the oldest torch it runs with, and the "
     "instruction set that the kernels use on this processor."},
    {}};

PyModuleDef module = {PyModuleDef_HEAD_INIT,
                      "pydpst._C",
                      "The CPU kernels of pydpst, and what this build contains.",
                      0,
                      methods,
                      nullptr,
                      nullptr,
                      nullptr,
                      nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__C() { return PyModule_Create(&module); }
