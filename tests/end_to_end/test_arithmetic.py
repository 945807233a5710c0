"""The engine's instruction sets and precisions: which may be asked for, and what the file says of them."""

import json

import helpers
import pytest

SETS = ["amx", "avx512", "avx2", "portable"]


@pytest.fixture(scope="module")
def arithmetic(lossatlas, pictures, checkpoint):
    """arithmetic(out, words...) -> (result, settings, loss at the centre)"""

    def run(out, *words):
        done = lossatlas("surface", "--checkpoint", checkpoint, "--data", pictures.words, "--out", out, "--grid", "1x1",
                         "--x", "0:0", "--y", "0:0", *words)
        if done.status != 0:
            return done, None, None
        found = helpers.read(out)
        return done, helpers.settings(out), found["train_loss"][0, 0]

    return run


@pytest.mark.parametrize("name", SETS)
def test_instruction_sets_agree(arithmetic, tmp_path, name):
    done, settings, loss = arithmetic(tmp_path / "s.h5", "--instruction-set", name)
    if done.status != 0:
        assert "this processor does not have it" in done.line()
        pytest.skip(f"no {name} here")
    assert settings["instruction_set"] == name and settings["dtype"] == "fp32"
    _, _, eager = arithmetic(tmp_path / "e.h5", "--engine", "eager")
    assert loss == pytest.approx(eager, rel=1e-5)


def test_bfloat16(arithmetic, tmp_path):
    done, settings, loss = arithmetic(tmp_path / "b.h5", "--dtype", "bf16")
    if done.status != 0:
        assert done.status == 1 and "AMX" in done.line()
        pytest.skip("no matrix unit here")
    assert settings["instruction_set"] == "amx" and settings["dtype"] == "bf16"
    _, _, exact = arithmetic(tmp_path / "f.h5")
    assert loss != exact and loss == pytest.approx(exact, rel=5e-2)


@pytest.mark.parametrize("words, status, culprit", [
    (["--dtype", "fp16"], 2, "--dtype fp16"),
    (["--dtype", "tf32"], 2, "--device cuda"),
    (["--dtype", "bf16", "--instruction-set", "portable"], 1, "AMX"),
    (["--instruction-set", "sse"], 2, "--instruction-set sse"),
    (["--dtype", "bf16", "--engine", "eager"], (1, 2), "bf16"),
])
def test_refused(arithmetic, tmp_path, words, status, culprit):
    done, _, _ = arithmetic(tmp_path / "s.h5", *words)
    assert done.status in (status if isinstance(status, tuple) else (status,))
    assert culprit in done.line() and not (tmp_path / "s.h5").exists()


def test_info_names_the_engine(lossatlas, checkpoint):
    engine = json.loads(lossatlas("info", "--json", checkpoint).ok().out)["engine"]
    assert engine.startswith("fused (") and engine[7:-1] in SETS
