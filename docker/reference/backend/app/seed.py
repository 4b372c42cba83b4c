"""Examples to look at: `python -m app.seed 20`. Run again, it adds what is missing and nothing twice."""

import argparse
import asyncio
import sys
from dataclasses import dataclass
from uuid import UUID, uuid5

from app.schemas import Fields
from app.services import Services, open_services

# Example number n always has the same id, wherever and however often it is made.
_IDS = UUID("5c0a7a3e-6f0e-4f0e-9f57-2d1f3b0c9a11")
_MODEL = "example"

_AGENCIES = (
    "Prefeitura Municipal de Campinas",
    "Universidade Federal de Santa Catarina",
    "Tribunal de Justiça do Paraná",
    "Hospital das Clínicas de Porto Alegre",
    "Secretaria de Educação do Recife",
)
_SUBJECTS = (
    ("notebooks com 16 GB de memória", 250, 4_800),
    ("resmas de papel A4 reciclado", 12_000, 27),
    ("cadeiras ergonômicas para escritório", 180, 950),
    ("kits de merenda escolar", 5_000, 18),
    ("licenças de software antivírus", 900, 65),
    ("luminárias públicas de LED", 1_400, 420),
    ("testes rápidos de diagnóstico", 20_000, 9),
)


@dataclass(frozen=True)
class Example:
    """A tender with its document and its quotation."""

    id: UUID
    title: str
    text: str
    fields: Fields
    draft: str


def example(number: int) -> Example:
    """Make example number `number`: always the same one."""
    agency = _AGENCIES[number % len(_AGENCIES)]
    subject, quantity, price = _SUBJECTS[number % len(_SUBJECTS)]
    year, month, day = 2027 + number // 336, 1 + number // 28 % 12, 1 + number % 28
    deadline, value = f"{day:02}/{month:02}/{year}", _reais(quantity * price)
    return Example(
        id=uuid5(_IDS, str(number)),
        title=f"Pregão eletrônico {number + 1}/{year - 1}: {subject}",
        text=(
            f"{agency} torna público que realizará pregão eletrônico para a aquisição de {quantity} {subject}, "
            f"com valor estimado de {value}. As propostas serão recebidas até {deadline}."
        ),
        fields=Fields(agency=agency, subject=subject, quantity=str(quantity), estimated_value=value, deadline=deadline),
        draft=(
            f"À {agency}\n\nApresentamos nossa proposta para o fornecimento de {quantity} {subject}, "
            f"no valor total de {value}, com entrega em 30 dias e validade de 60 dias."
        ),
    )


async def seed(services: Services, count: int) -> int:
    """Add the first `count` examples, each of its parts only where it is not there yet; give how many were new."""
    new = 0
    for number in range(count):
        one = example(number)
        tender = await services.tenders.get(one.id)
        new += tender is None
        if await services.documents.text(one.id) is None:
            await services.documents.add(one.id, one.title, one.text)
        tender = tender or await services.tenders.add(one.id, one.title)
        if tender.quotation is None:
            await services.tenders.save_quotation(tender, one.fields, one.draft, _MODEL)
    return new


async def _seed(count: int) -> int:
    async with open_services() as services:
        return await seed(services, count)


def _reais(value: int) -> str:
    return f"R$ {value:,}".replace(",", ".") + ",00"


def main() -> None:
    """Seed the databases that the environment names."""
    parser = argparse.ArgumentParser(prog="python -m app.seed", description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=20, help="how many examples (default: 20)")
    count = parser.parse_args().count
    new = asyncio.run(_seed(count))
    sys.stdout.write(f"{count} tenders with documents and quotations: {new} new, {count - new} were there\n")


if __name__ == "__main__":
    main()
