"""W&B's offline run files, read with W&B's own records: what `wandb sync` would send."""

import json
import struct
import time

from wandb.proto import wandb_internal_pb2 as protocol

SECRETS = {"SHOP_API_KEY": "0123456789-very-secret", "SHOP_PLACE": "value-of-the-environment"}
"""In the environment of the tracked run."""
_HEADER, _BLOCK = 7, 32768


def records_of(folder):
    """The records of the run files below a folder, in order; W&B's own process may still be writing the end."""
    for _ in range(100):
        files = [list(_records(file.read_bytes())) for file in sorted(folder.rglob("*.wandb"))]
        if files and all(any(one.WhichOneof("record_type") == "exit" for one in file) for file in files):
            break
        time.sleep(0.1)
    return [record for file in files for record in file]


def _records(data):
    """The file is a log of blocks; a record may lie in several pieces."""
    assert data[:4] == b":W&B"
    place, whole = _HEADER, b""
    while place + _HEADER <= len(data):
        left = _BLOCK - place % _BLOCK
        if left < _HEADER:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + _HEADER])
        whole += data[place + _HEADER : place + _HEADER + length]
        place += _HEADER + length
        if kind in (1, 4):  # whole, or the last piece
            record = protocol.Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


def of_kind(records, kind):
    """The records of one kind."""
    return [getattr(record, kind) for record in records if record.WhichOneof("record_type") == kind]


def _pairs(updates):
    found = {}
    for one in updates:
        *above, last = one.nested_key or [one.key]
        node = found
        for name in above:
            node = node.setdefault(name, {})
        node[last] = json.loads(one.value_json)
    return found


def config_of(records):
    """The config as W&B ends with it."""
    config = {}
    for one in [*(run.config for run in of_kind(records, "run")), *of_kind(records, "config")]:
        config |= _pairs(one.update)
    return {name: value for name, value in config.items() if name != "_wandb"}


def summary_of(records):
    """The summary as W&B ends with it."""
    summary = {}
    for one in of_kind(records, "summary"):
        summary |= _pairs(one.update)
    return summary


def history_of(records):
    """Rows that were logged."""
    return [_pairs(one.item) for one in of_kind(records, "history")]


def text_of(records):
    """Everything that is sent, as one text; where staged files lie is for `wandb sync` alone."""
    for record in records:
        for entry in record.artifact.manifest.contents:
            entry.ClearField("local_path")
    return "\n".join(map(str, records))
