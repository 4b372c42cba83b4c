"""What is where."""

from django.urls import path

from cantina import views

urlpatterns = [
    path("orders", views.order),
    path("orders/<int:order_id>", views.state),
    path("kitchen/open", views.kitchen_open),
]
