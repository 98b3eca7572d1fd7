"""An interrupted run, resumed, equals one that was not."""

import json

import pytest
import torch
from safetensors.torch import load_file

from gkd.errors import RecipeError
from gkd.training.run_directory import newest_folder

STEPS_PER_EPOCH = 3
TEACHER_STEPS = 2 * STEPS_PER_EPOCH


def everything(run):
    """All weights, last states and histories of a run."""
    found = {}
    for path in sorted(run.directory.folder.rglob("summary.json")):
        place = path.parent.relative_to(run.directory.folder)
        rows = json.loads(path.read_text())["history"]
        for row in rows:
            del row["seconds"]
        last = torch.load(path.parent / "last.ckpt", weights_only=True)
        moments = last["optimizer_states"][0]["state"]
        found[str(place)] = {
            "rows": rows,
            **load_file(path.parent / "weights.safetensors"),
            **{f"last {name}": tensor for name, tensor in last["state_dict"].items()},
            **{f"moment {i} {k}": tensor for i, m in moments.items() for k, tensor in m.items()},
        }
    return found


def assert_equal(one, two):
    assert one.keys() == two.keys()
    for place in one:
        assert one[place].keys() == two[place].keys()
        for name, value in one[place].items():
            other = two[place][name]
            same = torch.equal(value, other) if torch.is_tensor(value) else value == other
            assert same, f"{place}: {name}"


@pytest.mark.parametrize("augmented", ["false", "true"])
@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(1, id="teacher-first-epoch"),
        pytest.param(4, id="teacher-mid-epoch"),
        pytest.param(TEACHER_STEPS + 3 * STEPS_PER_EPOCH, id="student-last-step-of-epoch"),
        pytest.param(TEACHER_STEPS + 3 * STEPS_PER_EPOCH + 1, id="student-mid-epoch"),
        pytest.param(TEACHER_STEPS + 7 * STEPS_PER_EPOCH + 2, id="second-method"),
    ],
)
def test_resumed_equals_uninterrupted(opened, plugin, steps, augmented):
    settings = (f"dataset.augmented={augmented}", "seeds=[4]")
    whole = opened(*settings, out="whole")
    whole.train()
    plugin.interrupt_at = len(plugin.events) + steps
    cut = opened(*settings, out="cut")
    with pytest.raises(KeyboardInterrupt):
        cut.train()
    torch.manual_seed(123)  # whatever happened in between
    resumed = opened(*settings, out="cut", resume=True)
    resumed.train()
    assert_equal(everything(whole), everything(resumed))


def test_resumed_twice_after_a_crash(opened, plugin, monkeypatch):
    whole = opened("seeds=[0]", out="whole")
    whole.train()
    plugin.interrupt_at = len(plugin.events) + TEACHER_STEPS + 7
    with pytest.raises(KeyboardInterrupt):
        opened("seeds=[0]", out="cut").train()
    plugin.interrupt_at = len(plugin.events) + 8
    with pytest.raises(KeyboardInterrupt):
        opened("seeds=[0]", out="cut", resume=True).train()
    monkeypatch.setattr(torch, "save", failing_after(torch.save, 4))
    with pytest.raises(OSError, match="disk full"):
        opened("seeds=[0]", out="cut", resume=True).train()
    monkeypatch.undo()
    resumed = opened("seeds=[0]", out="cut", resume=True)
    resumed.train()
    assert_equal(everything(whole), everything(resumed))
    assert not list(resumed.directory.folder.rglob("*partial*"))


def failing_after(save, times):
    """``save``, which after some calls leaves half a file and fails."""
    calls = iter(range(times))

    def saved(value, path, *arguments, **named):
        if next(calls, None) is None:
            path.write_bytes(b"half a checkpoint")
            raise OSError("disk full")
        save(value, path, *arguments, **named)

    return saved


def test_finished_networks_are_left_alone(opened, plugin):
    opened("seeds=[0]").train()
    seen = len(plugin.events)
    opened("seeds=[0]", resume=True).train()
    assert len(plugin.events) == seen


def test_interrupts_leave_the_signal_handler_as_it_was(opened, plugin):
    import signal

    before = signal.getsignal(signal.SIGINT)
    plugin.interrupt_at = 3
    with pytest.raises(KeyboardInterrupt):
        opened().train()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_changed_recipe_is_refused(opened):
    opened()
    with pytest.raises(RecipeError) as caught:
        opened("training.epochs=6", "methods.mapped.terms.0.weight=1", resume=True)
    assert "training.epochs was 5, is 6" in str(caught.value)
    assert "methods.1.terms.0.weight was 2.0, is 1" in str(caught.value)


def test_resuming_nothing(opened, tmp_path):
    with pytest.raises(RecipeError, match="not a run"):
        opened(resume=True)
    with pytest.raises(RecipeError, match="no run of 'tiny'"):
        newest_folder("tiny", tmp_path)


def test_a_folder_in_use_is_refused(opened, tmp_path):
    opened()
    with pytest.raises(RecipeError, match="add --resume"):
        opened()
    (tmp_path / "file").touch()
    with pytest.raises(RecipeError, match="already there"):
        opened(out="file")


def test_every_resumption_is_noted(opened):
    opened()
    opened(resume=True)
    run = opened(resume=True)
    environment = json.loads((run.directory.folder / "environment.json").read_text())
    assert len(environment["resumed"]) == 2


def test_damaged_runs_are_explained(opened, tmp_path):
    opened()
    (tmp_path / "run" / "environment.json").write_text("{")
    with pytest.raises(RecipeError, match=r"environment.json is missing or damaged"):
        opened(resume=True)
    (tmp_path / "run" / "recipe.toml").write_text("= 3")
    with pytest.raises(RecipeError, match=r"recipe.toml is damaged"):
        opened(resume=True)
