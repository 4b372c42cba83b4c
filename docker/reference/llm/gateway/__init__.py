"""CotAi LLM gateway: one OpenAI-compatible address in front of one or more model servers."""
