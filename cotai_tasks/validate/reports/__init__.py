"""What a run of validation leaves for people and machines."""
