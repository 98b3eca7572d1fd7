"""Laws of losses: what does not matter."""

from dataclasses import replace

from hypothesis import strategies as st
from torch import Tensor

from gkd.graph import Graph
from gkd.loss import View
from gkd.testing.law import law
from gkd.testing.laws.cases import Relabelled, Reordered, edge_orders
from gkd.testing.laws.comparison import require_close
from gkd.testing.laws.loss_calls import built, mapped, parts, value_of
from gkd.testing.laws.loss_values import problems
from gkd.testing.strategies.graphs import relabellings
from gkd.testing.strategies.loss_problems import LossProblem
from gkd.testing.subject import Subject


@st.composite
def _reordered(draw: st.DrawFn, subject: Subject) -> Reordered[LossProblem]:
    problem = draw(problems(subject))
    assert problem.student.graph is not None
    return Reordered(problem, draw(edge_orders(problem.student.graph.edge_index)))


def _graph_only(subject: Subject) -> str:
    return "" if "graph" in subject.specimen.uses else "declared: it does not use the graph"


@law("loss", problems=_reordered, exemption=_graph_only)
def invariant_to_edge_order(subject: Subject, case: Reordered[LossProblem]) -> None:
    """The order in which edges are listed, and listing one twice, means nothing."""
    problem, before = case.problem, case.problem.student.graph
    assert before is not None
    loss = built(subject, problem)
    expected = value_of(loss, problem)
    graph = Graph(case.edge_index, before.num_nodes)
    other = LossProblem(
        replace(problem.student, graph=graph), replace(problem.teacher, graph=graph)
    )
    require_close(value_of(loss, other), expected, "other order of edges")


@st.composite
def _relabelled(draw: st.DrawFn, subject: Subject) -> Relabelled[LossProblem]:
    problem = draw(problems(subject))
    nodes = len(next(iter(parts(problem.student).values())))
    return Relabelled(problem, draw(relabellings(nodes, problem.student.batch)))


@law("loss", problems=_relabelled)
def invariant_to_node_relabelling(subject: Subject, case: Relabelled[LossProblem]) -> None:
    """Numbers of nodes are names: they carry no meaning."""
    problem, order = case.problem, case.order
    loss = built(subject, problem)
    expected = value_of(loss, problem)
    other = LossProblem(_in_order(problem.student, order), _in_order(problem.teacher, order))
    require_close(value_of(loss, other), expected, "other order of nodes")


def _in_order(view: View, order: Tensor) -> View:
    view = mapped(view, lambda tensor: tensor[order])
    if view.graph is None:
        return view
    edges = order.argsort()[view.graph.edge_index]
    return replace(view, graph=Graph(edges, view.graph.num_nodes))
