"""What routes ask for."""

from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection

from app.services import Services


def _services(connection: HTTPConnection) -> Services:
    services: Services = connection.state.services
    return services


Neighbours = Annotated[Services, Depends(_services)]
