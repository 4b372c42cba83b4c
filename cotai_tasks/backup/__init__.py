"""Backups of a whole stack: encrypted, streamed, verified, restored."""
