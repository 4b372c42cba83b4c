"""The counter."""

import json

from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from cantina.models import Order
from cantina.tasks import cook


@csrf_exempt
@require_POST
def order(request: HttpRequest) -> JsonResponse:
    """Take an order and send it to the kitchen."""
    taken = Order.objects.create(dish=json.loads(request.body)["dish"])
    cook.delay(taken.pk)
    return JsonResponse({"id": taken.pk}, status=201)


@require_GET
def state(_: HttpRequest, order_id: int) -> JsonResponse:
    """Tell how far an order is."""
    found = get_object_or_404(Order, pk=order_id)
    return JsonResponse({"id": found.pk, "dish": found.dish, "cooked": found.cooked})


@require_GET
def kitchen_open(_: HttpRequest) -> JsonResponse:
    """Tell whether orders can be taken, which needs the database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"open": True})
