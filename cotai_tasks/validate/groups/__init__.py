"""The checks, one module to each group."""
