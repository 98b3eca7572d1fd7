"""Graphs: edges among nodes, their structure found once."""

from gkd.graph.graph import Graph

__all__ = ["Graph"]
