"""Readers of robot logs behind one registry."""

from core.data.readers.base import EpisodeRef, LogError, Reader
from core.data.readers.registry import FORMATS, Detection, detect, open_logs

__all__ = ["FORMATS", "Detection", "EpisodeRef", "LogError", "Reader", "detect", "open_logs"]
