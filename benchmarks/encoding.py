"""Throughput of pictures to features beside its limits: decoding alone, encoding alone, both together.

python benchmarks/encoding.py [--encoder efficientnet-lite0] [--model FOLDER] [--pictures FOLDER] [--count 256]

Without ``--pictures`` it makes JPEGs of 500 x 500 pixels. Items a second of wall and of CPU time: on a machine
that others use, too, the second is the steadier.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from missrec_pl.prepare.encoders.base import ImageEncoder
from missrec_pl.prepare.encoders.registry import EncoderChoice
from missrec_pl.prepare.features.jobs import ImageJob
from missrec_pl.prepare.features.pictures import read_picture
from missrec_pl.prepare.features.store import CHUNK_ROWS


def write_pictures(folder: Path, count: int) -> None:
    random = np.random.default_rng(0)
    for number in range(count):
        pixels = random.integers(0, 255, (60, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((500, 500), Image.Resampling.BICUBIC).save(
            folder / f"{number}.jpg", quality=90
        )


def timed(name: str, count: int, work: Callable[[], object]) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{name:<24}{count / wall:>9.1f} items/s{count / cpu:>9.1f} items/CPU s", flush=True)


def measure(encoder: ImageEncoder, files: list[Path], workers: int, batch_size: int) -> None:
    preprocessing = encoder.preprocessing
    pixels: list[np.ndarray] = []

    def decode() -> None:
        with ThreadPoolExecutor(workers) as pool:
            pixels.extend(read for _, read, _ in pool.map(lambda file: read_picture(file, preprocessing), files))

    def encode() -> None:
        for start in range(0, len(pixels), batch_size):
            encoder.encode_images(np.stack(pixels[start : start + batch_size]))

    def together() -> None:
        spans = (slice(start, min(start + CHUNK_ROWS, len(files))) for start in range(0, len(files), CHUNK_ROWS))
        job = ImageJob(encoder, [[str(file)] for file in files], Path(), batch_size, workers)
        assert sum(len(chunk.status) for chunk in job.encoded(spans))

    timed(f"decode, {workers} threads", len(files), decode)
    timed("encode", len(files), encode)
    timed("decode and encode", len(files), together)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="efficientnet-lite0")
    parser.add_argument("--model")
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=8)
    arguments = parser.parse_args()
    encoder = EncoderChoice(arguments.encoder, arguments.model).build()
    assert isinstance(encoder, ImageEncoder), "this encoder encodes no pictures"
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.pictures or Path(name)
        if arguments.pictures is None:
            write_pictures(folder, arguments.count)
        files = sorted(folder.glob("*.jpg"))[: arguments.count]
        print(f"{len(files)} pictures, batches of {arguments.batch_size}, {encoder.preprocessing}")
        measure(encoder, files, arguments.workers, arguments.batch_size)


if __name__ == "__main__":
    main()
