"""Walks of packets as pictures: a page to click through, an SVG, a Mermaid flowchart."""

from fakecluster.drawing.mermaid import mermaid
from fakecluster.drawing.page import page
from fakecluster.drawing.svg import svg

__all__ = ["mermaid", "page", "svg"]
