"""The kitchen."""

from cantina.celery import app
from cantina.models import Order


@app.task
def cook(order_id: int) -> None:
    """Cook an order."""
    Order.objects.filter(pk=order_id).update(cooked=True)
