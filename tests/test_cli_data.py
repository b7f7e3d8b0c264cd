"""`prepare` and `show` on the command line: flags reach the policy, what was found is told, and nothing else is printed."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gansaku import api
from gansaku.cli import main
from gansaku.cli_values import capacity, colour, size
from gansaku.data.bundled import avatars_file
from gansaku.data.store import open_store
from gansaku.errors import UsageError
from gansaku.listener import Listener
from gansaku.runs.live import Scoring


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Forty pictures of 40 x 30 in two classes, one of them broken."""
    monkeypatch.setenv("GANSAKU_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "photos"
    with np.load(avatars_file()) as arrays:
        for number, picture in enumerate(arrays["x"][:40]):
            path = root / ("cat" if number % 4 else "dog") / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).resize((40, 30)).save(path)
    (root / "cat" / "broken.png").write_bytes(b"")
    return root


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    told = capsys.readouterr()
    return code, told.out, told.err


class TestPrepare:
    def test_says_what_it_made_and_what_it_left_out(self, photos, tmp_path, capsys):
        code, out, _ = run(capsys, "prepare", photos, tmp_path / "p.h5", "--max-bad", "5%", "--held-out", "10%")
        assert code == 0
        assert "40 of 3 × 30 × 40: 36 train, 4 test" in out
        assert "left out     1 IMG_EMPTY" in out
        assert "broken.png: is an empty file" in out

    def test_stops_with_4_when_too_many_are_bad_and_leaves_nothing(self, photos, tmp_path, capsys):
        code, out, err = run(capsys, "prepare", photos, tmp_path / "p.h5")
        assert (code, out) == (4, "")
        assert "broken.png: is an empty file [IMG_EMPTY]" in err
        assert not (tmp_path / "p.h5").exists()

    def test_json_is_one_document_and_warnings_go_beside_it(self, photos, tmp_path, capsys):
        (photos / "cat" / "again.png").write_bytes((photos / "cat" / "1.png").read_bytes())
        code, out, err = run(capsys, "prepare", photos, tmp_path / "p.h5", "--max-bad", "1", "--json")
        found = json.loads(out)
        assert code == 0
        assert found["report"]["warned"] == {"DUPLICATE": 1}
        assert found["balance"] == {"cat": 31, "dog": 10}
        assert "repeats an earlier sample exactly; --dedupe leaves such out [DUPLICATE]" in err

    def test_every_flag_reaches_the_policy(self, photos, tmp_path, capsys):
        flags = ["--size", "20x12", "--fit", "pad", "--filter", "box", "--channels", "1", "--background", "#010203", "--layout",
                 "flat", "--dedupe", "--min-side", "3", "--max-aspect", "3", "--frames", "all", "--full-decode", "--max-bad",
                 "5%"]  # fmt: skip
        code, _, _ = run(capsys, "prepare", photos, tmp_path / "p.h5", *flags)
        dataset = open_store(tmp_path / "p.h5")
        assert code == 0
        assert dataset.shape == (1, 12, 20)
        assert dataset.policy == {"size": [12, 20], "fit": "pad", "filter": "box", "channels": 1, "background": [1, 2, 3],
                                  "layout": "flat", "dedupe": True, "min_side": 3, "max_aspect": 3.0, "frames": "all",
                                  "full_decode": True}  # fmt: skip

    def test_shards_are_files_of_at_most_that_size(self, photos, tmp_path, capsys):
        run(capsys, "prepare", photos, tmp_path / "p.h5", "--max-bad", "5%", "--shard-size", "40kB")
        assert open_store(tmp_path / "p.h5").stored.ends == [11, 22, 33, 40]

    @pytest.mark.parametrize(("form", "suffix"), [("zip", ".zip"), ("npz", ".npz"), ("folder", "")])
    def test_other_destinations_are_other_forms_that_can_be_prepared_again(self, photos, tmp_path, capsys, form, suffix):
        run(capsys, "prepare", photos, tmp_path / "p.h5", "--max-bad", "5%")
        code, _, _ = run(capsys, "prepare", tmp_path / "p.h5", tmp_path / f"out{suffix}")
        assert code == 0
        run(capsys, "prepare", tmp_path / f"out{suffix}", tmp_path / "again.h5")
        one, again = open_store(tmp_path / "p.h5"), open_store(tmp_path / "again.h5")
        assert again.labels.tolist() == one.labels.tolist()
        assert (again.rows(np.arange(40)) == one.rows(np.arange(40))).all()

    @pytest.mark.parametrize("flags", [["--size", "big"], ["--size", "0"], ["--fit", "squash"], ["--held-out", "2"],
                                       ["--pad", "x"], ["--background", "nocolour"], ["--box-aspect", "1"],
                                       ["--shard-size", "many"], ["--faces", "a", "--boxes", "b"]], ids=" ".join)  # fmt: skip
    def test_a_flag_that_cannot_be_is_one_sentence(self, photos, tmp_path, capsys, flags):
        code, out, err = run(capsys, "prepare", photos, tmp_path / "p.h5", *flags)
        assert (code, out) == (2, "")
        assert err.startswith(("--", "prepare"))
        assert err.count("\n") == 1


class TestShow:
    def test_data_are_told_with_duplicates_and_advice(self, photos, tmp_path, capsys):
        code, out, _ = run(capsys, "show", photos)
        assert code == 0
        assert "40 of 3 × 30 × 40" in out
        assert "duplicates" in out
        assert "--held-out" in out

    def test_a_page_and_a_sheet_are_written(self, photos, tmp_path, capsys):
        assert run(capsys, "show", photos, "--out", tmp_path / "a.html")[0] == 0
        assert run(capsys, "show", photos, "--out", tmp_path / "a.png")[0] == 0
        assert "broken.png" in (tmp_path / "a.html").read_text()
        assert Image.open(io.BytesIO((tmp_path / "a.png").read_bytes())).format == "PNG"
        code, _, err = run(capsys, "show", photos, "--out", tmp_path / "a.txt")
        assert (code, "[OUT]" in err) == (2, True)

    def test_json_has_what_the_text_has(self, photos, capsys):
        found = json.loads(run(capsys, "show", photos, "--json")[1])
        assert found["counts"] == {"train": 40}
        assert found["duplicates"]["exact"] == 0
        assert Path(found["file"]).is_file()


def test_values_as_they_are_written():
    assert [size(text) for text in (None, "64", "96x64", "96×64")] == [None, 64, (64, 96), (64, 96)]
    assert [colour(text) for text in ("white", "#010203", "1,2,3")] == [(255,) * 3, (1, 2, 3), (1, 2, 3)]
    assert [capacity(text, "") for text in (None, "12", "40kB", "2GB", "1.5 MB")] == [None, 12, 40_000, 2 * 10**9, 1_500_000]
    with pytest.raises(UsageError):
        capacity("0", "--shard-size")


def test_python_hears_the_same_warnings(photos, tmp_path):
    (photos / "cat" / "again.png").write_bytes((photos / "cat" / "1.png").read_bytes())
    heard = []

    class Ears(Listener):
        def say(self, sentence):
            heard.append(sentence)

    api.prepare(photos, tmp_path / "p.h5", max_bad=0.1, listener=Ears())
    assert [sentence.endswith("[DUPLICATE]") for sentence in heard] == [True]


def test_a_run_on_prepared_data_goes_on_with_that_file_and_not_with_what_it_was_made_of(photos, tmp_path):
    api.prepare(photos, tmp_path / "p.h5", 16, max_bad=0.1, fit="stretch")
    run = tmp_path / "run"
    for length in (8, 12):
        api.train("dcgan", None if run.exists() else str(tmp_path / "p.h5"), run, {"batch": 4, "length": length},
                  scoring=Scoring(share=0.0))  # fmt: skip
    assert json.loads((run / "run.json").read_text())["data"]["source"] == str(tmp_path / "p.h5")
    assert api.load(run).state().seen == 12
