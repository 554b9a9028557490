import pytest
import torch
from torch import Tensor, nn

from trainables.parts.encoders import Encoder, LSTMEncoder, NoEncoder, PooledEncoder
from trainables.parts.sizes import Sizes

SIZES = Sizes(embedding_size=5, hidden_size=6, latent_size=2)


def lstm_states(lstm: nn.LSTM, inputs_BTE: Tensor, hidden_BH: Tensor, cell_BH: Tensor) -> Tensor:
    """Hidden states of one LSTM layer from its equations, a step at a time."""
    weights = [getattr(lstm, f"{name}_l0") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    from_input, from_hidden, bias, second_bias = weights
    states = []
    for t in range(inputs_BTE.shape[1]):
        gates = inputs_BTE[:, t] @ from_input.T + hidden_BH @ from_hidden.T + bias + second_bias
        width = gates.shape[1] // 4
        take, keep, new, show = (gates[:, k * width : (k + 1) * width] for k in range(4))
        cell_BH = keep.sigmoid() * cell_BH + take.sigmoid() * new.tanh()
        hidden_BH = show.sigmoid() * cell_BH.tanh()
        states.append(hidden_BH)
    return torch.stack(states, dim=1)


def test_the_lstm_encoder_gives_the_last_hidden_state() -> None:
    encoder = LSTMEncoder().build(11, SIZES).double()
    tokens_BT = torch.randint(11, (4, 7))
    zero = torch.zeros(4, 6, dtype=torch.float64)
    expected = lstm_states(encoder.lstm, encoder.embedding.weight[tokens_BT], zero, zero)[:, -1]
    assert LSTMEncoder().width(SIZES) == expected.shape[1] == 6
    assert torch.allclose(encoder(tokens_BT), expected, rtol=0, atol=1e-12)


def test_the_pooled_encoder_takes_the_mean_of_the_embeddings_through_tanh() -> None:
    encoder = PooledEncoder().build(11, SIZES).double()
    tokens_BT = torch.randint(11, (4, 7))
    counts_BV = nn.functional.one_hot(tokens_BT, 11).double().sum(1)
    mean_BE = counts_BV @ encoder.embedding.weight / 7
    expected_BH = (mean_BE @ encoder.hidden.weight.T + encoder.hidden.bias).tanh()
    assert PooledEncoder().width(SIZES) == expected_BH.shape[1] == 6
    assert torch.allclose(encoder(tokens_BT), expected_BH, rtol=0, atol=1e-12)
    assert torch.allclose(encoder(tokens_BT.flip(1)), expected_BH, rtol=0, atol=1e-12)  # whatever the order


@pytest.mark.parametrize("kind", [LSTMEncoder(), PooledEncoder()])
def test_every_token_counts_and_sentences_do_not_mix(kind: Encoder) -> None:
    encoder = kind.build(11, SIZES).double()
    tokens_BT = torch.randint(10, (3, 6))
    hidden_BH = encoder(tokens_BT)
    for t in range(6):
        changed_BT = tokens_BT.clone()
        changed_BT[1, t] = 10
        moved_B = (encoder(changed_BT) - hidden_BH).abs().amax(1)
        assert moved_B[1] > 1e-6
        assert moved_B[[0, 2]].max() < 1e-12


def test_no_encoder_sees_nothing() -> None:
    encoder = NoEncoder().build(11, SIZES)
    assert encoder(torch.randint(11, (4, 7))).shape == (4, NoEncoder().width(SIZES)) == (4, 0)
    assert list(encoder.parameters()) == []
