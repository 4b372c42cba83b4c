"""CotAi reference backend: tenders come in, a language model drafts quotations, users read them."""
