"""Any raw file or folder of parts as an SQL relation with named columns: the one place where files are read."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from missrec_pl.errors import DataError
from missrec_pl.prepare.tables.choices import Choices
from missrec_pl.prepare.tables.delimited import names_of, rewritten, straight, told_of
from missrec_pl.prepare.tables.json_objects import cleaned, from_literals, refuse_bad_line, shape_of
from missrec_pl.prepare.tables.lines import Look
from missrec_pl.prepare.tables.lines import look as look_at
from missrec_pl.prepare.tables.packing import kind_of
from missrec_pl.prepare.tables.sniffing import Dialect, sniff
from missrec_pl.prepare.tables.sql import one_line, quoted
from missrec_pl.prepare.tables.table import Table, distinct_names, joined, parts_of, require_file

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MOST_KEYS = 5000
_LAKES = {"_delta_log": "a Delta table, which holds rows that were deleted, too", "metadata": "an Iceberg table"}


@dataclass
class RawFiles:
    """Reads raw files for one working database.

    Attributes:
        connection: The database.
        folder: For temporary files.
        choices: What the user decided.
        say: Called with one line for every file: how it was read.
        warn: Called with one line for what is odd.
    """

    connection: DuckDBPyConnection
    folder: Path
    choices: Choices = field(default_factory=Choices)
    say: Callable[[str], None] = print
    warn: Callable[[str], None] = print
    _looks: dict[Path, Look] = field(default_factory=dict)
    _number: Iterator[int] = field(default_factory=itertools.count)

    def table(self, path: Path, wanted: Sequence[str] = (), names: Sequence[str] | None = None) -> Table:
        """A file of any kind, or a folder of parts of one table, as a relation.

        Args:
            path: CSV or another delimited file, JSON, Parquet or Arrow, packed or not; or a folder of them.
            wanted: Columns that it should have; they help to tell the separator.
            names: Names of the columns of a delimited file without a line of names.

        Raises:
            DataError: It is missing, damaged, of another kind, or how it is to be read cannot be told.
        """
        if path.is_dir():
            return self._parts(path, wanted, names)
        kind = kind_of(require_file(path, "a table: CSV, TSV, JSON lines or Parquet, packed or not"))
        if kind in ("parquet", "arrow"):
            return self._columnar([path], path, kind)
        if kind in ("json", "literals"):
            return self.objects(path)
        return self._delimited(path, wanted, names)

    def dialect(self, path: Path, wanted: Sequence[str] = ()) -> Dialect:
        """How a delimited file is written, and the cells of its first line."""
        return sniff(path, self.look(path), self.choices.of(path), wanted)

    def objects(self, path: Path) -> Table:
        """A file of objects (JSON lines, a list, Python literals), with all keys that any of them has.

        Raises:
            DataError: A line that is none; names it. Or every object has keys of its own.
        """
        import duckdb

        found, is_literals = self.look(path), kind_of(path) == "literals"
        shape = "newline_delimited" if is_literals else shape_of(path, found)
        ready = found.is_clean and not found.surrogates and found.packing in ("", "gzip")
        clean = path if ready and not is_literals else self.new_file("json")
        if is_literals:
            from_literals(path, found, clean)
        elif not ready:
            cleaned(path, found, clean)
        packing = "gzip" if clean == path and found.packing else "none"
        options = f"{quoted(clean)}, format={quoted(shape)}, compression='{packing}', maximum_object_size=67108864"
        try:
            rows, keys = self._counted_keys(options)
        except duckdb.InvalidInputException as error:
            if shape == "newline_delimited":
                refuse_bad_line(path, found)
            raise DataError(f"{path}: {one_line(error)}; mend it, or write one object a line") from error
        if len(keys) > _MOST_KEYS:
            raise DataError(
                f"{path}: more than {_MOST_KEYS:,} keys, such as {keys[0]!r} and {keys[1]!r}; expected objects "
                "with the same keys, and ids as values"
            )
        names = distinct_names(keys, str(path))
        self.say(f"{path.name}: {'Python literals' if is_literals else 'JSON'}, {found}; {rows:,} rows")
        types = ", ".join(f"{quoted(name)}: 'JSON'" for name in names)
        return Table(path, f"read_json({options}, columns={{{types}}})", dict.fromkeys(names, "JSON"), rows)

    def _counted_keys(self, options: str) -> tuple[int, list[str]]:
        objects = f"read_json_objects({options})"
        rows = self.connection.execute(f"SELECT count(*) FROM {objects}").fetchone()
        every = f"SELECT DISTINCT unnest(json_keys(json)) AS key FROM {objects} LIMIT {_MOST_KEYS + 1}"
        query = f"SELECT key FROM ({every}) ORDER BY key"
        return int(rows[0]) if rows else 0, [key for (key,) in self.connection.execute(query).fetchall()]

    def look(self, path: Path) -> Look:
        """What a text file is by its bytes; it is read once."""
        if path not in self._looks:
            self._looks[path] = look_at(path, self.choices.of(path))
        return self._looks[path]

    def new_file(self, suffix: str) -> Path:
        """A name for a temporary file."""
        return self.folder / f"table-{next(self._number)}.{suffix}"

    def _delimited(self, path: Path, wanted: Sequence[str], names: Sequence[str] | None) -> Table:
        found, dialect, choice = self.look(path), self.dialect(path, wanted), self.choices.of(path)
        header = names is None
        known = names_of(path, dialect, wanted) if names is None else list(names)
        types, records = dict.fromkeys(known, "VARCHAR"), None
        if (read := straight(path, found, dialect, known, header)) is None:
            out = self.new_file("parquet")
            records = rewritten(path, found, dialect, known, header, choice, out)
            read = f"read_parquet({quoted(out)})", records.rows
            if records.unclosed:
                self.warn(
                    f"{path}:{records.unclosed[0]}: a quotation mark that is not closed where its cell ends "
                    f"is taken for a letter, in {len(records.unclosed):,} lines; --quote decides otherwise"
                )
        relation, rows = read
        self.say(f"{path.name}: {told_of(dialect, found, records)}; {rows:,} rows")
        return Table(path, relation, types, rows)

    def _columnar(self, files: Sequence[Path], path: Path, kind: str) -> Table:
        if kind == "arrow":
            files = [self._from_arrow(file) for file in files]
        try:
            for file in files:
                distinct_names(pq.read_schema(file).names, str(path if len(files) == 1 else file))
            rows = sum(pq.read_metadata(file).num_rows for file in files)
        except (ValueError, OSError) as error:
            raise DataError(f"{path}: not a readable parquet file ({error})") from error
        listed = ", ".join(quoted(file) for file in files)
        options = "binary_as_string=true, hive_partitioning=true, hive_types_autocast=false, union_by_name=true"
        relation = f"read_parquet([{listed}], {options if len(files) > 1 else 'binary_as_string=true'})"
        described = self.connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
        parts = f", {len(files)} parts" if len(files) > 1 else ""
        self.say(f"{path.name}: {kind.capitalize()}{parts}; {rows:,} rows")
        return Table(path, relation, {name: kind for name, kind, *_ in described}, rows)

    def _from_arrow(self, path: Path) -> Path:
        out = self.new_file("parquet")
        try:
            with pa.memory_map(str(path)) as stream:
                is_stream = stream.read(4) == b"\xff" * 4
                stream.seek(0)
                reader = (pa.ipc.open_stream if is_stream else pa.ipc.open_file)(stream)
                with pq.ParquetWriter(out, reader.schema) as writer:
                    for batch in reader if is_stream else map(reader.get_batch, range(reader.num_record_batches)):
                        writer.write_batch(batch)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path}: not a readable Arrow file ({error}); write it as Parquet") from error
        return out

    def _parts(self, folder: Path, wanted: Sequence[str], names: Sequence[str] | None) -> Table:
        for name, what in _LAKES.items():
            if (folder / name).is_dir():
                raise DataError(f"{folder}: {what}; write its rows as Parquet first")
        files = parts_of(folder)
        if not files:
            raise DataError(f"{folder}: a folder without a file that holds rows; expected the parts of one table")
        kinds = {file: kind_of(file) for file in files}
        if len(set(kinds.values())) > 1:
            first, other = (
                next(file for file in files if kinds[file] == kind) for kind in sorted(set(kinds.values()))[:2]
            )
            raise DataError(
                f"{folder}: a folder of files of several kinds, such as {first.name} and {other.name}; name one "
                "file, or a folder with the parts of one table"
            )
        if (kind := kinds[files[0]]) in ("parquet", "arrow"):
            return self._columnar(files, folder, kind)
        return joined([self.table(file, wanted, names) for file in files], folder)
