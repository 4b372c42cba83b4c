"""A canteen."""
