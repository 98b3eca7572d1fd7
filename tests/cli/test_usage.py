"""What is said to a command line that no command takes: what to write in its place."""

import pytest


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "run demo --epochs 3",
            "no option --epochs: it is a key of recipes, --set training.epochs=3",
        ),
        ("run demo --lr=0.1", "--set training.learning_rate=0.1"),
        ("run demo --batch-size 4", "--set training.batch_size=4"),
        ("run demo --weight 3", "--set methods.NAME.terms.0.weight=3"),
        ("run demo --root data", "--set dataset.root=data"),
        ("run demo --data-dir data", "--set dataset.root=data"),
        ("sweep demo --seed 3", "--set seeds=[3]"),
        ("run demo --seeds 0 1", "write --seed, once for each: --seed 0 --seed 1"),
        ("run demo --gpus 2", "write --device cuda --devices 2"),
        ("taps demo --cpu", "no option --cpu; available: --json, --set"),
        ("run demo --cpu", "write --device cpu"),
        ("run demo --methods lsp", "gkd recipes show NAME > mine.toml"),
        ("run demo --output x", "did you mean --out?"),
        ("export x --fromat onnx", "gkd export: no option --fromat: did you mean --format?"),
        ("--set a=b", "a command stands first, then its options: bench, check"),
        ("demo --config x", "no option --config; available: --device"),
    ],
)
def test_an_option_that_there_is_not(line, expected, run):
    outcome = run(*line.split())
    assert outcome.status == 2
    assert expected in outcome.err


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("run demo --seed 0,1", "--seed takes one number: write --seed 0 --seed 1"),
        ("run demo --seed=[0,1]", "--seed takes one number: write --seed 0 --seed 1"),
        ("run demo --seed 0 1", "1 follows no option: each seed has its own, --seed 0 --seed 1"),
        ("run demo --seed 3 4 5", "--seed 3 --seed 4 --seed 5"),
        ("run demo --seed a", "--seed: input should be a valid integer"),
        ("run demo --seed a", "got 'a'"),
        ("run demo --threads 0", "--threads: input should be greater than or equal to 1"),
        ("run demo training.epochs=3", "follows no option: --set training.epochs=3"),
        ("run demo other", "unexpected extra argument"),
        ("run", "missing argument 'recipe': name one of those that gkd recipes lists"),
        ("run demo --out", "Option '--out' requires an argument"),
        ("report", "missing argument 'run_dirs'"),
        ("recipes list", "available: check, show; gkd recipes alone: List the recipes"),
        ("rnu", "gkd: no such command 'rnu': did you mean 'run'?"),
    ],
)
def test_what_is_given_wrongly(line, expected, run):
    outcome = run(*line.split())
    assert outcome.status == 2
    assert outcome.err.startswith("error: ")
    assert expected in outcome.err


def test_no_command_at_all_is_answered_by_those_that_there_are(run):
    outcome = run()
    assert outcome.status == 0
    assert "reproduce" in outcome.out
