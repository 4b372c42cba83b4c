"""The checks of network."""
