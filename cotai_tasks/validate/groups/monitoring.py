"""The checks of monitoring."""
