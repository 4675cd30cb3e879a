import re

import pytest

from watchword.base.entropy import Entropy, SeededEntropy, SystemEntropy


@pytest.mark.parametrize("entropy", [SystemEntropy(), SeededEntropy(7)])
def test_names_have_the_form_that_was_asked_for(entropy: Entropy) -> None:
    assert len(entropy.random_bytes(16)) == 16
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", entropy.token())
    assert re.fullmatch(r"[A-Z]{10}", entropy.letters(10))
    assert set(entropy.letters(50, "ab")) <= {"a", "b"}
    assert 0 <= entropy.fraction() < 1


def test_a_seed_repeats_itself() -> None:
    assert SeededEntropy(7).token() == SeededEntropy(7).token() != SeededEntropy(8).token()


def test_the_system_does_not() -> None:
    assert SystemEntropy().token() != SystemEntropy().token()
