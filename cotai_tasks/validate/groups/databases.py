"""The checks of databases."""
