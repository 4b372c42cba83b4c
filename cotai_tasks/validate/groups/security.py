"""The checks of security."""
