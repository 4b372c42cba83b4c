"""Where backups are kept: a directory, or anything that speaks S3."""
