"""Numerical kernels: arrays in, arrays out, no domain types, no input or output.

Nothing is imported here on purpose: a caller pays for numpy and scipy only with the kernel it names.
"""
