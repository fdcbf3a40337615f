"""What the demo shows of the families: real suites played, and a reason where one cannot be."""

from trace_gym.cli.demo_families import Shown, families, table


def test_what_can_be_played_is_solved_by_its_reference_and_not_by_chance():
    heard = []
    shown = list(families(heard.append, (("tool use", "wikihop"), ("web", "shop"), ("web", "shopp"))))
    assert heard == ["tool use: wikihop", "web: shop", "web: shopp"]
    assert [each.oracle for each in shown] == [1.0, 1.0, None]
    assert [each.random for each in shown] == [0.0, 0.0, None]
    assert all(each.step_ms > 0 and each.fork_ms > 0 for each in shown[:2])
    assert "did you mean 'shop'" in shown[2].absent
    assert table(shown).row_count == 3


def test_milliseconds_are_told_in_digits_whatever_their_size():
    drawn = table([Shown("web", "shop", 1.0, 0.0, 0.0274, 123.4)])
    assert [list(drawn.columns[place].cells) for place in (4, 5)] == [["0.027 ms"], ["123 ms"]]
