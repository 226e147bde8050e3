"""The data sets that lenette knows by name: files, digests, mirrors, classes, licences. Nothing here touches a disk."""

from dataclasses import dataclass
from itertools import chain

from lenette.errors import DataError, nearest


@dataclass(frozen=True)
class File:
    """An IDX file as published: its name without ".gz", its kind (see `idx.read`), and what digests are known."""

    name: str
    kind: str
    sha256: str | None = None
    gz_sha256: str | None = None
    gz_md5: str | None = None


@dataclass(frozen=True)
class Part:
    """The files of a part, and which of their rows belong to it (all, or [start, stop))."""

    images: File
    labels: File
    start: int | None = None
    stop: int | None = None


@dataclass(frozen=True)
class Archive:
    """A zip that holds a set's files as `prefix` + file name + ".gz"."""

    name: str
    prefix: str
    sha256: str


@dataclass(frozen=True)
class Entry:
    """A data set.

    `sizes` counts the images of each part. `folders` are its places below a root, lenette's own first, then
    torchvision's. The labels in its files start at `first_label`.
    """

    name: str
    description: str
    classes: tuple[str, ...]
    sizes: dict[str, int]
    licence: str
    attribution: str
    parts: dict[str, Part]
    mirrors: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    archive: Archive | None = None
    first_label: int = 0
    transposed: bool = False

    @property
    def files(self) -> tuple[File, ...]:
        """Every file of the set, each once."""
        return tuple(dict.fromkeys(chain.from_iterable((part.images, part.labels) for part in self.parts.values())))


DIGITS = tuple("0123456789")
CAPITALS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
SMALL = tuple("abcdefghijklmnopqrstuvwxyz")
# The small letters that EMNIST keeps apart from their capitals; the other 15 look too alike (Cohen et al. 2017, section
# II.B).
UNMERGED_SMALL = tuple("abdefghnqrt")

MNIST_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def four_files(
    gz_sha256: tuple[str | None, ...] = (None,) * 4, sha256: tuple[str | None, ...] = (None,) * 4
) -> dict[str, Part]:
    """Return the parts of a set that is laid out as MNIST is, for its files' digests in the order of MNIST_FILES."""
    train_images, train_labels, test_images, test_labels = (
        File(name, "images" if "images" in name else "labels", content, packed)
        for name, content, packed in zip(MNIST_FILES, sha256, gz_sha256, strict=True)
    )
    return {"train": Part(train_images, train_labels), "test": Part(test_images, test_labels)}


def emnist(split: str, classes: tuple[str, ...], train: int, test: int, *, what: str, first_label: int = 0) -> Entry:
    """Return the entry of one of EMNIST's six splits."""
    return Entry(
        name=f"emnist_{split}",
        description=f"EMNIST {split}: {what}",
        classes=classes,
        sizes={"train": train, "test": test},
        licence="no explicit licence",
        attribution="Cohen, Afshar, Tapson and van Schaik, EMNIST: an extension of MNIST to handwritten letters (2017)",
        parts={
            part: Part(
                File(f"emnist-{split}-{part}-images-idx3-ubyte", "images"),
                File(f"emnist-{split}-{part}-labels-idx1-ubyte", "labels"),
            )
            for part in ("train", "test")
        },
        mirrors=("https://biometrics.nist.gov/cs_links/EMNIST/",),
        folders=("emnist", "EMNIST/raw", "emnist/gzip", "EMNIST/raw/gzip"),
        archive=Archive("gzip.zip", "gzip/", "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e"),
        first_label=first_label,
        transposed=True,
    )


QMNIST_TRAIN = Part(
    File("qmnist-train-images-idx3-ubyte", "images", gz_md5="ed72d4157d28c017586c42bc6afe6370"),
    File("qmnist-train-labels-idx2-int", "table", gz_md5="0058f8dd561b90ffdd0f734c6a30e5e4"),
)
QMNIST_TEST_IMAGES = File("qmnist-test-images-idx3-ubyte", "images", gz_md5="1394631089c404de565df7b7aeaf9412")
QMNIST_TEST_LABELS = File("qmnist-test-labels-idx2-int", "table", gz_md5="5b5b05890a5e13444e108efe57b788aa")

ENTRIES = (
    Entry(
        name="mnist",
        description="MNIST: handwritten digits",
        classes=DIGITS,
        sizes={"train": 60_000, "test": 10_000},
        licence="CC BY-SA 3.0",
        attribution="Yann LeCun, Corinna Cortes and Christopher J. C. Burges, The MNIST database of handwritten digits",
        parts=four_files(
            gz_sha256=(
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
            sha256=(
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
        ),
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "http://yann.lecun.com/exdb/mnist/",
        ),
        folders=("mnist", "MNIST/raw"),
    ),
    Entry(
        name="fashion_mnist",
        description="Fashion-MNIST: pictures of clothes",
        classes=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        sizes={"train": 60_000, "test": 10_000},
        licence="MIT",
        attribution="Han Xiao, Kashif Rasul and Roland Vollgraf, Fashion-MNIST (2017)",
        parts=four_files(
            gz_sha256=(
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            )
        ),
        mirrors=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        ),
        folders=("fashion_mnist", "FashionMNIST/raw"),
    ),
    Entry(
        name="kmnist",
        description="Kuzushiji-MNIST: cursive Japanese characters",
        classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        sizes={"train": 60_000, "test": 10_000},
        licence="CC BY-SA 4.0",
        attribution="KMNIST Dataset (created by CODH), adapted from Kuzushiji Dataset (created by NIJL and others), "
        "doi:10.20676/00000341",
        parts=four_files(
            gz_sha256=(
                "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
                "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
                "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
                "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
            )
        ),
        mirrors=("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
        folders=("kmnist", "KMNIST/raw"),
    ),
    emnist("byclass", DIGITS + CAPITALS + SMALL, 697_932, 116_323, what="digits, capital and small letters"),
    emnist(
        "bymerge",
        DIGITS + CAPITALS + UNMERGED_SMALL,
        697_932,
        116_323,
        what="15 small letters merged with their capitals",
    ),
    emnist(
        "balanced",
        DIGITS + CAPITALS + UNMERGED_SMALL,
        112_800,
        18_800,
        what="as bymerge, as many images for each class",
    ),
    emnist("letters", CAPITALS, 124_800, 20_800, what="letters, capital and small as one class", first_label=1),
    emnist("digits", DIGITS, 240_000, 40_000, what="digits, as many images for each class"),
    emnist("mnist", DIGITS, 60_000, 10_000, what="digits, of MNIST's size"),
    Entry(
        name="qmnist",
        description="QMNIST: MNIST rebuilt; 'extra' is 50,000 test digits on which nobody has tuned",
        classes=DIGITS,
        sizes={"train": 60_000, "test": 10_000, "extra": 50_000},
        licence="BSD-style",
        attribution="Chhavi Yadav and Léon Bottou, Cold case: the lost MNIST digits (2019)",
        parts={
            "train": QMNIST_TRAIN,
            "test": Part(QMNIST_TEST_IMAGES, QMNIST_TEST_LABELS, stop=10_000),
            "extra": Part(QMNIST_TEST_IMAGES, QMNIST_TEST_LABELS, start=10_000),
        },
        mirrors=("https://raw.githubusercontent.com/facebookresearch/qmnist/master/",),
        folders=("qmnist", "QMNIST/raw"),
    ),
    Entry(
        name="optdigits",
        description="scikit-learn's handwritten digits, 8x8 brought to 28x28: embedded, and not MNIST",
        classes=DIGITS,
        sizes={"train": 1_497, "test": 300},
        licence="CC BY 4.0",
        attribution="E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits (UCI, 1998), "
        "doi:10.24432/C50P49",
        parts={},
    ),
)

DATASETS = {entry.name: entry for entry in ENTRIES}


def published(name: str) -> Entry:
    """Return the entry of a set that is made of files; raises DataError where there is none of that name."""
    if name not in DATASETS:
        raise DataError(f"unknown data set '{name}'{nearest(name, DATASETS)}: known are {', '.join(DATASETS)}")
    if not DATASETS[name].parts:
        raise DataError(f"data set '{name}' comes with scikit-learn: it needs neither fetching nor importing")
    return DATASETS[name]
