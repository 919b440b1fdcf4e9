"""Models that cannot be served: each is refused in one line, before traffic, and nothing forged is ever unpickled."""

from __future__ import annotations

import pickle

import pytest

from deployments.errors import DigestMismatch, LoadError, SetupError
from deployments.inference.loaders.options import FLAVORS
from deployments.spec.args import LoaderArgs, ModelArgs, VersionArgs
from deployments.versions.build import Builder
from deployments.versions.fetch import Files
from deployments.versions.patience import within
from tests.versions import faulty

SAID = {
    "raises": (faulty.raises, "the weights are damaged"),
    "needs": (faulty.needs, "package_that_nobody_has"),
    "misdeclares": (faulty.misdeclares, r"rows of shape \[2\] in `y`, but declared \[3\]"),
    "wrong_signature": (faulty.wrong_signature, "signature is wrong: its own input example"),
}


@pytest.mark.parametrize("name", SAID)
def test_a_model_that_goes_wrong_is_refused_in_one_line(place, name) -> None:
    """It says what is wrong, without a stack trace."""
    save, said = SAID[name]
    place.register(name, save)
    with pytest.raises(LoadError, match=said) as caught:
        place.replica(name)
    assert "\n" not in caught.value.message


async def test_a_model_that_hangs_is_refused_in_its_time(place) -> None:
    """The replica's start ends, with the name of the setting."""
    place.register("hangs", faulty.hangs)
    with pytest.raises(LoadError, match="load_timeout"):
        await within(8, ModelArgs(name="hangs", version="1"), lambda: place.replica("hangs"))


def test_a_model_that_answers_nan_to_what_was_made_up_has_no_self_check(place) -> None:
    """Zeros were no example of its own, so that proves nothing; and it cannot be held to them later."""
    place.register("nan", faulty.not_finite)
    assert place.replica("nan").self_check is None


def test_a_good_model_is_ready_and_can_check_itself(place) -> None:
    """The other tests of this file would pass if nothing were ever built."""
    place.register("good", faulty.good)
    built = place.replica("good")
    assert [name for name, _ in built.stages] == ["model"]
    assert built.self_check is not None
    built.self_check()


def test_a_forged_pickle_is_not_read(place, tmp_path) -> None:
    """Its marker is not there afterwards; with the digest not asked for, the very same file leaves it."""
    stored = place.register("net", faulty.torch_module)
    marker = tmp_path / "marker"
    faulty.leave_marker(stored, marker)

    with pytest.raises(DigestMismatch, match=r"changed: data/model.pth"):
        place.replica("net")
    assert not marker.exists()

    pickle.loads((stored / "data" / "model.pth").read_bytes()).close()
    assert marker.exists()  # the forgery is a real one


FORGED = {
    "truncated": (lambda folder: (folder / "MLmodel").write_bytes(b""), "changed: MLmodel"),
    "an extra file": (lambda folder: (folder / "extra.py").touch(), "not registered: extra.py"),
    "a missing file": (lambda folder: (folder / "good.py").unlink(), "missing: good.py"),
    "a link out of it": (lambda folder: (folder / "out").symlink_to("/etc/hostname"), "out"),
}


@pytest.mark.parametrize("name", FORGED)
def test_files_that_are_not_those_that_were_registered(place, name) -> None:
    """Each is named."""
    forge, said = FORGED[name]
    forge(place.register("good", faulty.good))
    with pytest.raises(SetupError, match=said):
        place.replica("good")


def test_a_flavour_that_is_not_allowed_is_refused(place, tmp_path) -> None:
    """By the list in the configuration, before its code is imported."""
    place.register("raises", faulty.raises)
    files = Files(place.settings())
    place.files.append(files)
    args = VersionArgs(
        model=ModelArgs(name="raises", version="1"),
        flavors=tuple(each for each in FLAVORS if each != "pyfunc"),
        loader=LoaderArgs(),
    )
    with pytest.raises(LoadError, match="allow"):
        Builder(args, fetch=files.folder_of, gpus=[], cpus=1).build(["model"])
