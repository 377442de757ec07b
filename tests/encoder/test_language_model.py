"""An encoder with the head that predicts tokens: the head that came, or a new one that is tied."""

import torch
from transformers import AutoModelForMaskedLM

from sklearn_bert.encoder.checkpoint import load_checkpoint
from sklearn_bert.encoder.language_model import load_language_model
from tests.models import FAMILIES, save


def load(folder):
    return load_checkpoint(folder, None, torch.device("cpu"), "float32")


def test_a_head_in_the_folder_is_the_one_that_is_used(saved_model, tmp_path):
    torch.manual_seed(0)
    first = AutoModelForMaskedLM.from_pretrained(saved_model("bert"))
    with torch.no_grad():
        for parameter in first.cls.parameters():
            parameter.add_(torch.randn(parameter.shape) / 10)
    _, tokenizer = FAMILIES["bert"].build()
    folder = save(tmp_path, first, tokenizer)
    model, has_head = load_language_model(load(folder))
    assert has_head
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, dict(first.named_parameters())[name]), name


def test_a_new_head_is_tied_even_where_the_config_does_not_ask_for_it(tmp_path):
    folder = save(tmp_path, *FAMILIES["bert"].build(tie_word_embeddings=False))
    checkpoint = load(folder)
    model, has_head = load_language_model(checkpoint)
    assert not has_head
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_loading_leaves_random_states_alone(saved_model):
    before = torch.random.get_rng_state()
    load_language_model(load(saved_model()))
    assert torch.equal(torch.random.get_rng_state(), before)
