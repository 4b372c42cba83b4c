"""Programs that run in containers of their own: the standard library alone, `SPEC` in, JSON out."""
