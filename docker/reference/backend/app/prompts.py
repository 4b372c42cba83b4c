"""What the model is asked. One worked example teaches a small model more than a page of instructions."""

import json
from typing import Any

from app.schemas import Fields

Messages = list[dict[str, str]]

_TENDER = (
    "Office chairs\n\nThe State Court of Santa Catarina buys 40 office chairs with armrests. "
    "Estimated value: R$ 22.000,00. Proposals until 03/02/2026. Delivery within 15 days."
)
_FIELDS = Fields(
    agency="State Court of Santa Catarina",
    subject="office chairs with armrests",
    quantity="40",
    estimated_value="R$ 22.000,00",
    deadline="03/02/2026",
)
_QUOTATION = (
    "To the State Court of Santa Catarina\n\nWe offer 40 office chairs with armrests for R$ 22.000,00. "
    "Delivery within 15 days. This quotation answers your tender, whose proposals close on 03/02/2026.\n\n"
    "Yours faithfully"
)

# Structured output, as Ollama, llama.cpp and vLLM understand it; the answer is not trusted to have this shape.
FIELDS_FORMAT: dict[str, Any] = {
    "type": "json_schema",
    "json_schema": {
        "name": "tender",
        "schema": {
            "type": "object",
            "properties": {name: {"type": ["string", "null"], "maxLength": 120} for name in Fields.model_fields},
            "required": list(Fields.model_fields),
            "additionalProperties": False,
        },
    },
}


def extraction(tender: str) -> Messages:
    """Ask for the tender's fields."""
    instruction = "You read public tenders and answer with one JSON object. Copy the words of the tender."
    return _taught(instruction, json.dumps(_FIELDS.model_dump()), tender)


def quotation(tender: str) -> Messages:
    """Ask for a quotation."""
    instruction = "You write short quotations for public tenders, in the language of the tender."
    return _taught(instruction, _QUOTATION, tender)


def _taught(instruction: str, example: str, tender: str) -> Messages:
    said = [("system", instruction), ("user", _TENDER), ("assistant", example), ("user", tender)]
    return [{"role": role, "content": content} for role, content in said]
