"""The checks of configuration."""
