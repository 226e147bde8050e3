import multiprocessing

import pytest

from lenette import ledger
from lenette.errors import LenetteError
from lenette.ledger import Look

DIGEST = "0" * 64


def opening(number=0, **more):
    return Look(**{"what": "opening", "time": f"t{number}", "run": f"r{number}", "key": f"k{number}", **more})


def test_looks_come_back_in_order_and_belong_to_the_images(tmp_path):
    made = [opening(0), Look(what="every epoch", key="k0", recipe="r"), opening(1, accuracy=0.5, wrong=[1, 2])]
    for each in made:
        ledger.look(tmp_path, DIGEST, each)
    assert ledger.looks(tmp_path, DIGEST) == made
    assert ledger.looks(tmp_path, "1" * 64) == []
    assert ledger.every_look(tmp_path) == {DIGEST: made}
    assert ledger.told(made) == "3 looks (2 runs, 2 recipes)"
    assert ledger.told(made[:1]) == "1 look (1 run, 1 recipe)"


def test_a_torn_line_is_a_look_and_the_next_one_is_whole(tmp_path):
    ledger.look(tmp_path, DIGEST, opening(0))
    with (tmp_path / "looks" / f"{DIGEST}.jsonl").open("a") as record:
        record.write('{"what": "open')
    assert [look.what for look in ledger.looks(tmp_path, DIGEST)] == ["opening", "unreadable"]
    ledger.look(tmp_path, DIGEST, opening(1))
    found = ledger.looks(tmp_path, DIGEST)
    assert [look.what for look in found] == ["opening", "unreadable", "opening"]
    assert ledger.told(found) == "3 looks (2 runs, 1 recipe, 1 damaged line)"


@pytest.mark.parametrize("digest", ["", "../../elsewhere", "A" * 64])
def test_what_is_no_digest_is_refused(digest, tmp_path):
    with pytest.raises(LenetteError, match="the digest of the test images"):
        ledger.look(tmp_path, digest, opening())


def test_a_record_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "looks").write_text("in the way")
    with pytest.raises(LenetteError, match="can't write down the look"):
        ledger.look(tmp_path, DIGEST, opening())


def _look_often(store, first):
    for number in range(first, first + 20):
        ledger.look(store, DIGEST, opening(number))


def test_many_processes_write_one_record(tmp_path):
    context = multiprocessing.get_context("spawn")
    made = [context.Process(target=_look_often, args=(tmp_path, first)) for first in (0, 20)]
    for each in made:
        each.start()
    for each in made:
        each.join()
    assert sorted(look.key for look in ledger.looks(tmp_path, DIGEST)) == sorted(f"k{number}" for number in range(40))
