"""Rows of Parquet files are pictures with classes and splits, read in any order by any thread; damage is told at once."""

import json
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from making import RED, error_of, picture

from gansaku.data import parquet
from gansaku.data.layouts import places
from gansaku.data.parquet import in_parquet
from gansaku.data.sources import open_data
from gansaku.data.tally import Bad, Tally
from gansaku.errors import DataError, GansakuError, UsageError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

PICTURES = [picture(RED, form=form) for form in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF")]


def structs(contents):
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.array(
        [content if not isinstance(content, bytes) else {"bytes": content, "path": "p"} for content in contents], kind
    )


def written(path, *, names=None, group=2, **columns):
    """A file with these columns; `names` has the class names of some."""
    table = pa.table(columns)
    if names is not None:
        about = {"info": {"features": {label: {"names": given, "_type": "ClassLabel"} for label, given in names.items()}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(about)})
    path.parent.mkdir(exist_ok=True)
    pq.write_table(table, path, row_group_size=group)
    return path


def read(paths, tally=None):
    """(name -> content, or the code why not; the tree)."""
    with in_parquet(paths if isinstance(paths, list) else [paths], tally or Tally(source="data.parquet")) as tree:
        content = {}
        for name in tree.names:
            try:
                entry = tree.entry(name)
                content[name] = entry.open().read()
                assert entry.size == len(content[name])
            except Bad as bad:
                content[name] = bad.code
        return content, tree


class TestContent:
    @pytest.mark.parametrize("column", [
        structs(PICTURES), pa.array(PICTURES), pa.array(PICTURES, pa.large_binary()), pa.array(PICTURES).dictionary_encode(),
    ], ids=["structs", "bytes", "long bytes", "dictionary"])  # fmt: skip
    def test_every_row_is_a_file_named_by_its_number_and_its_bytes(self, tmp_path, column):
        content, _ = read(written(tmp_path / "train-0.parquet", image=column))
        assert [*content.values()] == PICTURES
        assert [*content] == [f"train/{i}.{end}" for i, end in enumerate(("png", "jpg", "gif", "bmp", "webp", "tif"))]

    def test_classes_have_the_names_of_the_metadata(self, tmp_path):
        path = written(
            tmp_path / "d.parquet", image=structs(PICTURES), label=[0, 1, 1, -1, None, 0], names={"label": ["cat", "dog"]}
        )
        labels = read(path)[1].labels
        assert labels == {"train/0.png": "cat", "train/1.jpg": "dog", "train/2.gif": "dog", "train/5.tif": "cat"}

    @pytest.mark.parametrize(("label", "values", "expected"), [
        ("label", [3, 12, 3], ["3", "12", "3"]),
        ("labels", ["a", "b", "a"], ["a", "b", "a"]),
        ("fine_label", [1, 0, 1], ["f1", "f0", "f1"]),
    ])  # fmt: skip
    def test_classes_go_by_several_names_and_types(self, tmp_path, label, values, expected):
        columns = {"img": structs(PICTURES[:3]), label: values, "coarse_label": [9, 9, 9]}
        tree = read(written(tmp_path / "d.parquet", names={"fine_label": ["f0", "f1"]}, **columns))[1]
        assert [tree.labels[name] for name in tree.names] == expected

    @pytest.mark.parametrize(("files", "expected"), [
        (["train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"], ["train/0", "train/1", "test/0"]),
        (["test-0", "train-0", "validation-0"], ["test/0", "train/0", "validation/0"]),
        (["train/0000", "test/0000"], ["train/0", "test/0"]),
        (["training-0", "test-0"], ["train/0", "test/0"]),
        (["0000", "0001"], ["train/0", "train/1"]),
        (["test-0", "validation-0"], ["train/0", "train/1"]),
    ])  # fmt: skip
    def test_the_split_is_in_the_name_and_rows_are_counted_through(self, tmp_path, files, expected):
        paths = [written(tmp_path / f"{stem}.parquet", image=structs([b"%d" % i])) for i, stem in enumerate(files)]
        content, tree = read(paths)
        assert content == {f"{name}.png": b"%d" % i for i, name in enumerate(expected)}
        found = dict(zip(tree.names, places("", tree.names, tree), strict=True))
        assert all(place.split == ("train" if name.startswith("train") else "test") for name, place in found.items())
        assert {place.label for place in found.values()} == {""}

    def test_rows_without_bytes_are_bad(self, tmp_path):
        rows = [b"x", {"bytes": None, "path": "elsewhere.png"}, None, b"y"]
        content, _ = read(written(tmp_path / "d.parquet", image=structs(rows)))
        assert [*content.values()] == [b"x", "PARQUET_PATH", "PARQUET_PATH", b"y"]

    def test_any_order_and_many_threads_read_the_same_in_bounded_memory(self, tmp_path, monkeypatch):
        rows = [random.Random(i).randbytes(50 + i % 7) for i in range(900)]
        path = written(tmp_path / "d.parquet", image=structs(rows), group=400)
        monkeypatch.setattr(parquet, "KEPT", 6000)
        monkeypatch.setattr(parquet, "ROWS", 8)
        with in_parquet([path], Tally()) as tree, ThreadPoolExecutor(8) as pool:
            order = [*range(900), *random.Random(0).sample(range(900), 300)]
            found = pool.map(lambda i: tree.entry(f"train/{i}.png").open().read(), order)
            assert list(found) == [rows[i] for i in order]

    def test_what_is_kept_is_bounded_and_reading_on_decodes_nothing_twice(self, tmp_path, monkeypatch):
        path = written(tmp_path / "d.parquet", image=structs([bytes(100)] * 400), group=400)
        monkeypatch.setattr(parquet, "KEPT", 2000)
        monkeypatch.setattr(parquet, "ROWS", 8)
        reader, decoded = parquet.Reader(), []
        monkeypatch.setattr(parquet, "contents", lambda column: decoded.append(len(column)) or [b"x" * 100] * len(column))
        with parquet.shard(path) as shard:
            for i in range(400):
                reader.row(shard, i)
            assert sum(decoded) == 400
            assert reader.size <= 2000
            assert len(reader.places) == 1

    def test_pyarrow_is_asked_for_by_name(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        error = error_of(UsageError, read, tmp_path / "d.parquet")
        assert "gansaku[parquet]" in str(error)


class TestHostile:
    def test_the_metadata_of_columns_are_not_looked_at_since_damaged_ones_end_the_process(self):
        group = SimpleNamespace(num_rows=5, total_byte_size=1 << 25)  # and no `column`
        metadata = SimpleNamespace(num_row_groups=2, row_group=lambda number: group)
        assert parquet.groups(metadata, 1 << 25) == ([0, 5, 10], [2, 2])

    @pytest.mark.parametrize("columns", [
        {"a": [1], "b": ["x"]}, {"image": [1]}, {"a": pa.array([b"x"]), "b": pa.array([b"y"])},
    ], ids=["none", "numbers", "two"])  # fmt: skip
    def test_a_table_without_pictures_says_what_it_holds(self, tmp_path, columns):
        error = error_of(DataError, read, written(tmp_path / "d.parquet", **columns))
        assert error.code == "PARQUET_COLUMNS"
        assert repr(next(iter(columns))) in str(error)

    def test_a_table_without_rows_is_an_empty_tree(self, tmp_path):
        assert read(written(tmp_path / "d.parquet", image=structs([])))[0] == {}

    def test_a_label_beyond_the_names_is_refused(self, tmp_path):
        path = written(tmp_path / "d.parquet", image=structs(PICTURES[:1]), label=[2], names={"label": ["a", "b"]})
        assert error_of(DataError, read, path).code == "LABELS"

    @pytest.mark.parametrize("metadata", [
        b"", b"[", b"[" * 100_000, b"{}", b'{"info": 3}', b'{"info": {"features": {"label": []}}}',
        b'{"info": {"features": {"label": {"names": 7}}}}',
    ], ids=range(7))  # fmt: skip
    def test_metadata_that_say_nothing_count_for_nothing(self, tmp_path, metadata):
        table = pa.table({"image": structs(PICTURES[:1]), "label": [4]}).replace_schema_metadata({"huggingface": metadata})
        pq.write_table(table, tmp_path / "d.parquet")
        assert read(tmp_path / "d.parquet")[1].labels == {"train/0.png": "4"}

    @pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" * 3, b"PAR1" + b"\xff" * 4 + b"PAR1", b"garbage" * 99])
    def test_what_is_no_parquet_is_refused(self, tmp_path, content):
        (tmp_path / "d.parquet").write_bytes(content)
        error = error_of(DataError, read, tmp_path / "d.parquet")
        assert error.code == "PARQUET_CORRUPT"
        assert "d.parquet: " in str(error)

    @pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 0.999])
    def test_a_file_cut_short_is_refused(self, tmp_path, keep):
        path = written(tmp_path / "d.parquet", image=structs(PICTURES * 20))
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
        assert error_of(DataError, read, path).code == "PARQUET_CORRUPT"

    def test_a_value_repeated_in_no_space_is_a_bomb(self, tmp_path):
        column = pa.DictionaryArray.from_arrays(pa.array([0] * 100_000, pa.int32()), pa.array([bytes(1 << 18)]))
        path = written(tmp_path / "d.parquet", image=column, group=100_000)
        assert path.stat().st_size < 200_000
        with pytest.raises(DataError, match="bomb") as caught, in_parquet([path], Tally()):
            pass
        assert caught.value.code == "PARQUET_CORRUPT"

    def test_rows_are_decoded_so_few_at_a_time_that_the_longest_would_fit(self, tmp_path):
        path = written(
            tmp_path / "d.parquet", image=structs([bytes(random.Random(0).randbytes(1 << 21)), *[b""] * 500]), group=501
        )
        with parquet.shard(path) as shard:
            assert shard.steps == [parquet.KEPT // pq.ParquetFile(path).metadata.row_group(0).total_byte_size]

    def test_any_byte_changed_gives_a_tree_or_a_sentence(self, tmp_path):
        path = written(
            tmp_path / "d.parquet", image=structs(PICTURES), label=[0, 1, 1, 0, 1, 0], names={"label": ["cat", "dog"]}
        )
        given, dice = path.read_bytes(), random.Random(0)
        ends = set()
        for _ in range(200):
            changed = bytearray(given)
            changed[dice.randrange(len(changed))] = dice.randrange(256)
            path.write_bytes(changed)
            try:
                ends.add(len(read(path)[0]))
            except GansakuError as error:
                ends.add(error.code)
        assert {6, "PARQUET_CORRUPT"} <= ends


def test_an_open_file_that_is_damaged_meanwhile_is_a_damaged_row(tmp_path):
    path = written(tmp_path / "d.parquet", image=structs([random.Random(i).randbytes(100_000) for i in range(20)]), group=10)
    with in_parquet([path], Tally()) as tree:
        with path.open("r+b") as file:
            file.seek(4)
            file.write(b"\xff" * 900_000)
        with pytest.raises(ValueError, match="thrift"):
            tree.entry("train/0.png").open()


def test_classes_keep_the_order_of_their_numbers(tmp_path):
    contents = [picture((n, 0, 0)) for n in range(6)]
    path = written(tmp_path / "d" / "a.parquet", names={"label": ["red", "green", "blue"]}, image=structs(contents),
                   label=[2, 1, 0] * 2)  # fmt: skip
    dataset = open_data(str(path), cache=tmp_path / "cache")
    assert dataset.classes == ("red", "green", "blue")
    assert dataset.labels.tolist() == [2, 1, 0] * 2
