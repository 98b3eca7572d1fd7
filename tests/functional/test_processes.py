"""Rows of several processes, side by side."""

import torch
from torch import distributed, multiprocessing

from gkd.functional.processes import gather_rows


def gathered(rank: int, folder: str) -> None:
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    rows = torch.full((3 * rank, 2), float(rank + 1), requires_grad=True)
    flags = torch.arange(rank + 1) > 0
    torch.save((gather_rows(rows), gather_rows(flags)), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_all_processes_get_all_rows_in_their_order(tmp_path):
    multiprocessing.spawn(gathered, args=(str(tmp_path),), nprocs=2)
    for rank in range(2):
        rows, flags = torch.load(tmp_path / f"{rank}.pt")
        assert torch.equal(rows, torch.full((3, 2), 2.0))
        assert not rows.requires_grad
        assert flags.tolist() == [False, False, True]


def test_alone_they_are_ones_own():
    rows = torch.ones(2, requires_grad=True)
    assert gather_rows(rows).tolist() == [1.0, 1.0]
    assert not gather_rows(rows).requires_grad
