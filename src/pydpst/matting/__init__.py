"""The matting Laplacian (Levin et al. 2008), and what is solved with it."""
