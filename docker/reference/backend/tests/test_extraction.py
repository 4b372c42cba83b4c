"""Reading fields from whatever a model answers."""

import pytest

from app.extraction import extract_fields, storable
from app.schemas import Fields

TENDER = "The City of Campinas buys 250 notebooks. Estimated value: R$ 1.125.000,00. Proposals until 15/12/2026."
PLAIN = Fields(estimated_value="R$ 1.125.000,00", deadline="15/12/2026")


@pytest.mark.parametrize(
    "answer",
    [
        '{"agency": "City of Campinas", "subject": "notebooks", "quantity": 250}',
        'Here it is:\n```json\n{"Agency": "City of  Campinas", "subject": ["notebooks"], "quantity": "250"}\n``` Done.',
        'Bad {brace}. {"agency": "city of campinas", "subject": "NOTEBOOKS", "quantity": "250", "deadline": null}',
        "Agency: City of Campinas\n- Subject: notebooks\n* Quantity: 250",
        '{"agency": "City of Campinas",\n "subject": "notebooks",\n "quantity": "250",\n "deadl',
    ],
)
def test_fields_are_found_in_any_dress(answer: str) -> None:
    """JSON, JSON in prose, plain lines and half an object all give the fields."""
    fields = extract_fields(answer, TENDER)
    told = {name: " ".join((value or "").casefold().split()) for name, value in fields.model_dump().items()}
    assert told == {
        "agency": "city of campinas",
        "subject": "notebooks",
        "quantity": "250",
        "estimated_value": "r$ 1.125.000,00",
        "deadline": "15/12/2026",
    }


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "I cannot help with that.",
        "{" * 5000,
        '{"a":' * 5000,
        "[1, 2",
        '{"agency": {"deep": []}}',
        "\ud800 \x00: \x00",
        '{"quantity": 1e999}',
    ],
)
def test_garbage_leaves_what_the_tender_says(answer: str) -> None:
    """No answer is an error; the amount and the date are in the tender anyway."""
    assert extract_fields(answer, TENDER) == PLAIN


def test_invention_is_not_believed() -> None:
    """A value that the tender does not contain was made up."""
    answer = '{"agency": "NASA", "quantity": "9000", "estimated_value": "R$ 1,00", "deadline": "01/01/2030"}'
    assert extract_fields(answer, TENDER) == PLAIN


def test_storable_text_is_what_databases_take() -> None:
    """NUL and halves of characters are dropped, everything else stays."""
    assert storable(" a\x00ção \ud83d😀 ") == "ação 😀"
