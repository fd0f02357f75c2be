"""The losses: content, style (Gatys et al. 2016), photorealism (Luan et al. 2017) and others.

Each is normalised, so that one set of weights serves every photo and every resolution.
"""
