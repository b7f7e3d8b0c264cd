"""Scores as a user gets them: the same verbs on the command line and in Python."""

import json

import numpy as np
import pytest

import gansaku
from gansaku.cli import main
from gansaku.errors import UsageError
from gansaku.runs import log, manifest, recorder
from gansaku.runs.live import Scoring

SMALL = {"generator.network.width": 4, "discriminator.network.width": 4, "batch": 8, "length": 160, "precision": "fp32"}
RANDOM = ["--extractor", "random-2d"]


def said(capsys):
    return capsys.readouterr()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Data in a file, and a run on them with checkpoints after 80, 120 and 160 samples."""
    folder = tmp_path_factory.mktemp("scores")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANSAKU_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        patch.setattr(recorder, "CHECKPOINT_SECONDS", 0)
        patch.setattr(recorder, "KEPT", 99)
        rng = np.random.default_rng(0)
        base = rng.integers(0, 255, (60, 4, 4, 3), np.uint8).repeat(4, 1).repeat(4, 2)
        np.savez(folder / "pictures.npz", x=base, y=np.arange(60) % 3)
        np.savez(folder / "others.npz", x=255 - base[:50], y=np.arange(50) % 3)
        run = gansaku.train("dcgan", str(folder / "pictures.npz"), folder / "run", SMALL, scoring=Scoring(share=0))
        assert len(manifest.found(run.folder.checkpoints)) == 20
    return folder


def evaluated(place, capsys, *arguments):
    assert main(["evaluate", *arguments, "--json"]) == 0
    return json.loads(said(capsys).out)["scores"]


def test_a_run_is_scored_against_its_own_data_when_none_are_named(place, capsys):
    (score,) = evaluated(place, capsys, str(place / "run"), *RANDOM, "-n", "40")
    assert (score["name"], score["metric"]) == ("FD-random-2d@40", "fid")
    assert score["interval"][0] <= score["value"] <= score["interval"][1]
    assert (score["passport"]["real"], score["passport"]["seen"]) == ("pictures", 160)
    assert {"n_real", "n_generated", "seed", "extractor", "sha256", "resize", "quantization", "split", "precision", "weights",
            "truncation"} <= score["passport"].keys()  # fmt: skip


def test_pictures_that_another_program_made_are_scored(place, capsys):
    (score,) = evaluated(place, capsys, str(place / "others.npz"), "--against", str(place / "pictures.npz"), *RANDOM)
    assert (score["passport"]["weights"], score["passport"]["n_generated"], score["passport"]["n_real"]) == ("stored", 50, 60)


def test_python_and_the_command_line_give_the_same_number(place, capsys):
    (score,) = evaluated(place, capsys, str(place / "run"), *RANDOM, "-n", "40")
    (again,) = gansaku.evaluate(place / "run", n=40, extractor="random-2d")
    assert again.value == score["value"]


def test_the_scores_of_a_run_are_noted_in_its_log_and_beside_the_checkpoint(place, capsys):
    evaluated(place, capsys, str(place / "run"), *RANDOM, "-n", "20", "--at", "80")
    seen, score = log.scores(place / "run" / "log.sqlite")[-1]
    assert (seen, score.name) == (80, "FD-random-2d@20")
    assert any("FD-random-2d@20" in name for name in manifest.notes(place / "run" / "checkpoints" / f"{80:012d}").scores)
    assert main(["scores", str(place / "run")]) == 0
    assert "FD-random-2d@20" in said(capsys).out


def test_like_scores_of_several_sources_are_compared(place, capsys):
    arguments = [str(place / "run"), str(place / "others.npz"), "--against", str(place / "pictures.npz"), *RANDOM, "-n", "20"]
    assert main(["evaluate", *arguments, "--weights", "raw"]) == 2
    assert "others.npz: is no run" in said(capsys).err
    assert main(["evaluate", *arguments]) == 0
    assert "against run at 160, better" in said(capsys).out


def test_unlike_scores_are_not_compared_unless_forced(place, capsys):
    files = []
    for n in ("20", "40"):
        assert main(["evaluate", str(place / "run"), *RANDOM, "-n", n, "--json"]) == 0
        files.append(place / f"scores-{n}.json")
        files[-1].write_text(said(capsys).out)
    assert main(["scores", *map(str, files)]) == 2
    told = said(capsys)
    assert "not comparable: generated samples: 20 against 40" in told.err
    assert "FD-random-2d@40" in told.out
    assert main(["scores", *map(str, files), "--force"]) == 0
    assert "FD-random-2d@40" in said(capsys).out
    assert main(["scores", str(files[0]), str(files[0])]) == 0
    assert "no difference that these samples can show" in said(capsys).out


def test_each_class_has_its_score(place, capsys):
    found = evaluated(
        place, capsys, str(place / "others.npz"), "--against", str(place / "pictures.npz"), *RANDOM, "--per-class", "-n", "60"
    )
    assert [score["passport"]["label"] for score in found] == ["0", "1", "2"]
    assert all("@" in score["name"] for score in found)


def test_the_bias_curve_says_where_endless_samples_would_be(place, capsys):
    found = evaluated(place, capsys, str(place / "run"), *RANDOM, "-n", "40", "--bias-curve")
    assert [score["name"] for score in found] == ["FD-random-2d@40", "FD-random-2d@∞"]
    assert found[1]["value"] < found[0]["value"]


def test_a_budget_picks_the_number_of_samples_and_says_it(place, capsys):
    (score,) = evaluated(place, capsys, str(place / "run"), *RANDOM, "--budget", "30s")
    assert score["passport"]["n_generated"] == 60
    assert main(["evaluate", str(place / "run"), "--budget", "30s", "-n", "10"]) == 2
    assert "picks the number of samples by itself" in said(capsys).err


def test_the_checkpoints_are_ranked_by_two_judges(place, capsys):
    arguments = ["evaluate", str(place / "run"), "--public", "random-2d", "--private", "random-2d", "-n", "20"]
    assert main(arguments) == 0
    text = said(capsys).out
    assert "train[0:30]" in text
    assert "ρ" in text
    assert main([*arguments, "--json"]) == 0
    ranked = json.loads(said(capsys).out)
    assert len(ranked["checkpoints"]) == 20
    assert main(["evaluate", str(place / "run"), "--public", "random-2d"]) == 2


def test_the_blind_page_shows_both_checkpoints_and_tells_neither(place, capsys):
    for at in ("80", "160"):
        assert main(["evaluate", str(place / "run"), *RANDOM, "-n", "30", "--at", at]) == 0
    page = place / "blind.html"
    assert main(["blind", str(place / "run"), "80", "160", "--out", str(page)]) == 0
    text = page.read_text()
    assert "FD-random-2d" not in text
    assert text.count("<img") >= 48


def test_a_blind_page_without_scores_says_how_to_make_them(place, capsys):
    assert main(["blind", str(place / "run"), "8", "16", "--out", str(place / "none.html")]) == 2
    assert "gansaku evaluate" in said(capsys).err
    assert not (place / "none.html").exists()


def test_the_nearest_training_samples_are_drawn(place, capsys):
    picture = place / "nearest.png"
    assert main(["evaluate", str(place / "run"), *RANDOM, "-n", "20", "--neighbours", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "20 samples of run at 160 against 60 of pictures" in said(capsys).err


def test_a_discriminator_is_probed_by_a_linear_classifier_of_what_it_sees(place, capsys):
    assert main(["probe", str(place / "run"), "--json"]) == 0
    found = json.loads(said(capsys).out)
    assert (found["classes"], found["n_train"], found["n_test"]) == (3, 30, 30)
    assert 0 <= found["accuracy"] <= 1
    assert found["chance"] == pytest.approx(1 / 3, abs=0.2)


def test_data_without_classes_cannot_be_probed(place, capsys):
    random = np.random.default_rng(0)
    np.save(place / "plain.npy", random.integers(0, 255, (9, 16, 16, 3), np.uint8))
    assert main(["probe", str(place / "run"), str(place / "plain.npy")]) == 1
    assert "has no classes to tell apart" in said(capsys).err


def test_every_metric_and_extractor_is_listed(capsys):
    assert main(["scores", "--names", "--json"]) == 0
    names = {one["name"] for one in json.loads(said(capsys).out)}
    assert {"fid", "kid", "is", "mifid", "precision", "recall", "density", "coverage", "swd", "ms_ssim", "checkerboard",
            "replayed", "mmd_iou", "cov_cd", "nna_cd", "jsd", "pieces", "symmetry"} <= names  # fmt: skip
    assert main(["weights", "--json"]) == 0
    assert {"inception-2015", "efficientnet-lite0", "random-2d", "random-3d"} <= {
        one["name"] for one in json.loads(said(capsys).out)
    }


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--metrics", "fud"], "'fud' is no metric; did you mean 'fid'?"),
    (["--metrics", "is"], "needs the 2015 Inception's 1008 classes"),
    (["--metrics", "jsd"], "is for voxels, not for pictures"),
    (["--extractor", "incepton"], "neither an extractor nor a file"),
    (["--split", "valid"], "'valid' is no split"),
    (["--weights", "both"], "'both' is not there"),
    (["--at", "7"], "there is no checkpoint after 7 samples"),
    (["--resize", "nearest"], "is no way in which random-2d resizes"),
    (["--precision", "fp8"], "is no precision"),
    (["-n", "1"], "needs 2 generated samples"),
])  # fmt: skip
def test_what_cannot_be_scored_is_refused_in_a_sentence(place, capsys, arguments, sentence):
    given = arguments if "--extractor" in arguments else [*RANDOM, *arguments]
    assert main(["evaluate", str(place / "run"), *given]) == 2
    error = said(capsys).err
    assert sentence in error
    assert "Traceback" not in error


def test_samples_without_data_to_compare_with_are_refused(place):
    with pytest.raises(UsageError, match="name the data to compare with"):
        gansaku.evaluate(place / "others.npz")


def test_a_set_against_itself_scores_nothing(place):
    (score,) = gansaku.evaluate(place / "others.npz", str(place / "others.npz"), extractor="random-2d", intervals=False)
    assert score.value < 1e-6


def test_a_metric_of_ones_own_is_scored_beside_names(place):
    @gansaku.part
    class Contrast(gansaku.Metric):
        """The mean difference of neighbouring pixels."""

        gives = {"contrast": gansaku.Output("Contrast", "neither")}  # noqa: RUF012
        needs = ("samples",)
        reads_real = False

        def values(self, real, generated, reference=None):
            return {"contrast": float(generated.samples.float().diff(dim=-1).abs().mean())}

    found = gansaku.evaluate(place / "run", names=["fid", Contrast()], n=20, extractor="random-2d")
    assert [score.metric for score in found] == ["fid", "contrast"]


def test_a_report_shows_every_score_with_its_passport(place, capsys):
    evaluated(place, capsys, str(place / "run"), *RANDOM, "-n", "30")
    assert main(["report", str(place / "run")]) == 0
    text = (place / "run" / "report.html").read_text()
    assert "FD-random-2d@30" in text
    assert "Passport" in text
    assert "30 generated samples (ema); 30 real ones of pictures (train); random-2d" in text


def test_show_lists_the_last_scores(place, capsys):
    evaluated(place, capsys, str(place / "run"), *RANDOM, "-n", "30")
    assert main(["show", str(place / "run"), "--json"]) == 0
    assert any("FD-random-2d@30" in one["score"] for one in json.loads(said(capsys).out)["scores"])


@pytest.mark.parametrize("arguments", [
    ["-n", "0"], ["-n", "-5"], ["--real", "-3"], ["--budget", "0s"],
    ["--public", "random-2d", "--private", "random-2d", "--at", "80"],
    ["--neighbours", "x.png", "--weights", "raw"],
])  # fmt: skip
def test_flags_that_make_no_sense_are_refused_in_a_sentence(place, capsys, arguments):
    assert main(["evaluate", str(place / "run"), *([] if "--public" in arguments else RANDOM), *arguments]) == 2
    assert "Traceback" not in said(capsys).err


def test_evaluate_without_anything_says_what_to_name(capsys):
    assert main(["evaluate"]) == 2
    assert "name a run" in said(capsys).err


@pytest.mark.parametrize("content", ['{"scores": 5}', "[]", "{", '{"scores": [{"name": 1}]}'])
def test_a_file_that_holds_no_scores_is_refused_in_a_sentence(tmp_path, capsys, content):
    (tmp_path / "a.json").write_text(content)
    assert main(["scores", str(tmp_path / "a.json")]) == 2
    assert "gansaku evaluate --json" in said(capsys).err


def test_samples_of_one_class_meet_real_ones_of_it(place):
    data = str(place / "pictures.npz")
    found = gansaku.evaluate(place / "others.npz", data, n=60, extractor="random-2d", per_class=True, intervals=False)
    assert [score.passport.split for score in found] == [f"train, class {name}" for name in "012"]
    assert [score.passport.n_real for score in found] == [20, 20, 20]


def test_scores_belong_to_the_checkpoint_that_was_scored_even_if_it_goes_meanwhile(place, monkeypatch):
    run = gansaku.load(place / "run", at=96)
    whole = manifest.place
    monkeypatch.setattr(manifest, "place", lambda folder, seen: whole(folder, 10**9) if seen == 96 else whole(folder, seen))
    (score,) = gansaku.evaluate(run, n=10, extractor="random-2d")
    assert score.passport.seen == 96
    assert (96, score.value) in [(seen, one.value) for seen, one in log.scores(place / "run" / "log.sqlite")]
