"""Half precision, compilation and pinned memory: faster ways to the same answers."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from deployments.errors import LoadError
from deployments.inference.loaders import load
from deployments.inference.loaders.options import LoadOptions
from tests.inference.loaders import digits

# A half has 11 bits of mantissa, a bfloat16 has 8; the logits of these images reach 20.
TOLERANCES = {"float16": 0.05, "bfloat16": 0.5}


@pytest.fixture(scope="module")
def trained():
    return digits.trained()


@pytest.fixture(scope="module")
def folders(tmp_path_factory, trained):
    """The trained perceptron in both forms that are called differently."""
    home = tmp_path_factory.mktemp("options")
    for form in ("exported", "pickled", "torchscript"):
        (home / form / "data").mkdir(parents=True)
        (home / form / "MLmodel").write_text("flavors: {pytorch: {model_data: data}}")
    torch.save(trained, home / "pickled" / "data" / "model.pth")
    export(trained, home / "exported")
    torch.jit.save(
        torch.jit.trace(trained, torch.zeros(2, 8, 8)), home / "torchscript/data/model.pth"
    )
    return home


def export(module, folder) -> None:
    shapes = ({0: torch.export.Dim.AUTO},)
    program = torch.export.export(module, (torch.zeros(2, 8, 8),), dynamic_shapes=shapes)
    torch.export.save(program, folder / "data" / "model.pt2")


def loaded(folder, **options):
    return load(
        folder, device="cpu", threads=1, options=LoadOptions(**options), signature=digits.SIGNATURE
    )


@pytest.mark.parametrize("precision", TOLERANCES)
@pytest.mark.parametrize("form", ["exported", "pickled", "torchscript"])
def test_half_precision_answers_nearly_the_same(folders, trained, form, precision):
    """In float32, close by, and with the same digit for (all but one in five hundred of) the images."""
    ours = loaded(folders / form, precision=precision)({"image": digits.images()[0]})["logits"]

    theirs = digits.logits(trained)
    assert ours.dtype == np.float32
    assert 0 < np.abs(ours - theirs).max() < TOLERANCES[precision]
    # Where the two likeliest digits lie closer than a half can tell apart, either is as good.
    apart = np.diff(np.sort(theirs, axis=1)[:, -2:], axis=1)[:, 0] > 2 * TOLERANCES[precision]
    assert apart.mean() > 0.8
    assert (ours.argmax(1) == theirs.argmax(1))[apart].all()


class Careful(torch.nn.Module):
    """Computes a part in full precision, whatever the rest does."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.softmax(image.flatten(1).to(torch.float64), dim=1)


class Constant(torch.nn.Module):
    """Adds a tensor that is neither a parameter nor a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = torch.full((64,), 0.5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.flatten(1) + self.shift


def written(tmp_path, module):
    (tmp_path / "data").mkdir()
    (tmp_path / "MLmodel").write_text("flavors: {pytorch: {model_data: data}}")
    export(module, tmp_path)
    return tmp_path


def test_an_export_that_fixes_a_type_is_not_halved(tmp_path):
    """What the author computes in full precision is not second-guessed: the ways out are named."""
    folder = written(tmp_path, Careful())

    with pytest.raises(LoadError, match=r"cannot be run in bfloat16: its graph fixes a type in"):
        loaded(folder, precision="bfloat16")
    assert loaded(folder)({"image": digits.images()[0][:2]})["logits"].dtype == np.float64


def test_an_exports_constants_are_halved_too(tmp_path):
    """Else they would raise the whole computation to float32 again, or fail within it."""
    model = loaded(written(tmp_path, Constant()), precision="float16")
    one = np.full((1, 8, 8), 1 / 3, np.float32)

    ours = model({"image": one})["logits"]

    assert ours.ravel()[0] == np.float32(np.float16(1 / 3) + np.float16(0.5))


@pytest.mark.parametrize("form", ["exported", "pickled"])
def test_a_compiled_model_answers_the_same(folders, trained, form):
    """At any number of rows, from another thread, and without compiling again but for a single row."""
    from torch._dynamo.utils import counters

    torch.compiler.reset()
    counters.clear()
    model = loaded(folders / form, compile=True)
    assert counters["stats"]["unique_graphs"] == 1, "compiled before the first request"
    answers = {}

    def call() -> None:
        for rows in (2, 64, 7):
            answers[rows] = model({"image": digits.images()[0][:rows]})["logits"]

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()

    assert counters["stats"]["unique_graphs"] == 1
    for rows, ours in answers.items():
        np.testing.assert_allclose(ours, digits.logits(trained)[:rows], rtol=1e-5, atol=1e-5)


def test_without_a_signature_it_is_compiled_at_its_first_call(tmp_path, caplog):
    """What to call it with is not known before; the log says that a request will wait for it."""
    (tmp_path / "data").mkdir()
    (tmp_path / "MLmodel").write_text("flavors: {pytorch: {model_data: data}}")
    torch.save(torch.nn.ReLU(), tmp_path / "data" / "model.pth")

    model = load(tmp_path, device="cpu", threads=1, options=LoadOptions(compile=True))

    assert "is compiled at its first request" in caplog.text
    assert model({"input": np.float32([-1, 1])})["output"].tolist() == [0, 1]


def test_torchscript_is_not_compiled_twice(folders):
    """`torch.compile` does not take it; silence would hide that the option does nothing."""
    with pytest.raises(LoadError, match=r"is TorchScript, which torch\.compile does not take"):
        loaded(folders / "torchscript", compile=True)


def test_without_a_compiler_it_is_told(folders, monkeypatch):
    """The image may have none; the message says what to install."""
    import torch._inductor.config

    torch.compiler.reset()
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", ("/no/such/compiler",))
    monkeypatch.setattr(torch._inductor.config, "force_disable_caches", True)

    with pytest.raises(LoadError, match=r"no working C\+\+ compiler here: install g\+\+"):
        loaded(folders / "pickled", compile=True)


def test_pinned_memory_says_nothing_to_a_processor(folders, trained):
    """One configuration may serve on both: the option is for a GPU alone."""
    ours = loaded(folders / "exported", pin_memory=True)({"image": digits.images()[0]})["logits"]

    np.testing.assert_allclose(ours, digits.logits(trained), atol=1e-5)


# Page-locked memory and half precision on a GPU can only be shown on one; their other halves are tested above.
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("precision", ["float32", *TOLERANCES])
def test_pinned_memory_answers_the_same_on_a_gpu(folders, trained, precision):
    """And half precision does there, too."""
    model = load(
        folders / "exported",
        device="cuda:0",
        threads=1,
        options=LoadOptions(pin_memory=True, precision=precision),
        signature=digits.SIGNATURE,
    )

    ours = model({"image": digits.images()[0]})["logits"]

    tolerance = TOLERANCES.get(precision, 1e-2)
    np.testing.assert_allclose(ours, digits.logits(trained), atol=tolerance)
