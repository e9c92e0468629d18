"""Names that leave their folder, in everything that names files."""

from bad_input import case
from native_cases import manifest

_LEAVES = "leaves the domain folder"

for _what, _name in (
    ("a step up", "../../etc/passwd"),
    ("an absolute path", "/etc/passwd"),
    ("a backslash", "..\\text.npy"),
    ("a drive", "C:text.npy"),
    ("a device of Windows", "features/NUL.npy"),
    ("a zero byte", "features/text.npy\0"),
    ("a dot at its end", "features/text.npy."),
    ("nothing", ""),
):

    @case("native", f"a feature file's name with {_what}", "domain.json", _LEAVES)
    def feature_name(folder, name=_name):
        manifest(folder, lambda content: content["modalities"]["text"].update(file=name))

    @case("native", f"a checksum's name with {_what}", "domain.json", _LEAVES)
    def checksum_name(folder, name=_name):
        manifest(folder, lambda content: content["sha256"].update({name: "0"}))


@case("native", "a domain's name that is a path", "domain.json", "is no name of a domain")
def domain_name(folder):
    manifest(folder, lambda content: content.update(name="../../shop"))


@case("native", "a modality's name that is a path", "domain.json", "is no name of a modality")
def modality_name(folder):
    manifest(folder, lambda content: content["modalities"].update({"../x": content["modalities"]["text"]}))


@case("native", "a feature file that is a link out of the folder", "text.npy", "is a link that leads out of")
def linked(folder):
    text = folder / "features" / "text.npy"
    text.rename(folder.parent / "elsewhere.npy")
    text.symlink_to(folder.parent / "elsewhere.npy")


@case("native", "domain.json is a link out of the folder", "domain.json", "is a link that leads out of")
def linked_manifest(folder):
    (folder / "domain.json").rename(folder.parent / "elsewhere.json")
    (folder / "domain.json").symlink_to(folder.parent / "elsewhere.json")


@case("released", "a file that is a link out of the folder", "shop.feat1CLS", "is a link that leads out of")
def linked_features(folder):
    (folder / "shop.feat1CLS").rename(folder.parent / "elsewhere")
    (folder / "shop.feat1CLS").symlink_to(folder.parent / "elsewhere")


for _name in ("../shop", "/etc/shop", "NUL", "a\\b"):

    @case("merged", f"a domain called {_name}", "shop.pt_datasets", "is no name of a domain")
    def listed(folder, name=_name):
        (folder / "shop.pt_datasets").write_text(name)
