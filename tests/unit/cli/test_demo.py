from pathlib import Path

from tests.unit.cli.conftest import Run


def test_a_folder_with_something_in_it_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "diary.txt").write_text("mine", encoding="utf-8")
    result = run("demo", "--folder", tmp_path)
    assert result.exit_code == 2
    assert "is not empty" in result.output
    assert [file.name for file in tmp_path.iterdir()] == ["diary.txt"]
