import subprocess
import sys

import pytest
import torch

from cryopick.train.optimizer import Adam


def parameters(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(n, 3, generator=generator)) for n in (1, 4, 2)]


def descend(weights, optimizer, steps, first=0):
    """Minimize a quartic function that omits the third weight in every third step."""
    for number in range(first, first + steps):
        optimizer.zero_grad()
        bowl = sum((w**4).sum() for w in (weights if number % 3 else weights[:2]))
        torch.autograd.backward(bowl)
        yield 0.1 / (1 + number)


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_steps_equal_those_of_the_torch_optimizer(decay):
    ours, theirs = parameters(), parameters()
    mine = Adam(ours, weight_decay=decay)
    known = torch.optim.Adam(theirs, weight_decay=decay)

    for rate in descend(ours, mine, 8):
        mine.step(rate)
    for rate in descend(theirs, known, 8):
        known.param_groups[0]["lr"] = rate
        known.step()

    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)
    for number, moments in known.state_dict()["state"].items():
        for name, value in moments.items():
            assert torch.equal(mine.state_dict()["state"][number][name], value)


def test_a_restored_state_continues_the_same_steps():
    straight, cut = parameters(), parameters()
    one, other = Adam(straight), Adam(cut)
    for rate in descend(straight, one, 7):
        one.step(rate)
    for rate in descend(cut, other, 3):
        other.step(rate)
    resumed = Adam(cut)
    resumed.load_state_dict(other.state_dict())
    for rate in descend(cut, resumed, 4, first=3):
        resumed.step(rate)

    assert all(torch.equal(a, b) for a, b in zip(straight, cut, strict=True))


@pytest.mark.parametrize("spoil", ["missing", "shape", "number"])
def test_a_state_of_other_parameters_is_refused(spoil):
    weights = parameters()
    optimizer = Adam(weights)
    for rate in descend(weights, optimizer, 2):
        optimizer.step(rate)
    state = {number: dict(moments) for number, moments in optimizer.state.items()}
    if spoil == "missing":
        del state[0]["exp_avg"]
    elif spoil == "shape":
        state[1]["exp_avg"] = torch.zeros(7)
    else:
        state[9] = state[0]

    with pytest.raises(ValueError, match="of the optimizer"):
        Adam(parameters()).load_state_dict({"state": state})


def test_no_compiler_is_loaded():
    code = (
        "import sys, torch; from cryopick.train.optimizer import Adam; "
        "w = torch.nn.Parameter(torch.ones(3)); a = Adam([w]); w.sum().backward(); a.step(0.1); "
        "print(float(w[0].detach()), 'torch._dynamo' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    value, is_loaded = done.stdout.split()
    assert (round(float(value), 4), is_loaded) == (0.9, "False")
