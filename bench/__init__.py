"""What this costs, measured beside what else one would use."""
