"""What a backup is made of: each component knows how its data is read, proved, staged and swapped in."""
