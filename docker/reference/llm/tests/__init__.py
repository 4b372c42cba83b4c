"""Tests of the LLM gateway: no network; a stub stands for each model server."""
