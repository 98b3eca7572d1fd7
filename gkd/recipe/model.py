"""What an experiment consists of: dataset, teacher, student, training, methods to compare."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import (
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from gkd.recipe.sections import (
    FeatureSpaceRecipe,
    LoggingRecipe,
    PublishedRecipe,
    SweepRecipe,
)
from gkd.recipe.training import TrainingRecipe, in_words
from gkd.recipe.values import (
    FolderName,
    GraphSource,
    LayoutOfTap,
    LogitsPlace,
    NetworkInputs,
    Part,
    Taps,
    TaskChoice,
    TaskWeight,
    Weigher,
    Weight,
)

BASELINE = "baseline"
"""Name of the method without terms: what every distillation is measured against."""

FORMER_BASELINE = "alone"
"""What recipes and run folders called it before."""


def with_current_names(methods: Sequence[Any]) -> list[Any]:
    """Return a recipe's methods with the baseline under its name of today.

    >>> with_current_names([{"name": "alone"}, {"name": "lsp", "terms": [{"loss": "lsp"}]}])
    [{'name': 'baseline'}, {'name': 'lsp', 'terms': [{'loss': 'lsp'}]}]
    """
    names = [method.get("name") for method in methods if isinstance(method, dict)]
    if BASELINE in names:
        return list(methods)
    return [
        {**method, "name": BASELINE}
        if isinstance(method, dict) and method.get("name") == FORMER_BASELINE
        else method
        for method in methods
    ]


class DatasetRecipe(Part):
    """A dataset by name; every other key is a parameter of it: ``gkd components dataset``.

    ``root``, where a dataset needs one, is the folder of its files, or their archive, or the folder
    that has it; by default the folder that the variable ``GKD_DATA`` of the environment names.

    Args:
        name: of the dataset.
    """

    model_config = ConfigDict(extra="allow")

    name: str

    @property
    def params(self) -> dict[str, Any]:
        """Parameters of the dataset."""
        return dict(self.model_extra or {})


Precision: TypeAlias = Literal["32-true", "bf16-mixed", "16-mixed"]


class TeacherRecipe(Part):
    """The teacher's model, and either how it is trained or a file of its weights.

    Args:
        name: of the model.
        params: of the model.
        inputs: what the model is called with, as ``gkd.Distiller`` takes it; by default what the
            model declares, else what the dataset does.
        logits: where the logits are in what the model returns, such as ``"[0]"``; by default what
            it declares, or the item of this name.
        edges_per_pass: edges of a graph that a layer works on at a time where the model runs
            without gradients (its answers as a teacher, validation, test): for layers that make a
            message for every edge of a large graph. By default all at once.
        weights: file of its weights, instead of a training: safetensors, or a state dict of
            ``torch.save``.
        seed: of its training.
        training: how it is trained.
        cache: whether what it says of the training samples is kept, so that it runs once: by
            default where they are the same in every epoch; true insists, false runs it always.
        cache_mebibytes: memory for that; the rest goes to files in the run's folder.
        cache_folder: where all of it goes to files that stay, for other runs with this teacher and
            these data, too; they are mapped into memory.
        cache_half: keep it in half precision.
        precision: that it teaches in, under autocast; by default that of the run. It is an error
            where its validation is worse in it by more than half a point.
    """

    name: str
    params: dict[str, Any] = {}
    inputs: NetworkInputs = None
    logits: LogitsPlace = None
    edges_per_pass: PositiveInt | None = None
    weights: str | None = None
    seed: NonNegativeInt = 0
    training: TrainingRecipe | None = None
    cache: bool | None = None
    cache_mebibytes: PositiveInt = 1024
    cache_folder: str | None = None
    cache_half: bool = False
    precision: Precision | None = None

    @model_validator(mode="after")
    def _check_weights(self) -> Self:
        if self.weights is None and self.training is None:
            raise ValueError("a teacher needs [teacher.training], or weights = a file of weights")
        return self


class StudentRecipe(Part):
    """The student's model.

    Args:
        name: of the model.
        params: of the model.
        inputs: what the model is called with, as of the teacher.
        logits: where they are in what the model returns, as of the teacher.
        edges_per_pass: edges that a layer works on at a time without gradients, as of the teacher.
    """

    name: str
    params: dict[str, Any] = {}
    inputs: NetworkInputs = None
    logits: LogitsPlace = None
    edges_per_pass: PositiveInt | None = None


class GivenTeacherRecipe(StudentRecipe):
    """A further teacher of a method, trained elsewhere.

    Args:
        name: of the model.
        params: of the model.
        inputs: what the model is called with, as of the teacher.
        logits: where they are in what the model returns, as of the teacher.
        edges_per_pass: edges that a layer works on at a time without gradients, as of the teacher.
        weights: file of its weights, as of the teacher.
    """

    weights: str


class TermRecipe(Part):
    """One weighted distillation loss, between a tap of the student and one of a teacher.

    Args:
        loss: name of the loss.
        weight: in the total: a number; ``{ start = 0.0, end = 1.0, epochs = 10 }``, from the first
            epoch to after so many; ``{ value = 1.0, from_epoch = 2, until_epoch = 30 }``, after two
            epochs and until 30 are over (those that a run calls 3 to 30); ``{ gradient_share = 0.3
            }`` of the task's gradient; or ``{ learned = "uncertainty" }``.
        student: tap of the student, or of a peer, ``"peer:layers.1"``; several for a loss of
            layers. Without taps a loss sees the logits alone.
        teacher: tap of the teacher, or of ``"peer:"``, ``"student:"``, ``"ema:"``, or of a further
            teacher of the method, ``"first:"``; several for a loss of several teachers.
        params: parameters of the loss: ``gkd components loss``.
        name: of the term in reports; by default the loss's.
        graph: where both views' graphs come from: an attribute of the batch, a tap, a builder. By
            default ``edge_index`` for terms with taps, where the batch has one.
        student_graph: where the student's graph alone comes from.
        teacher_graph: where the teacher's graph alone comes from.
        layout: what the axes of both tapped outputs are: ``"N H F"``, ``"B N F"``, ``"B C N"``,
            ``"B C H W"``; by default what the batch's sizes leave as the only reading.
        student_layout: what those of the student's alone are.
        teacher_layout: what those of the teacher's alone are.
        rows: that the loss takes: a mask of the batch, the others (``"~train_mask"``), ``"seeds"``
            or ``"all"``.
        weigher: how much each row counts, for a loss with a value per row.
        connector: any name, of a linear map that is learned and brings the student's features to
            the teacher's width; terms that give the same share it.
    """

    loss: str
    weight: Weight = 1.0
    student: Taps = None
    teacher: Taps = None
    params: dict[str, Any] = {}
    name: str | None = None
    graph: GraphSource = None
    student_graph: GraphSource = None
    teacher_graph: GraphSource = None
    layout: LayoutOfTap = None
    student_layout: LayoutOfTap = None
    teacher_layout: LayoutOfTap = None
    rows: str = "all"
    weigher: Weigher = None
    connector: str | None = None


class MethodRecipe(Part):
    """One way to train a student: its terms, none for a baseline.

    Args:
        name: of the method and of its folder.
        terms: distillation losses.
        student: in place of the recipe's. Such a method is compared with the one that trains the
            same student without terms, if there is one.
        task_weight: of the task's loss, as the weight of a term.
        peers: models by name that learn with the student; terms name them as teachers,
            ``"peer:"``, or in place of the student.
        teachers: further teachers by name, whose weights are given: such that know other labels.
            A model whose ``out_channels`` are not the data's has them among its ``params``. Terms
            name them, ``"first:layers.1"``, or ``"first:"`` for the logits alone.
        ema: decay of a moving average of the student's weights, which terms name ``"ema:"``.
        training: values of ``[training]`` that are others for this method, such as the learning
            rate that a sweep found for it.
        student_params: parameters of the recipe's student that are others for this method, such as
            a dropout; it is compared with the baseline all the same.
    """

    name: FolderName
    terms: list[TermRecipe] = []
    student: StudentRecipe | None = None
    task_weight: TaskWeight = 1.0
    peers: dict[FolderName, StudentRecipe] = {}
    teachers: dict[FolderName, GivenTeacherRecipe] = {}
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    training: dict[str, Any] | None = None
    student_params: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _check_student(self) -> Self:
        if self.student is not None and self.student_params is not None:
            raise ValueError(
                "student_params are over those of the recipe's student; one of its own has params"
            )
        return self

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        taken = {"student": "the student", "teacher": "the [teacher]", "ema": "the moving average"}
        for key, named in (("peers", self.peers), ("teachers", self.teachers)):
            for name in named:
                if name in taken:
                    raise ValueError(f"{key}: {name!r} is the name of {taken[name]}")
                taken[name] = f"one of the {key}"
        return self

    @field_validator("training")
    @classmethod
    def _check_training(cls, values: dict[str, Any] | None) -> dict[str, Any] | None:
        # By themselves; whether they fit the other values is said where those are known.
        try:
            TrainingRecipe.model_validate({"epochs": 1, **(values or {})})
        except ValidationError as error:
            if any(details["loc"] for details in error.errors()):
                raise ValueError(in_words(error)) from error
        return values

    @property
    def networks(self) -> tuple[str, ...]:
        """Names that terms may put before a tap, beside the teacher's."""
        return (*self.peers, *self.teachers, "student", "ema")

    @property
    def needs_teacher(self) -> bool:
        """Whether a term compares with the recipe's teacher."""
        taps = [
            tap
            for term in self.terms
            for tap in (term.teacher if isinstance(term.teacher, list) else [term.teacher])
        ]
        return any((tap or "").partition(":")[0] not in self.networks for tap in taps)


class Recipe(Part):
    """A teacher, and students trained by several methods from the same seeds.

    The baseline, the student trained without distillation, is added where no method is called
    ``baseline``. ``task``, a name or a table of a name and parameters, takes the place of the
    dataset's own: another loss of the same labels, or another main metric.

    With ``max_seeds``, seeds that follow the listed ones join one by one until every method is
    found better or worse than the baseline, or there are so many: verdicts hold whenever that is.

    Where a component has a name, ``"my_models:Net"`` may stand: a class of a module in the folder
    ``code``, by default the recipe's own, or of one that is installed.

    Args:
        title: one line, shown by ``gkd recipes`` and above every report.
        code: folder of modules of one's own.
        seeds: of the students: each method is trained once with each.
        max_seeds: how many seeds there may be at most, where they join until all is decided; a
            verdict then takes 5 seeds at least, of several methods more, and a run says how many.
        precision: of the computation; ``"16-mixed"`` needs a GPU.
        dataset: what is trained and tested on.
        task: what the labels are, in place of the dataset's own task.
        teacher: what is distilled; not needed where no method does.
        student: what is trained.
        training: how students are trained.
        methods: ways to train the student, which are compared.
        feature_space: picture of the features of one sample, by network.
        logging: where curves go beside the run's own files.
        sweep: what ``gkd sweep`` tries.
        published: what others found, shown beside the results.
    """

    title: str = ""
    code: str | None = None
    seeds: Annotated[list[NonNegativeInt], Field(min_length=1)] = [0]
    max_seeds: PositiveInt | None = None
    precision: Precision = "32-true"
    dataset: DatasetRecipe
    task: TaskChoice = None
    teacher: TeacherRecipe | None = None
    student: StudentRecipe
    training: TrainingRecipe
    methods: list[MethodRecipe] = []
    feature_space: FeatureSpaceRecipe | None = None
    logging: LoggingRecipe | None = None
    sweep: SweepRecipe | None = None
    published: list[PublishedRecipe] = []

    @model_validator(mode="before")
    @classmethod
    def _add_baseline(cls, data: Any) -> Any:
        methods = data.get("methods", []) if isinstance(data, dict) else None
        if not isinstance(methods, list):
            return data
        methods = with_current_names(methods)
        names = [method.get("name") for method in methods if isinstance(method, dict)]
        # At the end, so that an index into the recipe's own list keeps its meaning.
        added = [] if BASELINE in names else [{"name": BASELINE}]
        return {**data, "methods": [*methods, *added]}

    @model_validator(mode="after")
    def _check_methods(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds should differ, got {self.seeds}")
        if self.max_seeds is not None and self.max_seeds < len(self.seeds):
            raise ValueError(
                f"max_seeds is {self.max_seeds}, but {len(self.seeds)} seeds are listed"
            )
        for name, count in Counter(method.name for method in self.methods).items():
            if count > 1:
                raise ValueError(f"{count} methods are called {name!r}")
        for method in self.methods:
            plain = MethodRecipe(
                name=method.name, training=method.training, student_params=method.student_params
            )
            if method.name == BASELINE and method != plain:
                raise ValueError(
                    f"the method {BASELINE!r} is the baseline: it trains [student] without terms"
                )
            if method.needs_teacher and self.teacher is None:
                raise ValueError(f"the method {method.name!r} distils, but there is no [teacher]")
            try:
                self.training_of(method)
            except ValueError as error:
                raise ValueError(f"training of the method {method.name!r}: {error}") from error
        return self

    def training_of(self, method: MethodRecipe) -> TrainingRecipe:
        """Return how the students of a method are trained."""
        return self.training.with_values(method.training or {})

    @model_validator(mode="after")
    def _check_sweep(self) -> Self:
        last, more = max(self.seeds), (self.max_seeds or 0) - len(self.seeds)
        searched = self.sweep.seeds if self.sweep else ()
        common = [seed for seed in searched if seed in self.seeds or last < seed <= last + more]
        if common:
            raise ValueError(
                f"sweep.seeds and seeds have {common} in common: what a sweep finds is judged by "
                "other seeds than those that found it"
            )
        return self

    @model_validator(mode="after")
    def _check_feature_space(self) -> Self:
        if self.feature_space is None:
            return self
        if self.teacher is None:
            raise ValueError("[feature_space] shows students beside a [teacher]; there is none")
        if min(self.feature_space.epochs) > self.training.epochs:
            first, last = min(self.feature_space.epochs), self.training.epochs
            raise ValueError(
                f"feature_space.epochs begin at {first}, but training ends with epoch {last}"
            )
        return self


def component_names(recipe: Recipe) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    """Every name of a component in a recipe: the path of its key, its kind, the name itself."""
    yield ("dataset", "name"), "dataset", recipe.dataset.name
    if isinstance(recipe.task, dict):
        yield ("task", "name"), "task", recipe.task["name"]
    elif recipe.task is not None:
        yield ("task",), "task", recipe.task
    if recipe.teacher is not None:
        yield ("teacher", "name"), "model", recipe.teacher.name
    yield ("student", "name"), "model", recipe.student.name
    for index, method in enumerate(recipe.methods):
        if method.student is not None:
            yield ("methods", index, "student", "name"), "model", method.student.name
        for position, term in enumerate(method.terms):
            path = ("methods", index, "terms", position)
            yield (*path, "loss"), "loss", term.loss
            for key in ("graph", "student_graph", "teacher_graph"):
                source = getattr(term, key)
                if isinstance(source, dict):
                    yield (*path, key, "name"), "graph", source["name"]
            if term.weigher is not None:
                named = isinstance(term.weigher, dict)
                name = term.weigher["name"] if named else term.weigher
                yield (*path, "weigher", *(["name"] if named else [])), "weigher", name
        for name, peer in method.peers.items():
            yield ("methods", index, "peers", name, "name"), "model", peer.name
        for name, given in method.teachers.items():
            yield ("methods", index, "teachers", name, "name"), "model", given.name


def component_parameters(
    recipe: Recipe,
) -> Iterator[tuple[tuple[str | int, ...], str, str, Mapping[str, Any]]]:
    """Yield what a recipe gives to each component but the data: path, kind, name, parameters."""
    student = recipe.student
    if recipe.teacher is not None:
        yield ("teacher",), "model", recipe.teacher.name, recipe.teacher.params
    yield ("student",), "model", student.name, student.params
    for index, method in enumerate(recipe.methods):
        path = ("methods", index)
        if method.student is not None:
            yield (*path, "student"), "model", method.student.name, method.student.params
        if method.student_params:
            yield (*path, "student_params"), "model", student.name, method.student_params
        for position, term in enumerate(method.terms):
            place = (*path, "terms", position)
            yield place, "loss", term.loss, term.params
            for key in ("graph", "student_graph", "teacher_graph", "weigher"):
                if isinstance(source := getattr(term, key), dict) and "name" in source:
                    given = {name: value for name, value in source.items() if name != "name"}
                    kind = "weigher" if key == "weigher" else "graph"
                    yield (*place, key), kind, source["name"], given
        for key, networks in (("peers", method.peers), ("teachers", method.teachers)):
            for name, network in networks.items():
                yield (*path, key, name), "model", network.name, network.params
