from watchword.base import limits


def test_every_bound_is_a_positive_integer() -> None:
    bounds = {name: value for name, value in vars(limits).items() if not name.startswith("_")}
    assert all(isinstance(value, int) and value > 0 for value in bounds.values()), bounds


def test_the_protocol_s_own_bounds_are_the_specification_s() -> None:
    assert (limits.event_bytes_max, limits.identifier_bytes_max) == (65_536, 255)
    assert (limits.prev_events_max, limits.auth_events_max) == (20, 10)
    assert (limits.transaction_pdus_max, limits.transaction_edus_max) == (50, 100)
