"""The outage bench's numbers fit together."""

from scripts.benches.outage_config import OUTAGE


def test_a_post_is_given_up_after_its_answers_could_have_come() -> None:
    assert OUTAGE.again_s < OUTAGE.answer_timeout_s < OUTAGE.give_up_s
