import re

import numpy as np
import pytest

from sklearn_bert.encoder.depth import parameter_places
from sklearn_bert.encoder.freezing import Freezing, resolve_freeze, unfreeze_gradually
from tests.models import FAMILIES, N_LAYERS

PLACES = {name: parameter_places(family.build()[0]) for name, family in FAMILIES.items()}
BERT = PLACES["bert"]
UNSHARED = [name for name in FAMILIES if name != "albert"]


def bert(freeze, unfreeze=None):
    return resolve_freeze(freeze, unfreeze, N_LAYERS, BERT)


def at(*wanted):
    """Return the names of BERT's parameters at some places."""
    return {name for name, place in BERT.items() if place in wanted}


def names(regex):
    """Return the names of BERT's parameters that a regular expression finds."""
    return {name for name in BERT if re.search(regex, name)}


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_frozen(family):
    freezing = resolve_freeze("none", None, N_LAYERS, PLACES[family], family == "albert")
    assert freezing.trainable == set(PLACES[family])
    assert freezing.depth == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_all_frozen(family):
    freezing = resolve_freeze("all", None, N_LAYERS, PLACES[family], family == "albert")
    assert freezing.trainable == set()
    assert freezing.depth == N_LAYERS


@pytest.mark.parametrize("family", FAMILIES)
def test_only_embeddings_frozen(family):
    places = PLACES[family]
    freezing = resolve_freeze("embeddings", None, N_LAYERS, places, family == "albert")
    assert freezing.trainable == {name for name, place in places.items() if place != -1}
    assert freezing.depth == 0


@pytest.mark.parametrize("n_frozen", range(1, N_LAYERS))
@pytest.mark.parametrize("family", UNSHARED)
def test_lowest_layers_frozen(family, n_frozen):
    places = PLACES[family]
    freezing = resolve_freeze(n_frozen, None, N_LAYERS, places)
    expected = {name for name, place in places.items() if place is not None and place >= n_frozen}
    assert freezing.trainable == expected
    assert freezing.depth == n_frozen


@pytest.mark.parametrize(
    ("form", "same"),
    [
        (-1, N_LAYERS - 1),
        (1 - N_LAYERS, 1),
        (-N_LAYERS, 0),
        (0, "embeddings"),
        (N_LAYERS, "all"),
        (np.int64(-2), 2),
        (np.str_("none"), "none"),
    ],
)
@pytest.mark.parametrize("family", UNSHARED)
def test_forms_that_mean_the_same(family, form, same):
    places = PLACES[family]
    found, expected = (resolve_freeze(f, None, N_LAYERS, places) for f in (form, same))
    assert found == expected


@pytest.mark.parametrize(
    ("freeze", "unfreeze", "trainable", "depth"),
    [
        ("all", ["layer.3"], at(3), 3),
        ("all", ["encoder.layer.1", "layer.3"], at(1, 3), 1),
        ("all", ("layer.2.output",), names(r"\.2\.output\."), 2),
        (-1, ["layer.2.output.dense.bias"], {*at(3, 4), "encoder.layer.2.output.dense.bias"}, 2),
        (-1, ["layer.0.*.bias"], at(3, 4) | names(r"layer\.0\..*\.bias"), 0),
        (2, ["layer.?.output.LayerNorm"], at(2, 3, 4) | names(r"\.\d\.output\.LayerNorm"), 0),
        (2, ["layer.3"], at(2, 3, 4), 2),
        ("all", ["pooler"], at(4), N_LAYERS - 1),
        ("all", ["word_embeddings"], {"embeddings.word_embeddings.weight"}, 0),
        ("all", ["LayerNorm"], names(r"\.LayerNorm\."), 0),
        ("all", ["*"], set(BERT), 0),
        ("all", [], set(), N_LAYERS),
    ],
)
def test_what_is_opened_again(freeze, unfreeze, trainable, depth):
    freezing = bert(freeze, unfreeze)
    assert freezing.trainable == trainable
    assert freezing.depth == depth


def test_a_number_stands_for_itself_alone():
    places = {f"encoder.layer.{i}.weight": i for i in range(12)}
    freezing = resolve_freeze("all", ["layer.1"], 12, places)
    assert freezing.trainable == {"encoder.layer.1.weight"}
    assert freezing.depth == 1


@pytest.mark.parametrize("family", ["mpnet", "deberta", "deberta-v2"])
def test_what_layers_share_is_in_use_from_the_lowest_on(family):
    places = PLACES[family]
    shared = [name for name, place in places.items() if place is None]
    freezing = resolve_freeze(-1, shared[:1], N_LAYERS, places)
    assert set(shared[:1]) < freezing.trainable
    assert freezing.depth == 0


@pytest.mark.parametrize("freeze", [0, 1, -1, N_LAYERS, "top", True, None])
def test_shared_layers_are_frozen_all_or_none(freeze):
    message = (
        f"freeze={freeze!r} can't be used. Accepted: 'none', 'embeddings', 'all'. The layers of "
        f"this model share their weights, so they are frozen all or none."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        resolve_freeze(freeze, None, N_LAYERS, PLACES["albert"], shares_layers=True)


def test_shared_layers_have_no_upper_part_to_open_again():
    places = PLACES["albert"]
    freezing = resolve_freeze("all", ["pooler"], N_LAYERS, places, shares_layers=True)
    assert freezing.trainable == {"pooler.weight", "pooler.bias"}
    assert freezing.depth == 0


@pytest.mark.parametrize("freeze", [5, -5, 1.0, True, False, None, "All", "top", "", [1], "1"])
def test_a_freeze_that_the_model_cannot_have(freeze):
    message = (
        f"freeze={freeze!r} can't be used. Accepted: 'none', 'embeddings', 'all', 0 to 4 (so many "
        f"of the lowest layers and the embeddings are frozen), or -1 to -4 (all but so many of the "
        f"top layers are). The model has 4 layers."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        bert(freeze)


@pytest.mark.parametrize("unfreeze", ["layer.3", True, 3, [3], ["layer.3", None], [""], [True]])
def test_patterns_that_are_none(unfreeze):
    message = (
        f"unfreeze={unfreeze!r} can't be used. Accepted: None, or a list of patterns such as "
        f"['layer.5.output']."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        bert("all", unfreeze)


@pytest.mark.parametrize(
    ("pattern", "near"),
    [
        ("layers.3.output", "layer.3.output"),
        ("layer.4", "layer.3"),
        ("embedding", "embeddings"),
        ("layer.3.Output", "layer.3.output"),
    ],
)
def test_a_pattern_that_matches_nothing_lists_what_is_near(pattern, near):
    with pytest.raises(ValueError, match=re.escape(f"unfreeze={pattern!r} can't")) as error:
        bert("all", ["layer.3", pattern])
    message = str(error.value)
    assert f"It matches none of {len(BERT)}. Near are: " in message
    assert near in re.split(", ", message.split("Near are: ")[1].rstrip("."))


@pytest.mark.parametrize("pattern", ["ayer.3", "layer.3.", "lay", "qqqqqqqqqqqqqqq", "laye[rs].3"])
def test_part_of_a_name_between_dots_is_no_match(pattern):
    with pytest.raises(ValueError, match=r"Near are: .*[a-z]"):
        bert("all", [pattern])


@pytest.mark.parametrize("freeze", ["none", "embeddings", 2, -1])
@pytest.mark.parametrize("family", UNSHARED)
def test_each_epoch_trains_one_layer_more(family, freeze):
    places = PLACES[family]
    freezing = resolve_freeze(freeze, None, N_LAYERS, places)
    stages = unfreeze_gradually(freezing, 99, N_LAYERS, places)
    assert len(stages) == N_LAYERS + 2
    assert stages[0] == Freezing(N_LAYERS, frozenset())
    assert stages[-1] == freezing
    for epoch, stage in enumerate(stages, start=1):
        lowest = N_LAYERS + 1 - epoch
        # What layers share comes with the lowest of them, a pooler or norm with the highest.
        expected = {
            name
            for name in freezing.trainable
            if (0 if places[name] is None else min(places[name], N_LAYERS - 1)) >= lowest
        }
        assert stage.trainable == expected
        assert stage.depth == max(freezing.depth, lowest, 0)


@pytest.mark.parametrize("n_epochs", range(1, N_LAYERS + 4))
def test_few_epochs_unfreeze_as_many_layers_less_one(n_epochs):
    stages = unfreeze_gradually(bert("none"), n_epochs, N_LAYERS, BERT)
    assert len(stages) == min(n_epochs, N_LAYERS + 2)
    assert stages[-1] == bert("none" if n_epochs >= N_LAYERS + 2 else N_LAYERS + 1 - n_epochs)


def test_layers_that_are_one_come_as_one():
    places = PLACES["albert"]
    everything = resolve_freeze("none", None, N_LAYERS, places, shares_layers=True)
    stages = unfreeze_gradually(everything, 99, N_LAYERS, places, shares_layers=True)
    embeddings = {name for name, place in places.items() if place == -1}
    assert [stage.trainable for stage in stages] == [
        set(),
        set(places) - embeddings,
        set(places),
    ]
    assert [stage.depth for stage in stages] == [N_LAYERS, 0, 0]


def test_patterns_are_unfrozen_in_turn():
    freezing = bert("all", ["layer.1.output", "layer.3.output", "pooler"])
    stages = unfreeze_gradually(freezing, 4, N_LAYERS, BERT)
    top = names(r"layer\.3\.output|pooler")
    expected = [(4, set()), (3, top), (3, top), (1, top | names(r"layer\.1\.output"))]
    assert [(stage.depth, stage.trainable) for stage in stages] == expected


def test_what_was_trained_before_trains_from_the_first_epoch():
    trained = names(r"layer\.2\.")
    stages = unfreeze_gradually(bert(1), 99, N_LAYERS, BERT, trained=trained)
    assert [stage.depth for stage in stages] == [2, 2, 2, 1, 1, 1]
    assert stages[0].trainable == trained
    assert stages[1].trainable == trained | at(3, 4)
    assert stages[-1] == bert(1)
