"""Datasets, and the samples and batches that they are made of."""

from gkd.data.batch import Batch, collate
from gkd.data.dataset import AbstractDataset
from gkd.data.neighbour_loader import NeighbourLoader
from gkd.data.sample import Sample

__all__ = ["AbstractDataset", "Batch", "NeighbourLoader", "Sample", "collate"]
