"""
A film of two seconds, 64 by 64 pixels, for use cases that watch one: a red bar moves over white.

H.264 in MP4, the form that users send. An uncompressed one could be made on the spot, but OpenCV 5.0.0, with which vLLM
reads films, ends with a damaged heap on those.
"""

from pathlib import Path


def film() -> tuple[bytes, str]:
    """Its bytes and media type."""
    return Path(__file__).with_name("film.mp4").read_bytes(), "video/mp4"
