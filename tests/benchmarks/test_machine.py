"""What the figures belong to is described, and its hash follows the code."""

import json

from benchmarks import _machine


def test_description_is_json_and_says_the_kernels_hz():
    """A timer interrupt comes between 24 and 10,000 times a second."""
    about = json.loads(json.dumps(_machine.describe()))
    assert about["cpus"] >= 1
    assert about["hz"]["from"]
    assert about["hz"]["hz"] is None or 24 <= about["hz"]["hz"] <= 10_000


def test_digest_follows_the_code(tmp_path):
    """A changed, a renamed and a new file each change it; a page, and what makes pages of figures, do not."""
    (tmp_path / "preemptio").mkdir()
    file = tmp_path / "preemptio" / "a.py"
    file.write_text("x = 1\n")
    seen = [_machine.digest(tmp_path)]
    (tmp_path / "preemptio" / "notes.md").write_text("words")
    (tmp_path / "benchmarks" / "report").mkdir(parents=True)
    (tmp_path / "benchmarks" / "report" / "_html.py").write_text("x = 1\n")
    assert _machine.digest(tmp_path) == seen[0]
    file.write_text("x = 2\n")
    seen.append(_machine.digest(tmp_path))
    file.rename(file.with_name("b.py"))
    seen.append(_machine.digest(tmp_path))
    file.write_text("x = 2\n")
    seen.append(_machine.digest(tmp_path))
    assert len(set(seen)) == 4
