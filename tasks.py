"""The Invoke root of this repository."""

from cotai_tasks import ns

__all__ = ["ns"]
