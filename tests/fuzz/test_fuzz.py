"""Every fuzz target holds for a moment; `python -m tests.fuzz` feeds them for as long as one likes."""

import pytest

from tests.fuzz.inputs import edited_text
from tests.fuzz.suite import every_target
from tests.fuzz.targets import Target

_EXAMPLES = 60


@pytest.mark.parametrize("target", every_target(), ids=lambda target: target.name)
def test_a_parser_raises_nothing_but_what_it_says(target: Target) -> None:
    target.run(1, _EXAMPLES)


def test_targets_have_different_names() -> None:
    names = [target.name for target in every_target()]
    assert len(names) == len(set(names))


def test_a_target_that_raises_what_it_must_not_is_found_and_shrunk() -> None:
    def check(text: str) -> None:
        if "\x00" in text:
            raise KeyError(text)

    target = Target("planted", edited_text(["some text"]), check, (ValueError,))
    with pytest.raises(KeyError) as found:
        target.run_for(30, 1)
    assert any("--seed" in note for note in found.value.__notes__)
