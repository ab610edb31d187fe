"""Readers of robot logs behind one registry."""

from core.data.readers.base import Column, EpisodeRef, LogError, Reader
from core.data.readers.detection import Detection
from core.data.readers.registry import FORMATS, detect, open_logs

__all__ = [
    "FORMATS",
    "Column",
    "Detection",
    "EpisodeRef",
    "LogError",
    "Reader",
    "detect",
    "open_logs",
]
