from pathlib import Path

from watchword.base.config import Config, RateLimits
from watchword.base.config_docs import page
from watchword.base.config_reading import settings_of

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_the_page_in_the_repository_is_what_the_settings_say() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: python -m watchword.base.config_docs > docs/configuration.md"


def test_every_setting_is_on_the_page_and_has_a_meaning() -> None:
    sections = {section.partition("\n")[0]: section for section in page().split("\n## ")}
    for setting in settings_of(Config):
        table, _, name = setting.key.rpartition(".")
        heading = f"`[[{table[:-2]}]]`" if table.endswith("[]") else f"`[{table.split('.')[0]}]`" if table else "The server"
        assert f"`{name}`" in sections[heading], setting.key
        assert setting.meta.description, setting.key


def test_every_rate_is_on_the_page() -> None:
    for name in RateLimits.__struct_fields__:
        assert name == "enabled" or f"`[rate_limits.{name}]`" in page()
