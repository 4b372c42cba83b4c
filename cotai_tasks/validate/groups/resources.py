"""The checks of resources."""
