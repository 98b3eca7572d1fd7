"""The page that is written from the folders of results."""

import json
import shutil
from pathlib import Path
from types import ModuleType

import pytest
from programs import ROOT, program


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    return program("results/reproduction.py")


@pytest.fixture(scope="module")
def page(generator: ModuleType) -> str:
    return generator.page()


def test_the_page_is_that_of_the_results(generator: ModuleType, page: str) -> None:
    told = "docs/reproduction.md is not up to date: python results/reproduction.py"
    assert generator.PAGE.read_text(encoding="utf-8") == page, told


def test_every_table_and_figure_is_there(page: str) -> None:
    headings = [line for line in page.splitlines() if line.startswith("## ")]
    named = [heading.removeprefix("## ").partition(":")[0] for heading in headings[2:]]
    assert named == ["figure1", "figure4", *(f"table{number}" for number in range(1, 7))]


def test_ours_stand_beside_the_papers_with_what_was_done_otherwise(page: str) -> None:
    table2 = page.partition("## table2")[2].partition("## ")[0]
    ours = [line for line in table2.splitlines() if line.startswith("| lsp ") and "±" in line]
    *ours, shallow = ours
    assert len(ours) == 2  # after 50 epochs, and after the paper's own 500
    assert all(" 96.1 " in lsp for lsp in ours)  # the paper's
    assert " 88.37 " in shallow  # of a student of two layers, which the paper has not
    assert " 96.1 " not in shallow
    assert "unlike paper, table 2: " in table2
    assert "baseline" in table2


def test_what_no_program_can_know_stands_below_a_run(page: str) -> None:
    table2 = page.partition("## table2")[2].partition("## ")[0]
    assert table2.count("its labels are a reconstruction from public gene annotations") == 3
    table4 = page.partition("## table4")[2].partition("## ")[0]
    assert "ModelNet10, of 10 classes" in table4
    assert "ms per sample" not in table4  # of a machine that had other work


def test_published_numbers_stand_where_nothing_was_run(
    generator: ModuleType, tmp_path: Path
) -> None:
    table5 = generator.page(tmp_path).partition("## table5")[2].partition("## ")[0]
    assert "Not run here yet" in table5
    (poly,) = (line for line in table5.splitlines() if line.startswith("| poly "))
    assert "91.7" in poly


def test_a_changed_number_changes_the_page(generator: ModuleType, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "results" / "table4", tmp_path / "table4")
    path = tmp_path / "table4" / "results.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["rows"][0]["parameters"] = [1234567]
    path.write_text(json.dumps(content), encoding="utf-8")
    written = generator.page(tmp_path)
    assert "1,234,567" in written
    assert written.count("Not run here yet") == 5
