"""dispatcher/cli/explain.py: the verdict, and everything that speaks against a yes."""

from dispatcher.cli.explain import explain
from dispatcher.config import TOPOLOGY
from proto.dispatch_pb2 import ExplainResponse, NodeState, PlaceResponse, PublisherState

OVERDUE_MS = TOPOLOGY.overdue_ms + 1


def response(replica_id: str, *nodes: NodeState, publishers: int = 1) -> ExplainResponse:
    return ExplainResponse(
        replica_id=replica_id,
        nodes=nodes,
        publishers=[PublisherState(peer=f"p{number}") for number in range(publishers)],
        next=PlaceResponse(node_id="rms-1"),
    )


def node(node_id: str = "rms-1", **more: int) -> NodeState:
    return NodeState(node_id=node_id, state="live", **more)  # type: ignore[arg-type]


def test_yes_if_every_replica_would_bring_it() -> None:
    found = explain("demo", [response("d1", node()), response("d2", node(), publishers=0)], [])
    assert (found.served, found.arrives) == (True, True)
    assert found.findings == ("yes: each viewer of demo would get a comment now", "the next viewer goes to rms-1")


def test_nobody_watches() -> None:
    found = explain("demo", [response("d1")], [])
    assert (found.served, found.arrives) == (False, False)
    assert "nobody watches demo" in found.findings[0]


def test_what_speaks_against_it_is_said() -> None:
    overdue = PublisherState(peer="p", unanswered_batches=2, batch_ms_ago=OVERDUE_MS)
    cases = {
        "d2 doesn't route to rms-1": [response("d1", node()), response("d2")],
        "no comment_service is connected": [response("d1", node(), publishers=0)],
        f"d1 has heard nothing from rms-1 for {OVERDUE_MS} ms": [response("d1", node(heard_ms_ago=OVERDUE_MS))],
        f"rms-1 owes d1 an acknowledgement for {OVERDUE_MS} ms": [response("d1", node(waiting_ms=OVERDUE_MS))],
        "2 batches of p wait": [ExplainResponse(replica_id="d1", nodes=[node()], publishers=[overdue])],
    }
    for words, responses in cases.items():
        found = explain("demo", responses, [])
        assert not found.arrives
        assert any(words in finding for finding in found.findings), found.findings
    found = explain("demo", [response("d1", node())], ["d2:7001"])
    assert not found.arrives


def test_where_the_next_viewer_goes() -> None:
    full = ExplainResponse(replica_id="d2")
    assert explain("demo", [full], []).findings[-1] == "a new viewer finds no room on any node"
    assert "some replicas have no node" in explain("demo", [response("d1"), full], []).findings[-1]


def test_hops_have_ages_only_where_there_are_some() -> None:
    found = explain("demo", [response("d1", node(acked_ms_ago=7))], [])
    publisher, to_node = found.hops
    assert (publisher.hop, publisher.heard_ms_ago, publisher.waiting_ms) == ("publisher", None, None)
    assert (to_node.hop, to_node.acked_ms_ago, to_node.waiting_ms) == ("node", 7, None)
