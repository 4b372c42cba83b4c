"""What is ordered."""

from django.db import models


class Order(models.Model):
    """A dish that somebody waits for."""

    dish = models.CharField(max_length=100)
    cooked = models.BooleanField(default=False)

    def __str__(self) -> str:
        """Name the dish."""
        return str(self.dish)
