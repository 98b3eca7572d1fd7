"""Creating components: what a factory is called with, what it may make, whose host it sees."""

import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch

import gkd
import gkd_tasks
from gkd.hosting import host as hosts
from gkd.hosting.host import Host, create_host
from gkd.hosting.loading import PluginSettings


class Sum(gkd.AbstractLoss):
    """A loss with two parameters."""

    def __init__(self, scale: float = 1.0, inner: str | None = None) -> None:
        super().__init__()
        self.scale = scale
        self.inner = None if inner is None else gkd.create("loss", inner)
        self.seen = gkd.names("loss")

    def forward(self, student: gkd.View, teacher: gkd.View) -> torch.Tensor:
        return self.scale * student.require_logits("Sum").sum()


def _host(**factories: Callable[..., Any]) -> Host:
    class Plugin:
        @gkd.hookimpl
        def gkd_losses(self) -> dict[str, Callable[..., Any]]:
            return factories

    host = create_host(discover=False)
    host.register(Plugin(), distribution="mine", name="plugin")
    return host


def test_it_is_what_the_factory_makes() -> None:
    loss = _host(sum=Sum).create("loss", "sum", scale=2)
    assert isinstance(loss, Sum)
    assert loss.scale == 2.0
    assert isinstance(loss.scale, float)


class ByHand:
    """A plugin that an object is."""

    @gkd.hookimpl
    def gkd_losses(self) -> dict[str, Callable[..., Any]]:
        return {"sum": Sum}


def test_another_process_has_the_same_plugins() -> None:
    host = create_host(discover=False, settings=PluginSettings(allowed=("a", "b")))
    host.register(ByHand(), distribution="mine")
    host.register(gkd_tasks)
    other = pickle.loads(pickle.dumps(host))
    assert other.settings == host.settings
    assert [str(record) for record in other.plugins] == [str(record) for record in host.plugins]
    assert other.names("loss") == ["sum"]
    assert other.names("task") == host.names("task")
    assert pickle.loads(pickle.dumps(create_host())).names("loss") == create_host().names("loss")


def test_components_inside_come_from_the_same_host() -> None:
    loss = _host(outer=Sum, only_here=Sum).create("loss", "outer", inner="only_here")
    assert isinstance(loss.inner, Sum)
    assert loss.seen == ["only_here", "outer"]


def test_the_host_is_active_during_creation_alone() -> None:
    host = _host(only_here=Sum)
    host.create("loss", "only_here")
    assert "only_here" not in gkd.names("loss")


def test_an_activated_host_is_the_current_one_until_the_block_ends() -> None:
    host = _host(only_here=Sum)
    with host.activated():
        assert hosts.current_host() is host
        assert gkd.names("loss") == ["only_here"]
        assert list(host.signature("loss", "only_here").parameters) == [
            "scale",
            "inner",
        ]
    assert hosts.current_host() is hosts.default_host()


def test_another_thread_sees_the_default_host() -> None:
    seen: list[Host] = []
    with _host().activated():
        thread = threading.Thread(target=lambda: seen.append(hosts.current_host()))
        thread.start()
        thread.join()
    assert seen == [hosts.default_host()]


def test_hosts_share_nothing() -> None:
    _host(one=Sum)
    assert create_host(discover=False).names("loss") == []


def test_a_failing_factory_says_what_was_being_created() -> None:
    def fragile() -> gkd.AbstractLoss:
        raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone") as caught:
        _host(fragile=fragile).create("loss", "fragile")
    assert caught.value.__notes__ == ["while creating loss 'fragile' of mine"]


@pytest.mark.parametrize("made", [None, 3, torch.nn.Linear(1, 1)])
def test_a_factory_that_makes_something_else_is_refused(made: object) -> None:
    with pytest.raises(gkd.PluginError) as caught:
        _host(odd=lambda: made).create("loss", "odd")
    expected = f"must be AbstractLoss, but its factory made {type(made).__name__}"
    assert expected in str(caught.value)
    assert "test_host_create.py:" in str(caught.value)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"scael": 1.0}, "loss 'sum': unknown parameter 'scael', did you mean 'scale'?"),
        ({"zzz": 1.0}, "loss 'sum': unknown parameter 'zzz'"),
        ({"scale": "1"}, "loss 'sum': parameter 'scale' must be float, got '1'"),
        ({"scale": True}, "loss 'sum': parameter 'scale' must be float, got True"),
        ({"inner": 3}, "loss 'sum': parameter 'inner' must be str | None, got 3"),
    ],
)
def test_wrong_parameters_are_named_with_the_signature(
    parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(gkd.ParameterError) as caught:
        _host(sum=Sum).create("loss", "sum", **parameters)
    signature = "(scale: float = 1.0, inner: str | None = None)"
    assert str(caught.value) == f"{message}\n  its parameters: {signature}"


def test_kind_and_name_are_free_as_parameters() -> None:
    made: dict[str, str] = {}

    def factory(kind: str, name: str) -> gkd.AbstractLoss:
        made.update(kind=kind, name=name)
        return Sum()

    _host(sum=factory).create("loss", "sum", kind="a", name="b")
    assert made == {"kind": "a", "name": "b"}


def test_register_refuses_a_broken_plugin_and_keeps_the_record_out_of_use() -> None:
    class Misspelt:
        @gkd.hookimpl
        def gkd_lossses(self) -> dict[str, Any]:
            return {}

    host = create_host(discover=False)
    with pytest.raises(gkd.PluginError, match=r"local .*'Misspelt'.*did you mean 'gkd_losses'"):
        host.register(Misspelt())
    assert host.names("loss") == []


@pytest.mark.parametrize("kind", ["loss", "kernel", "graph", "model", "dataset", "task", "weigher"])
def test_every_hook_feeds_its_kind(kind: str) -> None:
    hooks = {
        "loss": "gkd_losses",
        "kernel": "gkd_kernels",
        "graph": "gkd_graph_builders",
        "model": "gkd_models",
        "dataset": "gkd_datasets",
        "task": "gkd_tasks",
        "weigher": "gkd_weighers",
    }
    answer = gkd.hookimpl(lambda self: {"mine": object})
    host = create_host(discover=False)
    record = host.register(type("Plugin", (), {hooks[kind]: answer})())
    assert record.provides == {kind: ("mine",)}
    assert {k: host.names(k) for k in hooks} == {k: ["mine"] if k == kind else [] for k in hooks}


def test_the_default_host_is_made_once_and_warns_of_what_it_skipped(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Misspelt:
        @gkd.hookimpl
        def gkd_lossses(self) -> dict[str, Any]:
            return {}

    host = create_host(discover=False)
    with pytest.raises(gkd.PluginError):
        host.register(Misspelt(), distribution="bad-plugin")
    monkeypatch.setattr(hosts, "create_host", lambda: host)
    hosts.default_host.cache_clear()
    try:
        assert hosts.default_host() is hosts.default_host() is host
    finally:
        hosts.default_host.cache_clear()
    (message,) = caplog.messages
    assert "bad-plugin" in message
    assert "gkd_lossses" in message
