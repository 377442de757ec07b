"""What the benchmarks take a text to cost, against what torch counts."""

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertModel

from benchmarks.embedded import matrix_flop


def test_the_operations_are_those_that_torch_counts():
    config = BertConfig(
        vocab_size=20,
        hidden_size=16,
        intermediate_size=40,
        num_hidden_layers=3,
        num_attention_heads=2,
        attn_implementation="eager",
    )
    model = BertModel(config, add_pooling_layer=False).eval()
    lengths = [3, 7, 12]
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        for length in lengths:
            model(input_ids=torch.ones((1, length), dtype=torch.int64))

    assert sum(matrix_flop(lengths, config.to_dict())) == counter.get_total_flops()
