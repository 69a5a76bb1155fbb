"""The check of links reports broken links."""

import shutil
import subprocess
import sys

import pytest
from files import ROOT

DOCUMENT = """# A heading with `code`, and more

[file](other.md) [heading](#a-heading-with-code-and-more) [there](other.md#there-1) <https://example.com/gone>
[ours](https://github.com/cloud-exporters/cloud-exporters/blob/main/docs/other.md#there)
`[code](gone.md)`
```
[code](gone.md)
```
"""
OTHER = "# There\n\n## There\n"


def check(tmp_path, document):
    for name, text in {"README.md": "# R\n", "docs/page.md": document, "docs/other.md": OTHER}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/check-links", tmp_path / ".ci")
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    subprocess.run(["git", "-C", tmp_path, "add", "."], check=True)
    return subprocess.run([sys.executable, tmp_path / ".ci/check-links"], capture_output=True, text=True)


def test_accepts_valid_links(tmp_path):
    finished = check(tmp_path, DOCUMENT)
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize(
    "link",
    [
        "[a](gone.md)",
        "[a](#gone)",
        "[a](other.md#gone)",
        "[a](other.md#there-2)",
        "![a](images/gone.png)",
        "[a](../docs/gone)",
        "[a](https://github.com/cloud-exporters/cloud-exporters/blob/main/gone.md)",
        "[a](https://github.com/cloud-exporters/cloud-exporters/blob/main/docs/other.md#gone)",
    ],
)
def test_reports_a_broken_link(tmp_path, link):
    finished = check(tmp_path, DOCUMENT + link + "\n")
    assert finished.returncode == 1
    assert "docs/page.md" in finished.stderr and "gone" in finished.stderr or "there-2" in finished.stderr
