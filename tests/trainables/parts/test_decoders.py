import pytest
import torch
from torch import Tensor, nn

from trainables.parts.decoders import Decoder, DilatedDecoder, LSTMDecoder
from trainables.parts.part import KnobError
from trainables.parts.sizes import Sizes

SIZES = Sizes(embedding_size=5, hidden_size=12, latent_size=3)
WORDS = 11
DECODERS = [LSTMDecoder(), DilatedDecoder(), DilatedDecoder(dilation="M"), DilatedDecoder(dilation="3-1")]
SKIPPING = [LSTMDecoder(skip_connections=True), DilatedDecoder(dilation="1-3", skip_connections=True)]


def name(decoder: Decoder) -> str:
    return decoder.label + ("-skip" if decoder.knobs()["skip_connections"] else "")


def build(decoder: Decoder) -> nn.Module:
    torch.manual_seed(4)
    module = decoder.build(WORDS, SIZES, SIZES.latent_size).double().eval()
    for parameter in module.parameters():  # larger than at first, so that distant influence is no rounding
        nn.init.uniform_(parameter, -0.7, 0.7)
    return module


def draw(sentences: int, length: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(5)
    return torch.randint(WORDS, (sentences, length)), torch.randn(sentences, SIZES.latent_size).double()


def influence(module: nn.Module, length: int, positions: range) -> dict[int, list[int]]:
    """For each output position the input positions whose embedding has a gradient that is not exactly 0."""
    inputs_BT, z_BZ = draw(6, length)
    embedded: list[Tensor] = []
    assert isinstance(module.embedding, nn.Embedding)
    hook = module.embedding.register_forward_hook(lambda _, __, output: embedded.append(output))
    logits_BTV = module(inputs_BT, z_BZ)
    hook.remove()
    found = {}
    for t in positions:
        scalar = (logits_BTV[:, t] * torch.randn(WORDS).double()).sum()
        (gradient_BTE,) = torch.autograd.grad(scalar, embedded[0], retain_graph=True)
        found[t] = gradient_BTE.abs().amax((0, 2)).nonzero().flatten().tolist()
    return found


@pytest.mark.parametrize(
    ("dilation", "dilations", "field"),
    [
        ("S", (1, 2, 4), 15),
        ("M", (1, 2, 4, 8, 16), 63),
        ("L", (1, 2, 4, 8, 16, 1, 2, 4, 8, 16), 125),
        ("VL", (1, 2, 4, 8, 16) * 3, 187),
        ("1", (1,), 3),
        ("2-5", (2, 5), 15),
    ],
)
def test_the_receptive_field_is_exact(dilation: str, dilations: tuple[int, ...], field: int) -> None:
    decoder = DilatedDecoder(dilation=dilation)
    assert decoder.dilations == dilations
    assert decoder.receptive_field == field
    last = field + 4
    seen = influence(build(decoder), field + 7, range(last, last + 1))[last]
    assert seen[0] == last - field + 1
    assert seen[-1] == last
    if 1 in dilations:
        assert seen == list(range(last - field + 1, last + 1))


def test_every_position_of_s_sees_the_last_15_words_and_no_other() -> None:
    for t, seen in influence(build(DilatedDecoder()), 24, range(24)).items():
        assert seen == list(range(max(0, t - 14), t + 1))


def test_the_lstm_decoder_sees_all_words_before_and_none_after() -> None:
    for t, seen in influence(build(LSTMDecoder()), 12, range(12)).items():
        assert seen == list(range(t + 1))


@pytest.mark.parametrize("decoder", DECODERS + SKIPPING, ids=name)
def test_later_inputs_do_not_change_an_output(decoder: Decoder) -> None:
    module = build(decoder)
    inputs_BT, z_BZ = draw(3, 20)
    logits_BTV = module(inputs_BT, z_BZ)
    for t in range(20):
        changed_BT = inputs_BT.clone()
        changed_BT[:, t] = (inputs_BT[:, t] + 1) % WORDS
        moved_T = (module(changed_BT, z_BZ) - logits_BTV).abs().amax((0, 2))
        assert moved_T[:t].max() < 1e-12 if t else True
        assert moved_T[t] > 1e-6


@pytest.mark.parametrize("decoder", DECODERS + SKIPPING, ids=name)
def test_z_reaches_every_position_of_its_own_sentence(decoder: Decoder) -> None:
    module = build(decoder)
    inputs_BT, z_BZ = draw(3, 20)
    for unit in range(SIZES.latent_size):
        changed_BZ = z_BZ.clone()
        changed_BZ[1, unit] += 1.0
        moved_BT = (module(inputs_BT, changed_BZ) - module(inputs_BT, z_BZ)).abs().amax(2)
        assert moved_BT[1].min() > 1e-6
        assert moved_BT[[0, 2]].max() < 1e-12


@pytest.mark.parametrize("skips", [False, True])
def test_the_lstm_decoder_equals_its_equations(skips: bool) -> None:
    module = build(LSTMDecoder(skip_connections=skips))
    inputs_BT, z_BZ = draw(4, 6)
    cell_BH = z_BZ @ module.start.weight.T
    hidden_BH = torch.tanh(cell_BH)
    beside_BH = z_BZ @ module.skip.weight.T if skips else torch.zeros_like(hidden_BH)
    lstm, logits = module.lstm, []
    for t in range(6):
        x = torch.cat([module.embedding.weight[inputs_BT[:, t]], z_BZ], dim=1)
        gates = x @ lstm.weight_ih_l0.T + lstm.bias_ih_l0 + hidden_BH @ lstm.weight_hh_l0.T + lstm.bias_hh_l0
        take, keep, new, show = gates.split(SIZES.hidden_size, dim=1)
        cell_BH = torch.sigmoid(keep) * cell_BH + torch.sigmoid(take) * torch.tanh(new)
        hidden_BH = torch.sigmoid(show) * torch.tanh(cell_BH)
        logits.append((hidden_BH + beside_BH) @ module.output.weight.T)
    assert torch.allclose(module(inputs_BT, z_BZ), torch.stack(logits, dim=1), rtol=0, atol=1e-12)
    assert module.start.bias is None
    assert module.output.bias is None


@pytest.mark.parametrize("skips", [False, True])
def test_the_dilated_decoder_equals_explicit_loops(skips: bool) -> None:
    module = build(DilatedDecoder(dilation="1-3", skip_connections=skips))
    inputs_BT, z_BZ = draw(2, 9)
    logits_BTV = module(inputs_BT, z_BZ)
    for sentence in range(2):
        words = [torch.cat([module.embedding.weight[word], z_BZ[sentence]]) for word in inputs_BT[sentence]]
        hidden = [module.input.weight @ word + module.input.bias for word in words]
        for layer, (block, dilation) in enumerate(zip(module.blocks, (1, 3), strict=True)):
            beside = module.skips[layer].weight @ z_BZ[sentence] if skips else 0.0
            inside = len(block.narrow.bias)
            narrow = [torch.relu(block.narrow.weight @ h + block.narrow.bias) for h in hidden]
            out = []
            for t in range(9):
                taps = [
                    narrow[t - back] if t - back >= 0 else torch.zeros(inside).double()
                    for back in (2 * dilation, dilation, 0)
                ]
                dilated = block.dilated.weight @ torch.cat(taps) + block.dilated.bias
                widened = block.widen.weight @ torch.relu(dilated) + block.widen.bias
                out.append(hidden[t] + widened + beside)
            hidden = out
        expected = torch.stack([module.output.weight @ h + module.output.bias for h in hidden])
        assert torch.allclose(logits_BTV[sentence], expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("decoder", SKIPPING, ids=name)
def test_at_z_zero_a_decoder_with_skip_connections_is_one_without(decoder: Decoder) -> None:
    skipping, plain = build(decoder), build(decoder.with_knobs({"skip_connections": False}))
    plain.load_state_dict({key: skipping.state_dict()[key] for key in plain.state_dict()})
    inputs_BT, z_BZ = draw(3, 7)
    assert torch.equal(skipping(inputs_BT, 0 * z_BZ), plain(inputs_BT, 0 * z_BZ))
    assert (skipping(inputs_BT, z_BZ) - plain(inputs_BT, z_BZ)).abs().amax(2).min() > 1e-3
    more = skipping.state_dict().keys() - plain.state_dict().keys()
    layers = 1 if isinstance(decoder, LSTMDecoder) else 2
    shapes = {tuple(skipping.state_dict()[key].shape) for key in more}
    assert (len(more), shapes) == (layers, {(SIZES.hidden_size, SIZES.latent_size)})


def hidden_layers(module: nn.Module, inputs_BT: Tensor, z_BZ: Tensor) -> list[Tensor]:
    """What every layer hands on: the inputs of all blocks but the first, and of the output layer."""
    found: list[Tensor] = []
    behind = [*getattr(module, "blocks", [])][1:]
    hooks = [
        layer.register_forward_pre_hook(lambda _, arguments: found.append(arguments[0]))
        for layer in [*behind, module.output]
    ]
    module(inputs_BT, z_BZ)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("decoder", SKIPPING, ids=name)
def test_z_has_a_direct_path_to_every_layer(decoder: Decoder) -> None:
    # With all else of the layers at 0 a layer hands on z by its own skip connections and those before.
    module = build(decoder)
    with torch.no_grad():
        for key, parameter in module.named_parameters():
            if not key.startswith("skip"):
                parameter.zero_()
    inputs_BT, z_BZ = draw(1, 4)
    maps = [module.skip] if isinstance(decoder, LSTMDecoder) else list(module.skips)
    total = torch.zeros(SIZES.hidden_size, SIZES.latent_size).double()
    jacobians = torch.autograd.functional.jacobian(
        lambda z: tuple(layer[0] for layer in hidden_layers(module, inputs_BT, z)), z_BZ
    )
    assert len(jacobians) == len(maps)
    for jacobian_TH1Z, linear in zip(jacobians, maps, strict=True):
        total = total + linear.weight
        for position in range(4):
            assert torch.allclose(jacobian_TH1Z[position, :, 0], total, atol=1e-12)


@pytest.mark.parametrize(
    "decoder", [LSTMDecoder(dropout=0.5), DilatedDecoder(dropout=0.5)], ids=["lstm", "dilated"]
)
def test_dropout_is_for_training_only(decoder: Decoder) -> None:
    module = build(decoder)
    inputs_BT, z_BZ = draw(2, 5)
    assert torch.equal(module(inputs_BT, z_BZ), module(inputs_BT, z_BZ))
    module.train()
    assert not torch.equal(module(inputs_BT, z_BZ), module(inputs_BT, z_BZ))


def test_labels_tell_decoders_apart() -> None:
    labels = [decoder.label for decoder in DECODERS]
    assert labels == ["lstm", "dilated-S", "dilated-M", "dilated-3-1"]


@pytest.mark.parametrize("dilation", ["", "XL", "1,2", "0-1", "1--2", "-1", "1.5", "s"])
def test_other_dilations_are_refused(dilation: str) -> None:
    with pytest.raises(KnobError, match=f"dilation must be one of S, M, L, VL or a list .* got {dilation!r}"):
        DilatedDecoder(dilation=dilation)
