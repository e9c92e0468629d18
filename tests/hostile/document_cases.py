"""Manifests that are JSON and yet cannot be taken."""

from bad_input import case
from native_cases import manifest


def _with(folder, entry):
    file = folder / "domain.json"
    file.write_text(file.read_text().rstrip().removesuffix("}") + "," + entry + "}")


@case("native", "domain.json with a key twice", "domain.json: not valid JSON", "'name' comes twice")
def twice(folder):
    _with(folder, '"name": "b"')


@case("native", "domain.json with NaN", "domain.json: not valid JSON", "NaN is no number of JSON")
def not_a_number(folder):
    _with(folder, '"x": NaN')


@case("native", "domain.json with an infinite number", "domain.json: not valid JSON", "1e999 is too large")
def infinite(folder):
    _with(folder, '"x": 1e999')


@case("native", "domain.json with a number of 5,000 digits", "domain.json: not valid JSON", "5000 digits")
def digits(folder):
    _with(folder, '"x": ' + "9" * 5000)


@case("native", "domain.json of a terabyte", "domain.json: larger than")
def large(folder):
    with (folder / "domain.json").open("r+b") as stream:
        stream.truncate(1 << 40)


@case("native", "a count beyond all numbers", "domain.json: missing or wrong entry", "a count of 1000000")
def count(folder):
    manifest(folder, lambda content: content["counts"].update(items=10**200))


@case("native", "a count of less than nothing", "domain.json: missing or wrong entry", "a count of -1")
def negative(folder):
    manifest(folder, lambda content: content["counts"].update(users=-1))
