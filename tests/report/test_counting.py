"""Networks of the paper's tables, counted beside what it prints."""

import pytest

import gkd
from gkd.cli import main
from gkd.hosting.host import Host
from gkd.recipe.counted import counted_table
from gkd.recipe.file import read_recipe
from gkd.recipe.shipped import counted_tables
from gkd.report.counting import count_networks


@pytest.fixture(scope="module")
def host() -> Host:
    return gkd.create_host()


def counted(name: str, host: Host, *settings: str) -> tuple[dict[tuple[str, str], str], list[str]]:
    """What is counted, by network and name; and what differs."""
    table = counted_table(name)
    found, differences = count_networks(table, read_recipe(table.recipe, settings), host)
    return {(row[0], row[1]): row[2] for row in found.body}, differences


def test_table_1_is_the_papers_but_for_the_size_of_the_student(host: Host) -> None:
    found, differences = counted("table1", host)
    assert found["teacher", "parameters"] == "3,640,748"
    assert found["student", "attention heads"] == "2, 2, 2, 2, 2"
    assert differences[0] == "student: parameters 185,172 (0.16M there)"
    assert "152,260" in differences[1]


def test_the_remark_on_the_student_is_true() -> None:
    student = gkd.create("model", "gat", in_channels=50, out_channels=121,
                         hidden_channels=[68] * 4, heads=[2] * 5)  # fmt: skip
    last = student.layers[-1].res
    without = sum(p.numel() for p in student.parameters()) - sum(
        p.numel() for p in last.parameters()
    )
    assert without == 152_260


def test_table_3_is_the_papers(host: Host) -> None:
    found, differences = counted("table3", host)
    assert found["teacher", "feature map"] == "64, 64, 128, 256, 1024"
    assert found["student", "MLPs"] == "256"
    assert differences == []


def test_what_is_set_otherwise_is_counted_and_said(host: Host) -> None:
    settings = ("student.params.k=12", "student.params.channels=[8]")
    found, differences = counted("table3", host, *settings)
    assert found["student", "K"] == "12"
    assert differences[0] == "student: layers 2 (4 there)"
    assert "student: K 12 (10 there)" in differences


def test_a_model_that_says_nothing_of_itself_has_its_parameters_alone(host: Host) -> None:
    found, _ = counted("table1", host, "student={name='mlp', params={hidden_channels=8}}")
    assert found["student", "layers"] == "–"
    assert found["student", "parameters"] == f"{50 * 8 + 8 + 8 * 121 + 121:,}"


@pytest.mark.parametrize("name", counted_tables())
def test_reproduce_prints_the_table_and_every_difference(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["reproduce", name])
    assert not ended.value.code
    printed = capsys.readouterr().out
    table = counted_table(name)
    assert table.title in printed
    assert printed.count(f"unlike {table.source}: ") == {"table1": 2, "table3": 0}[name]


def test_a_counted_table_has_no_seeds(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["reproduce", "table1", "--seed", "3"])
    assert ended.value.code == 2
    assert "it takes --set alone" in capsys.readouterr().err
