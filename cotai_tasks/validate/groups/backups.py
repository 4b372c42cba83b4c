"""The checks of backups."""
