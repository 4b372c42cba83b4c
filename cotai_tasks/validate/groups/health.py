"""The checks of health."""
