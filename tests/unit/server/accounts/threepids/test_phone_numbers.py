"""Numbers as they are dialled become international digits."""

import pytest

from watchword.server.accounts.threepids.phone_numbers import parse_msisdn


@pytest.mark.parametrize(
    ("country", "dialled", "digits"),
    [
        ("GB", "07700 900001", "447700900001"),
        ("DE", "0151/123-45 67", "491511234567"),
        ("DE", "151 1234567", "491511234567"),
        ("DE", "+44 (7700) 900001", "447700900001"),
        ("DE", "0044 7700 900001", "447700900001"),
        ("US", "(555) 010-0123", "15550100123"),
        ("US", "1 555 010 0123", "15550100123"),
        ("CA", "011 44 7700 900001", "447700900001"),
        ("RU", "8 912 345-67-89", "79123456789"),
        ("HU", "06 20 123 4567", "36201234567"),
        ("IT", "06 1234 5678", "390612345678"),
        ("ES", "612 345 678", "34612345678"),
        ("JP", "010 44 7700 900001", "447700900001"),
    ],
)
def test_a_number_is_read_as_dialled_from_a_country(country: str, dialled: str, digits: str) -> None:
    assert parse_msisdn(country, dialled) == digits


@pytest.mark.parametrize(
    ("country", "dialled"),
    [
        ("XX", "07700 900001"),
        ("gb", "07700 900001"),
        ("GB", ""),
        ("GB", "12"),
        ("GB", "077x0 900001"),
        ("GB", "٠٧٧٠٠٩٠٠٠٠١"),
        ("GB", "+0 7700 900001"),
        ("GB", "1" * 30),
        ("GB", "1" * 100),
    ],
)
def test_what_cannot_be_a_number_is_refused(country: str, dialled: str) -> None:
    assert parse_msisdn(country, dialled) is None
