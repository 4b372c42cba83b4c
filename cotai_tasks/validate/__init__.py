"""Proof that a stack is what it claims to be."""
