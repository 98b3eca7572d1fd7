"""An interrupted run, resumed, equals one that was not."""

import json
import shutil
from io import StringIO

import pytest
import tiny_plugin
import torch
from rich.console import Console
from safetensors.torch import load_file
from torch import nn

import gkd
from gkd.errors import RecipeError
from gkd.files import read_sealed_json, read_sealed_text, write_sealed_json
from gkd.report.results import run_results
from gkd.training.network_training import damage_of, write_finished
from gkd.training.run_directory import new_folders, newest_folder

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
def test_resumed_equals_uninterrupted(opened, train_once, plugin, steps, augmented):
    settings = (f"dataset.augmented={augmented}", "seeds=[4]")
    whole = train_once(*settings)
    plugin.interrupt_at = steps
    cut = opened(*settings, out="cut")
    with pytest.raises(KeyboardInterrupt):
        cut.train()
    torch.manual_seed(123)  # whatever happened in between
    resumed = opened(*settings, out="cut", resume=True)
    resumed.train()
    assert_equal(everything(whole), everything(resumed))


@pytest.mark.parametrize("augmented", ["false", "true"])
def test_batches_from_workers_go_on_with_the_epoch(opened, train_once, plugin, augmented):
    settings = (f"dataset.augmented={augmented}", "seeds=[4]", "training.workers=1")
    whole = train_once(*settings)
    plugin.interrupt_at = TEACHER_STEPS + 3 * STEPS_PER_EPOCH + 1
    with pytest.raises(KeyboardInterrupt):
        opened(*settings, out="cut").train()
    resumed = opened(*settings, out="cut", resume=True)
    resumed.train()
    assert_equal(everything(whole), everything(resumed))


def test_learned_weights_are_gone_on_with(opened, train_once, plugin):
    learned = '{learned="uncertainty"}'
    term = f'{{loss="mapped", weight={learned}, student="hidden", teacher="hidden"}}'
    settings = ("seeds=[4]", f"methods.mapped.terms=[{term}]")
    whole = train_once(*settings)
    plugin.interrupt_at = TEACHER_STEPS + 7 * STEPS_PER_EPOCH + 2
    with pytest.raises(KeyboardInterrupt):
        opened(*settings, out="cut").train()
    resumed = opened(*settings, out="cut", resume=True)
    resumed.train()
    assert_equal(everything(whole), everything(resumed))
    assert "last distiller.learned.logs" in everything(whole)["students/mapped/seed-4"]


def test_resumed_twice_after_a_crash(opened, train_once, plugin, monkeypatch):
    whole = train_once("seeds=[0]")
    plugin.interrupt_at = TEACHER_STEPS + 7
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


def test_a_run_from_before_the_baseline_was_called_so_is_resumed(opened, plugin):
    plugin.interrupt_at = len(plugin.events) + TEACHER_STEPS + 3 * STEPS_PER_EPOCH
    cut = opened("seeds=[0]", out="cut")
    with pytest.raises(KeyboardInterrupt):
        cut.train()
    folder = cut.directory.folder
    (folder / "students" / "baseline").rename(folder / "students" / "alone")
    recipe = folder / "recipe.toml"
    recipe.write_text(read_sealed_text(recipe).replace('name = "baseline"', 'name = "alone"'))
    opened("seeds=[0]", out="cut", resume=True).train()
    assert (folder / "students" / "alone" / "seed-0" / "summary.json").is_file()
    assert not (folder / "students" / "baseline").exists()


def test_a_run_that_was_moved_keeps_its_best_epoch(opened, train_once, plugin):
    settings = ("seeds=[0]", "training.epochs=8", "training.learning_rate=0.5")
    whole = train_once(*settings)
    plugin.interrupt_at = TEACHER_STEPS + 7 * STEPS_PER_EPOCH + 1
    cut = opened(*settings, out="cut")
    with pytest.raises(KeyboardInterrupt):
        cut.train()
    scores = [row["validation/accuracy"] for row in history(whole, "baseline")]
    assert scores.index(max(scores)) < 7  # or the test could not fail
    cut.directory.folder.rename(cut.directory.folder.with_name("moved"))
    moved = opened(*settings, out="moved", resume=True)
    moved.train()
    assert_equal(everything(whole), everything(moved))


def history(run, method):
    folder = run.directory.student(method, 0)
    return json.loads((folder / "summary.json").read_text())["history"]


@pytest.mark.parametrize("epochs", [1, 3])
def test_checkpoints_of_our_own_callbacks_are_gone_on_with(opened, train_once, plugin, epochs):
    """As gkd wrote them when the schedule and the best epoch were its own."""
    settings = ("seeds=[0]", "training.validate_every=2")
    whole = train_once(*settings)
    plugin.interrupt_at = TEACHER_STEPS + epochs * STEPS_PER_EPOCH + 1
    cut = opened(*settings, out="cut")
    with pytest.raises(KeyboardInterrupt):
        cut.train()
    path = cut.directory.student("baseline", 0) / "last.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    rows = checkpoint["callbacks"]["EpochLog"]["rows"]
    assert len(rows) == epochs
    checkpoint["callbacks"] = {"Journal": {"rows": rows}}
    checkpoint["lr_schedulers"] = []
    for group in checkpoint["optimizer_states"][0]["param_groups"]:
        del group["initial_lr"]
        group["lr"] = rows[-1]["learning_rate"]
    torch.save(checkpoint, path)
    resumed = opened(*settings, out="cut", resume=True)
    resumed.train()
    assert_equal(everything(whole), everything(resumed))


def failing_after(save, times):
    """``save``, which after some calls leaves half a file and fails."""
    calls = iter(range(times))

    def saved(value, file, *arguments, **named):
        if next(calls, None) is None:
            file.write(b"half a checkpoint")
            raise OSError("disk full")
        save(value, file, *arguments, **named)

    return saved


@pytest.fixture
def finished(opened, train_once, tmp_path):
    """A finished run, opened to be resumed, in a folder of the test's."""
    shutil.copytree(train_once("seeds=[0]").directory.folder, tmp_path / "run")
    return opened("seeds=[0]", resume=True)


def test_finished_networks_are_left_alone(finished, plugin):
    finished.train()
    assert plugin.events == []


def test_interrupts_leave_the_signal_handler_as_it_was(opened, plugin):
    import signal

    before = signal.getsignal(signal.SIGINT)
    plugin.interrupt_at = 3
    with pytest.raises(KeyboardInterrupt):
        opened().train()
    assert signal.getsignal(signal.SIGINT) is before


def test_only_the_summary_was_missing(finished, plugin):
    before = everything(finished)
    (finished.directory.student("mapped", 0) / "summary.json").unlink()
    finished.train()
    assert plugin.events == []
    assert_equal(before, everything(finished))


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "emptied":
        content = b""
    elif how == "cut":
        content = content[: len(content) // 2]
    elif path.suffix == ".ckpt":  # a bit of a weight; much of the file is padding
        weights = torch.load(path, weights_only=True)["state_dict"]
        some = next(iter(weights.values())).numpy().tobytes()
        content[content.index(some) + 3] ^= 0x10
    else:
        content[-len(content) // 3] ^= 0x10
    path.unlink()  # tensors that the test has read may still lie in the file
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["emptied", "cut", "flipped"])
@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt"])
def test_the_checkpoint_before_a_damaged_one_is_used(
    opened, train_once, plugin, tmp_path, name, how
):
    whole = train_once("seeds=[4]")
    plugin.interrupt_at = TEACHER_STEPS + 3 * STEPS_PER_EPOCH + 1
    cut = opened("seeds=[4]", out="cut")
    with pytest.raises(KeyboardInterrupt):
        cut.train()
    damage(cut.directory.student("baseline", 4) / name, how)
    heard = Console(file=StringIO(), width=300)
    resumed = opened("seeds=[4]", out="cut", resume=True, console=heard)
    resumed.train()
    assert f"{name} cannot be read" in heard.file.getvalue()
    assert_equal(everything(whole), everything(resumed))


@pytest.mark.parametrize("how", ["emptied", "cut", "flipped"])
@pytest.mark.parametrize("name", ["weights.safetensors", "summary.json"])
@pytest.mark.parametrize("network", ["teacher", "student"])
def test_a_finished_network_whose_files_are_damaged_is_finished_again(
    finished, plugin, name, how, network
):
    before = everything(finished)
    directory = finished.directory
    folder = directory.teacher if network == "teacher" else directory.student("mapped", 0)
    damage(folder / name, how)
    finished.train()
    assert plugin.events == []  # the last checkpoint has it all
    assert_equal(before, everything(finished))


def test_other_data_than_those_of_the_run_are_refused(opened, plugin):
    plugin.interrupt_at = TEACHER_STEPS
    with pytest.raises(KeyboardInterrupt):
        opened().train()
    before = tiny_plugin.Blobs.sample

    def inverted(self, split, index, noise=0):
        sample = before(self, split, index, noise)
        tensors = {**dict(sample.items()), "y": 2 - sample.y}
        return gkd.Sample(id=sample.id, **tensors)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tiny_plugin.Blobs, "sample", inverted)
        with pytest.raises(RecipeError, match="the data are not those of the run"):
            opened(resume=True).train()


def test_what_a_killed_process_was_writing_is_removed(finished):
    partial = finished.directory.teacher / ".last.ckpt.123.partial"
    partial.write_bytes(b"half")
    finished.train()
    assert not partial.exists()


@pytest.fixture
def begun(opened):
    """A run whose folder is there."""
    run = opened()
    run.directory.start(run.file.recipe, {"command": "gkd"})
    return run


def test_a_changed_recipe_is_refused(opened, begun):
    with pytest.raises(RecipeError) as caught:
        opened("training.epochs=6", "methods.mapped.terms.0.weight=1", resume=True)
    assert "training.epochs was 5, is 6" in str(caught.value)
    assert "methods.1.terms.0.weight was 2.0, is 1" in str(caught.value)
    assert "gkd report" not in str(caught.value)
    with pytest.raises(RecipeError, match="`gkd report` joins runs that differ by their seeds"):
        opened("seeds=[7, 8]", resume=True)


def test_added_methods_and_keys_are_changes(opened, begun, recipe_path):
    recipe_path.write_text(recipe_path.read_text() + '[[methods]]\nname = "more"\n')
    with pytest.raises(RecipeError, match=r"methods was .* is "):
        opened("training.gradient_clipping=1.0", resume=True)
    with pytest.raises(RecipeError, match=r"gradient_clipping was not given, is 1\.0"):
        opened("training.gradient_clipping=1.0", resume=True)


def test_resuming_nothing(opened, tmp_path):
    with pytest.raises(RecipeError, match="there is no folder"):
        opened(resume=True)
    (tmp_path / "run").mkdir()
    with pytest.raises(RecipeError, match="is no folder of gkd run"):
        opened(resume=True)
    with pytest.raises(RecipeError, match="no run of 'tiny'"):
        newest_folder("tiny", tmp_path)


def test_the_newest_run_is_by_name(tmp_path):
    for name in ("tiny-20260102-000000", "tiny-20260101-000000", "other-20270101-000000"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "recipe.toml").touch()
    assert newest_folder("tiny", tmp_path).name == "tiny-20260102-000000"


def test_folders_of_one_second_differ(tmp_path):
    folders = set()
    for _ in range(3):
        folder = next(new_folders("tiny", tmp_path))
        folder.mkdir()
        folders.add(folder)
    assert len(folders) == 3


def test_a_folder_in_use_is_refused(opened, begun, tmp_path):
    with pytest.raises(RecipeError, match="add --resume"):
        opened()
    (tmp_path / "file").touch()
    with pytest.raises(RecipeError, match="already there; name a new folder"):
        opened(out="file")


def test_every_resumption_is_noted(opened, begun, tmp_path):
    opened("seeds=[0, 1]", resume=True).train()
    opened("seeds=[0, 1]", resume=True).train()
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert environment["command"] == "gkd"
    assert len(environment["resumed"]) == 2


def test_code_that_has_changed_is_named(opened, begun, train_once, tmp_path):
    noted = read_sealed_json(train_once().directory.folder / "environment.json")["plugin_code"]
    name = "gkd/distillation/loss_call.py"
    assert name in noted["gkd"]
    assert "tiny_plugin.py" in noted["local"]
    noted["gkd"][name] = noted["local"]["tiny_plugin.py"] = "another"
    path = tmp_path / "run" / "environment.json"
    write_sealed_json(path, {"command": "gkd", "plugin_code": noted})
    heard = Console(file=StringIO(), width=400)
    opened(resume=True, console=heard).train()
    words = f"gkd ({name}); local (tiny_plugin.py)"
    assert f"warning: changed since the run began: {words}; networks" in heard.file.getvalue()
    (again,) = read_sealed_json(path)["resumed"]
    assert "; ".join(again["changed_code"]) == words
    protocol = run_results(tmp_path / "run").protocol
    assert protocol["code"] == f"changed while the run was resumed: {words}"


def test_a_run_from_before_code_was_noted_is_resumed(opened, begun, tmp_path):
    heard = Console(file=StringIO(), width=400)
    opened(resume=True, console=heard).train()
    assert "changed since" not in heard.file.getvalue()
    assert "code" not in run_results(tmp_path / "run").protocol


def test_damaged_runs_are_explained(opened, begun, tmp_path):
    (tmp_path / "run" / "recipe.toml").write_text("= 3")
    with pytest.raises(RecipeError, match=r"recipe.toml is damaged"):
        opened(resume=True)


def test_a_damaged_note_of_the_environment_is_put_aside(opened, begun, tmp_path):
    (tmp_path / "run" / "environment.json").write_text("{")
    heard = Console(file=StringIO(), width=200)
    opened(resume=True, console=heard).train()
    assert "environment.json is damaged" in heard.file.getvalue()
    assert (tmp_path / "run" / "damaged-environment.json").read_text() == "{"


@pytest.mark.parametrize("key", ["checksums", "made_by"])
@pytest.mark.parametrize("value", [None, 3])
def test_a_summary_of_before_checksums_may_be_damaged_within(key, value, tmp_path):
    write_finished(tmp_path, nn.Linear(1, 1), None, {"seed": 0})
    summary = tmp_path / "summary.json"
    content = read_sealed_json(summary)
    summary.write_text(json.dumps(content))
    assert damage_of(tmp_path) is None
    summary.write_text(json.dumps(content | {key: value}))
    assert damage_of(tmp_path) == f"{summary} is damaged: its {key!r} is no object"


def test_mistakes_leave_no_folder(opened, tmp_path):
    with pytest.raises(RecipeError):
        opened("methods.mapped.terms.0.student=hiden").train()
    assert not (tmp_path / "run").exists()
