"""`gansaku recipes`: the contract of its JSON, and the list that a person reads."""

import json

import pytest

from gansaku import api_recipes
from gansaku.cli import main
from gansaku.errors import UsageError
from gansaku.recipes.registry import Entry, recipes
from gansaku.terminal import WIDE, first_clause, listing, short


@pytest.fixture(scope="module")
def listed():
    return api_recipes.recipes()


def test_the_json_of_recipes_keeps_its_contract(capsys):
    assert main(["recipes", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in found] == list(recipes())
    own = {name for name, entry in recipes().items() if entry.make.__module__.startswith("gansaku.")}  # not another test's
    for one in [one for one in found if one["name"] in own]:
        assert one["source"], one["name"]
        assert one["status"] in ("measured", "trained briefly", "builds")
        assert {"generator", "discriminator"} <= one["parameters"].keys()
        assert all(isinstance(count, int) and count > 0 for count in one["parameters"].values())
        assert one["measured"], one["name"]


def test_recipes_are_listed_with_parameters_of_every_player(listed):
    found = {one["name"]: one for one in listed}
    assert found["gan3d"]["parameters"] == {"generator": 17_569_664, "discriminator": 11_048_704}
    assert found["ac-wgan-gp"]["parameters"].keys() == {"generator", "discriminator", "classifier"}
    assert found["ac-wgan-gp"]["parameters"]["generator"] == 3_894_275


def test_one_recipe_is_shown_as_a_file_that_can_be_used(capsys):
    assert api_recipes.show_recipe("dcgan")["toml"].startswith("shape = [")
    with pytest.raises(UsageError, match="did you mean 'dcgan'"):
        api_recipes.show_recipe("dcgn")
    assert main(["recipes", "show", "gan3d"]) == 0
    assert "Wu et al. 2016" in capsys.readouterr().out


def entry(text, status="builds"):
    def made(facts): ...

    made.__doc__ = text
    return Entry(made, status, (3, 32, 32))


@pytest.mark.parametrize(
    ("text", "status", "says"),
    [
        ("A.\n\nExpect: FID 9.\n        MEASURED: 12 after\n        2 passes.\nWatch:  it.", "builds", "12 after 2 passes."),
        ("A.\n\nExpect: faces after ten\n        minutes.", "measured", "faces after ten minutes."),
        ("A.\n\nExpect: FID 9, as published.", "builds", ""),
        ("A.", "measured", ""),
    ],
)  # fmt: skip
def test_measured_is_what_was_seen_here_and_not_what_others_published(text, status, says):
    assert api_recipes.measured(entry(text, status)) == says


def test_the_list_for_people_fits_its_columns_and_says_everything(listed, capsys):
    assert main(["recipes"]) == 0
    text = capsys.readouterr().out.rstrip("\n")
    assert text == listing(listed)
    assert max(map(len, text.splitlines())) <= WIDE
    paragraphs = {part.split()[0]: " ".join(part.split()) for part in text.split("\n\n")[1:-1]}
    assert paragraphs.keys() == {one["name"] for one in listed}
    for one in listed:
        said = paragraphs[one["name"]]
        wanted = (one["status"], one["summary"], first_clause(one["source"]), one["measured"].rstrip("."))
        assert all(part in said for part in wanted), one["name"]
        assert all(f"{player} {short(count)}" in said for player, count in one["parameters"].items()), one["name"]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("chainer-gan-lib, `dfm`: Adam 1e-4, β (0.5, 0.9).", "chainer-gan-lib, `dfm`"),
        ("Odena et al. 2017, arXiv:1610.09585, eq. 2. Not said there.", "Odena et al. 2017, arXiv:1610.09585, eq. 2"),
        ("article 1; the rates are ours", "article 1"),
        ("", ""),
    ],
)
def test_a_source_is_cut_after_its_first_clause_and_not_within_a_reference(text, first):
    assert first_clause(text) == first


def test_counts_have_three_digits():
    assert [short(n) for n in (42_000_384, 3_894_275, 999_600, 296_896, 999, 1_542_785_000)] == [
        "42.0 M", "3.89 M", "1.00 M", "297 k", "999", "1.54 G",
    ]  # fmt: skip
