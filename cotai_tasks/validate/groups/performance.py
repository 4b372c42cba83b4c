"""The checks of performance."""
