import io

from PIL import Image

from watchword.cli.demonstration.conversation import LINES, picture


def test_a_picture_is_one_that_others_can_open() -> None:
    with Image.open(io.BytesIO(picture(bytes(range(32))))) as image:
        image.verify()
    with Image.open(io.BytesIO(picture(bytes(range(32)), side=24))) as image:
        assert (image.format, image.size, image.mode) == ("PNG", (24, 24), "RGB")
        image.load()


def test_pictures_of_different_seeds_differ() -> None:
    assert picture(bytes(32)) != picture(b"\1" * 32)


def test_the_conversation_goes_both_ways_in_many_languages() -> None:
    assert len({language for language, _, _ in LINES}) == len(LINES) >= 10
    assert {who for _, who, _ in LINES} == {"alice", "bob"}
    assert len({text for _, _, text in LINES}) == len(LINES)
