"""The commands about recipes, each one call into the api."""

from __future__ import annotations

from typing import Annotated, Any

from gansaku.cli_values import Flag, Json, Positional, Text, Use, size
from gansaku.errors import GansakuError, UsageError
from gansaku.terminal import Terminal, as_comment, listing, number, print_json


def recipes(
    verb: Annotated[str | None, Positional, Flag(metavar="show", help_behavior_hint="")] = None,
    name: Annotated[str | None, Positional, Flag(metavar="NAME", help_behavior_hint="")] = None,
    /,
    *,
    data: Annotated[Text, Flag(metavar="SOURCE")] = None,
    size_: Annotated[Text, Flag(name="size", metavar="SIDE|WxH")] = None,
    use: Use = (),
    as_json: Json = False,
) -> None:
    """List the recipes and what was measured of each, or show one: `gansaku recipes show dcgan`.

    Args:
        verb: `show`, or nothing for the list.
        name: The recipe to show.
        data: Show it as it is for these data.
        size_: For data: resize pictures to squares of this side, or to WIDTHxHEIGHT.
        use: A Python file of your own with recipes.
        as_json: One JSON document on standard output.
    """
    from gansaku import api_recipes

    if verb is None:
        found = api_recipes.recipes(use)
        print_json(found) if as_json else print(listing(found))
        return
    if verb != "show" or name is None:
        raise UsageError(f"recipes {verb}", "say `gansaku recipes` or `gansaku recipes show NAME`", "USAGE")
    one = api_recipes.show_recipe(name, use, data, size(size_))
    print_json(one) if as_json else print(as_comment(one["text"]) + "\n\n" + one["toml"], end="")


def verify(
    name: Annotated[str, Positional, Flag(metavar="NAME", help_behavior_hint="")],
    /,
    *,
    seed: int = 0,
    as_json: Json = False,
) -> None:
    """Run a recipe for some seconds, and see whether its figures land where those of sound runs have landed.

    Exit code 1 when one does not. Nothing is kept.

    Args:
        name: A name of `gansaku recipes`.
        seed: Of weights, data order and noise; the bands hold any.
        as_json: One JSON document on standard output.
    """
    from gansaku import api_recipes

    found = api_recipes.verify(name, seed, Terminal())
    print_json(found) if as_json else print(verdict(found))
    outside = [one["name"] for one in found["figures"] if not one["ok"]]
    if outside:
        sentence = f"{len(outside)} of {len(found['figures'])} figures lie outside their bands: {', '.join(outside)}"
        raise GansakuError(name, sentence, "BAND")


def verdict(found: dict[str, Any]) -> str:
    """Figures with their bands, a line each; what is outside is marked."""
    width = max(len(one["name"]) for one in found["figures"])
    lines = [f"{'':{width}}  {'low':>10}  {'value':>10}  {'high':>10}"]
    for one in found["figures"]:
        value = "not finite" if one["value"] is None else number(one["value"])
        mark = "" if one["ok"] else "  outside"
        lines.append(f"{one['name']:{width}}  {number(one['low']):>10}  {value:>10}  {number(one['high']):>10}{mark}")
    inside = sum(one["ok"] for one in found["figures"])
    settings = ", ".join(f"{path}={value}" for path, value in found["settings"].items())
    lines += [
        "",
        f"{found['name']}: {inside} of {len(found['figures'])} figures inside the bands of {len(found['seeds'])} seeds, "
        f"after {found['cycles']} cycles on the {found['data']}",
        f"reduced: {settings}",
    ]
    return "\n".join(lines)
