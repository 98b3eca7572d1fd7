"""The words of messages: the nearest choice to a name, values and texts as they may be shown."""

import re
import types
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

_OTHER_WORDS = """
    learning_rate: lr; batch_size: bs; weight_decay: wd, l2; epochs: maxepochs, nepochs, numepochs
    gradient_clipping: clip, clipgradnorm, gradclip, gradientclipval, maxnorm; workers: numworkers
    schedule: scheduler, lrscheduler; validate_every: checkvaleverynepoch, evalevery
    seeds: randomseed; labels: y; weights: checkpoint, ckpt, pretrained, statedict
    weight: alpha, coefficient, lambda, lossweight; temperature: tau, temp
    name: arch, architecture, model, type; params: args, kwargs, options, parameters
    hidden_channels: hidden, hiddendim, hiddensize; num_layers: depth, layers, nlayers
    root: datadir, dir, folder, path; file: path; cuda: gpu; mps: metal; average_precision: ap
    16-mixed: amp, fp16, half; bf16-mixed: bf16, bfloat16; 32-true: float32, fp32
    validation: val, dev; train: training; test: testing
    kd: hinton, kl, kldiv, softtargets; fitnet: hint, hints, mse; at: attentiontransfer; nst: mmd
    rkd-distance: rkd; sp: similaritypreserving; cc: correlationcongruence; vqgraph: codebook
    rbf: gauss, gaussian; laplacian: l1, laplace; l2: euclidean; linear: dot, innerproduct
    poly: polynomial; knn: nearestneighbours, nearestneighbors; modelnet40: modelnet, modelnet10
    single-label: classification, multiclass; accuracy: acc; micro_f1: f1; roc_auc: auc
"""
OTHER_WORDS: Mapping[str, Sequence[str]] = types.MappingProxyType(
    {
        name.strip(): words.replace(",", " ").split()
        for name, words in (entry.split(":") for entry in re.split("[;\n]", _OTHER_WORDS.strip()))
    }
)
"""By what things are called here: what people write who come from elsewhere, without hyphens."""

_SHORT = 4  # letters of a name that may have one mistake
_MOST = 40  # names that are all listed
_NEAREST = 5  # names that are listed of more


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """Return the one of ``choices`` that a name means, None where none is near.

    That is one which is written otherwise, or has another word for it, or is nearly so spelt. A
    short name is that with one letter too many, missing, wrong or in the other's place.

    >>> nearest("lr", ["learning_rate", "layer"]), nearest("Batch-Size", ["batch_size"])
    ('learning_rate', 'batch_size')
    >>> nearest("gta", ["gat"]), nearest("gcn", ["dgcnn"])
    ('gat', None)
    """
    known = sorted(choices)
    plain = _plain(name)
    for one in known:
        if _plain(one) == plain:
            return one
    for one in known:
        if plain in OTHER_WORDS.get(one, ()):
            return one
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    return next((one for one in near if len(name) > _SHORT or _one_mistake(name, one)), None)


def _plain(name: str) -> str:
    return re.sub(r"[-_ .]", "", name).lower()


def _one_mistake(name: str, other: str) -> bool:
    """Whether two names differ by one letter at most, or by the order of two neighbours."""
    start = next((i for i, (a, b) in enumerate(zip(name, other, strict=False)) if a != b), None)
    if start is None:
        return abs(len(name) - len(other)) <= 1
    ours, theirs = name[start:], other[start:]
    swapped = theirs[1:2] + theirs[:1] + theirs[2:]
    return ours[1:] in (theirs, theirs[1:]) or ours == theirs[1:] or ours == swapped


def suggestion(name: str, choices: Iterable[str]) -> str:
    """Sentence naming the nearest of ``choices`` and all of them, or a few where they are many.

    >>> suggestion("lps", ["lsp", "kd"])
    "did you mean 'lsp'? Available: kd, lsp"
    >>> suggestion("zzz", ["lsp", "kd"])
    'available: kd, lsp'
    >>> suggestion("5", map(str, range(100)))
    "did you mean '5'? Available: 5, 95, 85, 75, 65, … (100 in all)"
    """
    known = sorted(choices)
    if not known:
        return "none is available"
    near, listing = nearest(name, known), ", ".join(known)
    if len(known) > _MOST:
        few = get_close_matches(name, known, n=_NEAREST, cutoff=0.3) or known[:_NEAREST]
        listing = f"{', '.join(few)}, … ({len(known)} in all)"
    return (
        f"available: {listing}" if near is None else f"did you mean {near!r}? Available: {listing}"
    )


def printable(text: str) -> str:
    r"""Return a text as a terminal may have it: what would steer it is written out.

    Names of plugins, and what files hold, may be anybody's.

    >>> printable("a name\x1b[2J\nand more")
    'a name\\x1b[2J\nand more'
    """
    return "".join(
        c if c.isprintable() or c in "\n\t\u00a0\u202f\u2009" else ascii(c)[1:-1] for c in text
    )


def shown(value: object, length: int = 200) -> str:
    """Return a value as messages show it, an error by its words: no longer than a line or two.

    >>> shown("a"), shown(KeyError("a")), shown(EOFError())
    ("'a'", "'a'", 'EOFError')
    >>> shown([0] * 1000, length=12)
    '[0, 0, 0, 0,… (3000 characters)'
    >>> shown(16**5000)
    'an int of 6021 digits'
    """
    try:
        text = repr(value)
        if isinstance(value, Exception):
            text = str(value) or type(value).__name__
    except RecursionError:
        return f"a {type(value).__name__} that is nested too deep"
    except ValueError:  # Python writes no integers of more than 4,300 digits
        if isinstance(value, int):
            return f"an int of {int(value.bit_length() * 0.30103) + 1} digits"
        return f"a {type(value).__name__} that holds an int of thousands of digits"
    return text if len(text) <= length else f"{text[:length]}… ({len(text)} characters)"
