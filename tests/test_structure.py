"""The shape of the package: imports point one way, the public names are there, modules stay small."""

import ast
import re
from pathlib import Path

import pytest

import gansaku

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "src" / "gansaku"

# Lower layers first; a module imports from its own layer or below. The first name that fits counts.
LAYERS = [
    ["errors", "faults"],
    ["files", "parts", "keys", "listener", "cache"],
    ["contract", "draws", "ranks"],
    ["losses", "terms", "methods", "latents", "schedules", "targets", "optimizers", "augment", "replay", "render", "metrics"],
    ["annealing", "regularizers", "networks", "data", "hardware", "extractors", "viewer"],
    ["processes"],
    ["recipe"],
    ["recipes", "sampling"],
    ["training"],
    ["evaluation"],
    ["verification"],
    ["health"],
    ["runs"],
    ["experiments"],
    ["launch"],
    ["api", "api_scores"],
    ["api_trials", "api_recipes", "api_arm", "api_walk", "api_latent", "api_view"],
    ["api_compare"],
    ["terminal"],
    ["api_rank"],
    ["cli_values"],
    ["cli_scores", "cli_data", "cli_recipes", "cli_compare", "cli_latent", "cli_view"],
    ["cli"],
    ["__main__"],
]
PURE = ["parts", "keys", "contract", "draws", "ranks", "losses", "terms", "methods", "latents", "schedules", "targets",
        "optimizers", "augment", "replay", "annealing", "regularizers", "metrics", "networks", "recipe", "sampling", "training",
        "health", "render"]  # fmt: skip
WITHOUT_TORCH = ["errors", "faults", "files", "parts", "listener", "cache", "data.store", "data.sources", "data.pictures",
                 "data.overview", "data.page", "render.sheet", "render.voxels", "render.curves", "runs.folder", "runs.log",
                 "runs.manifest", "runs.lock", "runs.interrupts", "metrics.passport", "runs.report", "runs.signals",
                 "runs.summary", "health.meaning", "terminal", "verification.bands", "cli_values", "cli_scores", "cli_data",
                 "cli_recipes", "cli_latent", "api_view", "cli_view", "viewer.page", "viewer.reading", "cli"]  # fmt: skip


def module_name(path):
    return ".".join(path.relative_to(SOURCES).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(p): p for p in sorted(SOURCES.rglob("*.py")) if p.read_text().strip() and p != SOURCES / "__init__.py"}


def imports(path, top_level_only=False):
    """Modules of this package that are imported when the code runs (not for types alone)."""
    found = set()

    def look(nodes):
        for node in nodes:
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
                continue
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.update({node.module, *(f"{node.module}.{alias.name}" for alias in node.names)})
            elif not (top_level_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
                look(ast.iter_child_nodes(node))

    look(ast.parse(path.read_text()).body)
    return found


def own(names):
    return {n.removeprefix("gansaku.") for n in names if n.startswith("gansaku.")} & MODULES.keys()


def layer(name):
    for height, members in enumerate(LAYERS):
        if name in members:
            return height
    for height, members in enumerate(LAYERS):
        if name.split(".")[0] in members:
            return height
    raise AssertionError(f"{name} has no layer")


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_down(name):
    upward = [other for other in own(imports(MODULES[name])) if layer(other) > layer(name)]
    assert upward == []


def test_no_module_imports_itself_through_others():
    edges = {name: own(imports(path, top_level_only=True)) for name, path in MODULES.items()}

    def reachable(name, seen):
        for other in edges[name] - seen:
            seen.add(other)
            reachable(other, seen)
        return seen

    assert [name for name in edges if name in reachable(name, set())] == []


@pytest.mark.parametrize("name", [n for n in MODULES if any(n == p or n.startswith(p + ".") for p in PURE)])
def test_the_arithmetic_touches_no_file_looks_at_no_clock_and_prints_nothing(name):
    text = MODULES[name].read_text()
    assert re.findall(
        r"\b(?:open|print|input)\(|\bimport (?:time|os|pathlib|subprocess|datetime)\b|\.write_|\.item\(\)", text
    ) in (
        [],
        [".item()"] if name in ("training.step", "training.by_hand") else [],
    )


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_what_only_looks_imports_no_torch(name):
    waiting, seen = [name], set()
    while waiting:
        current = waiting.pop()
        seen.add(current)
        found = imports(MODULES[current], top_level_only=True)
        assert not any(other.split(".")[0] in ("torch", "safetensors") for other in found), f"{name} imports it by {current}"
        waiting += own(found) - seen


WRITING = {"write_text", "write_bytes", "rename", "rmtree", "unlink", "mkdir", "makedirs", "rmdir", "touch", "symlink_to",
           "hardlink_to", "truncate", "ftruncate", "tofile", "save_file", "savez", "savetxt", "memmap", "copyfile", "copytree",
           "pwrite", "writelines", "NamedTemporaryFile", "mkstemp", "mkdtemp"}  # fmt: skip


OS = {"open", "replace", "remove", "write", "link", "symlink"}


def writes(tree):
    """Calls that change what is on a disk."""
    found = []

    def look(node):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = ast.unparse(node.func.value)
            reading = node.func.attr == "memmap" and "mode='r'" in ast.unparse(node)
            if (node.func.attr in WRITING and owner != "files" and not reading) or (owner == "os" and node.func.attr in OS):
                found.append(ast.unparse(node))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in WRITING:
            found.append(ast.unparse(node))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            modes = [a.value for a in (*node.args, *(k.value for k in node.keywords)) if isinstance(a, ast.Constant)]
            if re.search(r"(open|File|FileIO)$", ast.unparse(node.func)) and any(
                isinstance(m, str) and set(m) & set("wax+") and len(m) < 4 for m in modes
            ):
                found.append(ast.unparse(node))
        for child in ast.iter_child_nodes(node):
            look(child)

    look(tree)
    return found


def test_only_one_module_writes_files():
    found = {n: calls for n, p in MODULES.items() if n != "files" and (calls := writes(ast.parse(p.read_text())))}
    assert found == {  # libraries that write into a file of `files`, a look at a lock, and where a process talks to
        "data.preparation": ["h5py.File(disk, 'w')", "h5py.File(disk, 'w')"],
        "data.pieces": [
            "os.open(folder, os.O_RDONLY | os.O_CLOEXEC)",
            "os.open(folder, os.O_RDONLY | os.O_CLOEXEC)",
            "np.savez(stream, **parts)",
        ],
        "data.stylegan": ["zipfile.ZipFile(buffered, 'w', zipfile.ZIP_STORED)"],
        "data.exports": [
            "archive.open(stylegan.member(f'{name}.npy'), 'w')",
            "archive.open(stylegan.member(f'x_{split}.npy'), 'w', force_zip64=True)",
        ],
        "data.streaming": [
            "np.savez(content, samples=store.rows(rows), labels=store.labels[rows], about=np.array(json.dumps(about)))"
        ],
        "experiments.local": ["path.open('ab')"],
        "experiments.on_ray": ["open(log, 'ab')"],
        "processes": ["os.write(2, f'{text} [{ranks.LOST}]\\n'.encode())"],
        "runs.lock": ["os.open(folder / NAME, os.O_RDONLY | os.O_CLOEXEC)"],
        "runs.samples": ["zipfile.ZipFile(buffered, 'w', zipfile.ZIP_STORED)"],
    }


def test_the_log_alone_writes_by_itself_since_a_database_must():
    text = {name: path.read_text() for name, path in MODULES.items()}
    assert [name for name in text if "sqlite3.connect" in text[name]] == ["runs.log"]


@pytest.mark.parametrize("line", [
    "path.write_text('x')", "open(p, 'w')", "p.open('ab')", "os.replace(a, b)", "np.memmap(p, mode='w+')", "shutil.rmtree(p)",
    "h5py.File(path, 'w')", "os.open(p, os.O_CREAT)", "save_file(t, p)",
])  # fmt: skip
def test_the_lint_sees_a_write(line):
    assert writes(ast.parse(line)) == [line]


def test_modules_stay_small():
    assert {name: n for name, path in MODULES.items() if (n := len(path.read_text().splitlines())) > 400} == {}


def test_every_public_name_is_there_and_no_module_hides_one():
    for name in gansaku.__all__:
        assert not isinstance(getattr(gansaku, name), type(gansaku)), name
    assert sorted(gansaku.__all__) == sorted(set(gansaku.__all__))
    with pytest.raises(AttributeError, match="no name 'trian'"):
        _ = gansaku.trian


def test_every_public_thing_says_what_it_is():
    silent = []
    for name, path in MODULES.items():
        for node in ast.parse(path.read_text()).body:
            public = isinstance(node, ast.ClassDef) and not node.name.startswith("_")
            if public and not ast.get_docstring(node):
                silent.append(f"{name}.{node.name}")
        if not ast.get_docstring(ast.parse(path.read_text())) and name != "__main__":
            silent.append(name)
    assert silent == []


def test_nothing_unpickles_or_evaluates():
    danger = (
        r"(?<![\w.])(?:eval|exec)\(|pickle|weights_only\s*=\s*False|allow_pickle\s*=\s*True"
        r"|yaml\.load|shell\s*=\s*True|extractall"
    )
    assert {n: found for n, path in MODULES.items() if (found := re.findall(danger, code_of(path)))} == {}


def code_of(path):
    """The code without strings and comments."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.unparse(tree).replace("allow_pickle=False", "")
