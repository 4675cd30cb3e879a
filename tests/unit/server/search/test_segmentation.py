"""Text into words, in many scripts."""

import pytest

from watchword.server.search.segmentation import (
    Run,
    Term,
    beginnings,
    fold,
    indexed,
    original_words,
    pairs,
    runs,
    terms,
)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Hello", "hello"),
        ("ÉCOLE naïve Straße", "ecole naive strasse"),
        ("Ёлка и Йод", "елка и йод"),
        ("Ørsted Łódź đakovo ısı", "orsted lodz dakovo isi"),
        ("ἀλήθεια Σοφίας", "αληθεια σοφιασ"),
        ("שָׁלוֹם", "שלום"),
        ("مُحَمَّد الأَحْمَر", "محمد الاحمر"),
        ("हिन्दी", "हिन्दी"),
        ("ＦＵＬＬ　ｶﾞ", "full ガ"),
        ("한국어", "한국어"),
        ("Việt Nam", "viet nam"),
    ],
)
def test_case_width_and_accents_do_not_count(text: str, folded: str) -> None:
    assert fold(text) == folded


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, World! don't", "hello world don t"),
        ("re-use_this 1.5", "re use this 1 5"),
        ("русский язык", "русскии язык".replace("ии", "ий")),
        ("हिन्दी भाषा", "हिन्दी भाषा"),
        ("አማርኛ ቋንቋ", "አማርኛ ቋንቋ"),
        ("東京都に", "東京 京都 都に に"),
        ("お茶", "お茶 茶"),
        ("한국어를", "한국 국어 어를 를"),
        ("ภาษา", "ภา าษ ษา า"),
        ("ខ្មែរ", "ខ្ ្ម មែ ែរ រ"),
        ("ລາວ", "ລາ າວ ວ"),
        ("မြန်", "မြ ြန န် ်"),
        ("Python入門 book", "python 入門 門 book"),
        ("😀 hi👍🏽", "hi"),
        ("a\ud800b", "a b"),
        ("...", ""),
        ("", ""),
    ],
)
def test_words_and_pairs_are_indexed(text: str, words: str) -> None:
    assert indexed(text) == words


def test_what_is_indexed_can_be_encoded_whatever_the_text_holds() -> None:
    assert indexed("".join(map(chr, range(0x20, 0x3000))) + "\ud800\udfff").encode()


def test_runs_tell_scripts_without_spaces_apart() -> None:
    assert list(runs("Abc 東京x")) == [Run("abc", False), Run("東京", True), Run("x", False)]
    assert list(runs("Abc def")) == [Run("abc", False), Run("def", False)]


def test_the_last_character_of_a_run_stands_alone_too() -> None:
    assert pairs("東京都") == ["東京", "京都", "都"]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("Hello world", [Term(("hello",), False), Term(("world",), False)]),
        ("hello HELLO", [Term(("hello",), False)]),
        ("東京都", [Term(("東京", "京都"), False)]),
        ("茶", [Term(("茶",), True)]),
        ('say "good morning" now', [Term(("say",), False), Term(("good", "morning"), False), Term(("now",), False)]),
        ('"東京都 station"', [Term(("東京", "京都", "station"), False)]),
        ('"" !', []),
    ],
)
def test_a_query_is_made_of_terms(query: str, wanted: list[Term]) -> None:
    assert terms(query, 20) == wanted


def test_a_query_has_a_bound() -> None:
    assert len(terms(" ".join(f"w{number}" for number in range(50)), 20)) == 20


def test_names_are_found_by_their_words_and_by_every_place_of_a_run() -> None:
    assert beginnings("Anna-Lena 山田太郎", 20) == ["anna", "lena", "山田太郎", "田太郎", "太郎", "郎"]
    assert beginnings("a b c d", 2) == ["a", "b"]


def test_words_can_be_had_as_they_are_written() -> None:
    assert original_words("Grüße, Élodie!") == ["Grüße", "Élodie"]
