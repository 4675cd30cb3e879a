from pathlib import Path

from watchword.base.config import Config
from watchword.base.config_docs import page
from watchword.base.config_reading import settings_of

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_the_page_in_the_repository_is_what_the_settings_say() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: python -m watchword.base.config_docs > docs/configuration.md"


def test_every_setting_is_on_the_page_and_has_a_meaning() -> None:
    text = page()
    for setting in settings_of(Config):
        assert f"`{setting.key.replace('[]', '')}`" in text
        assert setting.meta.description, setting.key
