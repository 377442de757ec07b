"""BertFeaturizer as a user meets it: its vectors, containers, parameters, and place in sklearn."""

import json
import pickle
import shutil
import warnings

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline

from sklearn_bert import BertFeaturizer
from sklearn_bert.encoder import work
from sklearn_bert.encoder.execution import resolve_device
from sklearn_bert.encoder.sources import EMBEDDED_MODEL, find_model_folder
from sklearn_bert.errors import LongTextWarning, ModelLoadError
from tests.models import FAMILIES, HIDDEN, MAX_LENGTH, N_LAYERS, PAIRS, TEXTS

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")

CLOSE = {"atol": 2e-5, "rtol": 1e-5}
LONG = "the story was very dull a good film is wonderful " * 20


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture
def featurizer(saved_model):
    """Return a function that makes an exact featurizer of a tiny model."""

    def make(family="bert", **parameters):
        return BertFeaturizer(saved_model(family), **({"precision": "float32"} | parameters))

    return make


class TestVectors:
    def test_every_pooling_equals_a_float64_reference(self, family, featurizer, reference):
        poolings = ["cls", "mean", "max", "last"]
        vectors = featurizer(family, pooling=poolings).transform(TEXTS)
        assert vectors.shape == (len(TEXTS), 4 * HIDDEN)
        for number, pooling in enumerate(poolings):
            expected = reference(family).vectors(TEXTS, pooling)
            part = vectors[:, number * HIDDEN : (number + 1) * HIDDEN]
            np.testing.assert_allclose(part, expected, **CLOSE)

    def test_pooler(self, family, featurizer, reference):
        estimator = featurizer(family, pooling="pooler")
        if FAMILIES[family].has_pooler:
            expected = reference(family).vectors(TEXTS, "pooler")
            np.testing.assert_allclose(estimator.transform(TEXTS), expected, **CLOSE)
        else:
            with pytest.raises(ValueError, match=r"pooling='pooler'.*have no pooler"):
                estimator.fit(TEXTS)

    def test_padding_and_batch_company_change_nothing(self, family, featurizer):
        together = featurizer(family, cache=None, batch_tokens=100_000, pooling=["mean", "max"])
        few = clone(together).set_params(batch_tokens=1)
        expected = together.transform(TEXTS)
        np.testing.assert_allclose(few.transform(TEXTS), expected, **CLOSE)
        order = np.random.default_rng(0).permutation(len(TEXTS))
        shuffled = together.transform([TEXTS[i] for i in order])
        np.testing.assert_allclose(shuffled, expected[order], **CLOSE)
        for text, vector in zip(TEXTS[:3], expected, strict=False):
            np.testing.assert_allclose(together.transform([text])[0], vector, **CLOSE)

    @pytest.mark.filterwarnings("ignore::sklearn_bert.errors.LongTextWarning")
    def test_the_embedded_model_can_give_what_sentence_transformers_gives(self):
        texts = ["A text.", "", "word " * 254, "word " * 255, LONG * 2]
        settings = {"normalize": True, "max_length": 256, "precision": "float32", "device": "cpu"}
        theirs = SentenceTransformer(str(find_model_folder(EMBEDDED_MODEL)), device="cpu")
        ours = BertFeaturizer(**settings).transform(texts)
        np.testing.assert_allclose(ours, theirs.encode(texts), **CLOSE)

    def test_pairs_equal_a_float64_reference(self, family, featurizer, reference):
        vectors = featurizer(family, pooling=["mean", "cls"]).transform(PAIRS)
        for part, pooling in zip(np.split(vectors, 2, axis=1), ["mean", "cls"], strict=True):
            expected = reference(family).vectors(PAIRS, pooling)
            np.testing.assert_allclose(part, expected, **CLOSE)

    @pytest.mark.parametrize("family", ["bert", "bert-pad-last", "roberta"])
    def test_the_pad_token_written_in_a_text_counts(self, family, featurizer, reference):
        pad = reference(family).tokenizer.pad_token
        texts = [f"good {pad} film", f"{pad}", "the story was very dull"]
        ids = reference(family).tokenize(texts[0])["input_ids"][0]
        assert reference(family).tokenizer.pad_token_id in ids.tolist()
        for pooling in ["mean", "max", "last"]:
            vectors = featurizer(family, pooling=pooling).transform(texts)
            expected = reference(family).vectors(texts, pooling)
            np.testing.assert_allclose(vectors, expected, **CLOSE)

    def test_every_layer(self, featurizer, reference):
        for layer in range(-N_LAYERS - 1, N_LAYERS + 1):
            vectors = featurizer("electra", layers=layer).transform(TEXTS)
            expected = reference("electra").vectors(TEXTS, "mean", layer)
            np.testing.assert_allclose(vectors, expected, **CLOSE)

    @pytest.mark.parametrize("cache", ["memory", None])
    def test_several_layers_and_poolings(self, featurizer, reference, cache):
        poolings, layers = ["max", "cls"], [-1, 0, 2]
        parts = {
            (pooling, layer): reference().vectors(TEXTS, pooling, layer)
            for pooling in poolings
            for layer in layers
        }
        make = {
            "mean": lambda p: np.mean([parts[p, layer] for layer in layers], axis=0),
            "sum": lambda p: np.sum([parts[p, layer] for layer in layers], axis=0),
            "concat": lambda p: np.hstack([parts[p, layer] for layer in layers]),
        }
        for reduction, of in make.items():
            estimator = featurizer(
                pooling=poolings, layers=layers, layer_reduction=reduction, cache=cache
            )
            vectors = estimator.transform(TEXTS)
            expected = np.hstack([of(pooling) for pooling in poolings])
            np.testing.assert_allclose(vectors, expected, atol=5e-5)
            assert len(estimator.get_feature_names_out()) == vectors.shape[1]

    def test_normalize(self, featurizer):
        raw = featurizer(pooling=["cls", "mean"]).transform(TEXTS)
        unit = featurizer(pooling=["cls", "mean"], normalize=True).transform(TEXTS)
        np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, rtol=1e-5)
        np.testing.assert_allclose(unit, raw / np.linalg.norm(raw, axis=1, keepdims=True), **CLOSE)

    def test_output_is_float32_at_any_precision(self, featurizer):
        expected = featurizer(precision="float64").transform(TEXTS)
        assert expected.dtype == np.float32
        for precision, least in [("float32", 0.999999), ("bfloat16", 0.99), ("float16", 0.999)]:
            vectors = featurizer(precision=precision).transform(TEXTS)
            assert vectors.dtype == np.float32
            norms = np.linalg.norm(vectors, axis=1) * np.linalg.norm(expected, axis=1)
            assert ((vectors * expected).sum(axis=1) / norms).min() > least

    def test_bfloat16_is_near_for_every_architecture(self, family, featurizer):
        expected = featurizer(family).transform(TEXTS)
        vectors = featurizer(family, precision="bfloat16").transform(TEXTS)
        norms = np.linalg.norm(vectors, axis=1) * np.linalg.norm(expected, axis=1)
        assert ((vectors * expected).sum(axis=1) / norms).min() > 0.98

    def test_float64_is_more_exact_than_float32(self, featurizer, reference):
        expected = reference().vectors(TEXTS, "mean")
        vectors = featurizer(precision="float64").transform(TEXTS)
        np.testing.assert_array_equal(vectors, expected.astype(np.float32))


class TestPairs:
    def test_a_pair_differs_from_the_joined_text(self, featurizer):
        first, second = PAIRS[0]
        pair = featurizer().transform([(first, second)])
        joined = featurizer().transform([f"{first} {second}"])
        assert np.abs(pair - joined).max() > 1e-2

    def test_order_and_side_of_a_pair_matter(self, featurizer):
        a, b, c = featurizer(pooling="cls").transform([("good", ""), ("", "good"), ("go", "od")])
        assert min(np.abs(a - b).max(), np.abs(a - c).max(), np.abs(b - c).max()) > 1e-2

    def test_long_pairs_are_cut_longest_first(self, featurizer, reference):
        pairs = [(LONG, "a good film"), ("a good film", LONG), (LONG, LONG)]
        with pytest.warns(LongTextWarning, match="3 of 3 texts.*'chunk' with pairs='separate'"):
            vectors = featurizer(max_length=20).transform(pairs)
        expected = reference().vectors(pairs, "mean", max_length=20)
        np.testing.assert_allclose(vectors, expected, **CLOSE)

    def test_pairs_in_every_container(self, featurizer):
        first, second = map(list, zip(*PAIRS, strict=True))
        expected = featurizer().transform(PAIRS)
        for X in [
            tuple(PAIRS),
            np.array(PAIRS),
            np.array(PAIRS, dtype=object),
            pd.DataFrame({"a": first, "b": second}),
            pl.DataFrame({"a": first, "b": second}),
            pa.table({"a": first, "b": second}),
        ]:
            np.testing.assert_array_equal(featurizer().transform(X), expected)

    def test_separate_halves_are_joined_with_difference_and_product(self, featurizer, reference):
        separate = featurizer(pairs="separate")
        vectors = separate.transform(PAIRS)
        u, v = (reference().vectors([pair[side] for pair in PAIRS], "mean") for side in (0, 1))
        np.testing.assert_allclose(vectors, np.hstack([u, v, np.abs(u - v), u * v]), **CLOSE)
        names = separate.get_feature_names_out()
        assert len(names) == vectors.shape[1] == 4 * HIDDEN
        assert [names[0], names[-1]] == ["first_mean_0", f"product_mean_{HIDDEN - 1}"]
        unit = featurizer(pairs="separate", normalize=True).transform(PAIRS)
        np.testing.assert_allclose(np.linalg.norm(unit[:, :HIDDEN], axis=1), 1, rtol=1e-5)

    def test_halves_that_recur_are_encoded_once(self, featurizer):
        before = work.counted()
        featurizer(pairs="separate").transform([("a", "b"), ("b", "a"), ("a", "c"), ("c", "b")])
        assert (work.counted() - before).texts == 3

    def test_separate_halves_may_be_long_and_need_pairs(self, featurizer):
        separate = featurizer(pairs="separate", long_text="chunk", max_length=20)
        assert separate.transform([(LONG, "good")]).shape == (1, 4 * HIDDEN)
        with pytest.raises(ValueError, match=r"pairs='separate' can't be used.*'joint' for single"):
            separate.fit(TEXTS)
        with pytest.raises(ValueError, match="pairs='apart' can't be used"):
            featurizer(pairs="apart").fit(PAIRS)

    def test_chunks_of_pairs_are_an_error(self, featurizer):
        estimator = featurizer(long_text="chunk")
        message = "long_text='chunk' can't be used. Accepted: 'truncate' for text pairs.*X has pair"
        for use in (estimator.fit, estimator.transform):
            with pytest.raises(ValueError, match=message):
                use(PAIRS)


class TestLongText:
    @pytest.mark.parametrize("cache", ["memory", "disk", None])
    def test_cutting_warns_once_a_call_with_the_count(self, featurizer, cache, tmp_path):
        cache = tmp_path / "store" if cache == "disk" else cache
        texts = [LONG, "good", LONG + "x", LONG, "bad"]
        for _ in range(2):  # the second call finds the vectors, and still warns
            with pytest.warns(LongTextWarning) as caught:
                featurizer(cache=cache).transform(texts)
            assert len(caught) == 1
            message = str(caught[0].message)
            assert message.startswith(f"3 of 5 texts are longer than {MAX_LENGTH} tokens")
            assert "Take a model with a longer limit, or pass long_text='chunk' to use" in message

    def test_the_limit_to_raise_is_named(self, featurizer):
        message = (
            rf"than 20 tokens and were cut there\. Raise max_length .* limit is {MAX_LENGTH}\)"
        )
        with pytest.warns(LongTextWarning, match=message):
            featurizer(max_length=20).transform([LONG])

    @pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta"])
    def test_the_last_text_that_fits_is_not_counted(self, family, featurizer, reference):
        """Found in the store too, whatever the tokenizer makes of one character."""
        limit = 20
        for unit in ["x ", "好", "🤗", "\ufdfa"]:
            texts = [unit * n for n in range(1, 25)]
            lengths = [len(reference(family).tokenizer(text)["input_ids"]) for text in texts]
            n_cut = sum(length > limit for length in lengths)
            estimator = featurizer(family, max_length=limit)
            for _ in range(2):
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    estimator.transform(texts)
                messages = [str(w.message) for w in caught]
                assert [m.split(" texts")[0] for m in messages] == [f"{n_cut} of 24"] * bool(n_cut)

    def test_cut_texts_equal_transformers_truncation(self, family, featurizer, reference):
        with pytest.warns(LongTextWarning):
            vectors = featurizer(family, max_length=16).transform([LONG, LONG[9:]])
        expected = reference(family).vectors([LONG, LONG[9:]], "mean", max_length=16)
        np.testing.assert_allclose(vectors, expected, **CLOSE)

    def test_chunks_leave_short_texts_as_they_are(self, family, featurizer):
        plain = featurizer(family, cache=None, pooling=["mean", "last"]).transform(TEXTS)
        chunked = featurizer(family, long_text="chunk", cache=None, pooling=["mean", "last"])
        np.testing.assert_array_equal(chunked.transform(TEXTS), plain)

    def test_chunks_do_not_warn_and_use_the_whole_text(self, featurizer):
        estimator = featurizer(long_text="chunk", max_length=16)
        one, other = estimator.transform([LONG + " good", LONG + " bad"])
        assert np.abs(one - other).max() > 1e-4

    def test_mean_over_chunks_equals_a_reference_over_windows(self, featurizer, reference):
        """Each token counts once, in the window in which it is farther from the edge."""
        limit, ref = 18, reference()
        content = ref.tokenizer(LONG, add_special_tokens=False)["input_ids"]
        cls, sep = ref.tokenizer.cls_token_id, ref.tokenizer.sep_token_id
        room = limit - 2
        overlap = room // 4
        starts = range(0, len(content) - overlap, room - overlap)
        states = []
        for number, start in enumerate(starts):
            window = content[start : start + room]
            inputs = ref.tokenizer.pad({"input_ids": [[cls, *window, sep]]}, return_tensors="pt")
            tokens = ref.states_of_ids(dict(inputs))[0][-1].numpy()
            is_last = start + room >= len(content)
            first = 0 if number == 0 else 1 + (overlap + 1) // 2
            stop = len(tokens) if is_last else len(tokens) - 1 - overlap // 2
            states.append(tokens[first:stop])
        everything = np.concatenate(states)
        assert len(everything) == len(content) + 2
        for pooling, expected in {
            "mean": everything.mean(axis=0),
            "max": everything.max(axis=0),
            "cls": everything[0],
            "last": everything[-1],
        }.items():
            estimator = featurizer(long_text="chunk", max_length=limit, pooling=pooling)
            np.testing.assert_allclose(estimator.transform([LONG])[0], expected, **CLOSE)


class TestContainers:
    @pytest.mark.parametrize(
        "container",
        [
            tuple,
            np.array,
            lambda texts: np.array(texts, dtype=object),
            lambda texts: np.array(texts, dtype=object).reshape(-1, 1),
            pd.Series,
            lambda texts: pd.Series(texts, dtype="string"),
            lambda texts: pd.Series(texts, dtype=pd.ArrowDtype(pa.string())),
            lambda texts: pd.Series(texts, dtype="category"),
            pd.Index,
            lambda texts: pd.DataFrame({"text": texts}),
            pl.Series,
            lambda texts: pl.DataFrame({"text": texts}),
            pa.array,
            lambda texts: pa.chunked_array([texts[:3], texts[3:]]),
            lambda texts: pa.table({"text": texts}),
        ],
    )
    def test_each_gives_the_same_result(self, container, featurizer):
        expected = featurizer().transform(TEXTS)
        before = work.counted()
        np.testing.assert_array_equal(featurizer().transform(container(TEXTS)), expected)
        assert (work.counted() - before).texts == 0

    @pytest.mark.parametrize("as_frame", [True, False])
    def test_pandas_output_keeps_the_index(self, as_frame, featurizer):
        series = pd.Series(TEXTS, index=range(100, 100 + len(TEXTS)), name="text")
        estimator = featurizer().set_output(transform="pandas")
        frame = estimator.fit_transform(series.to_frame() if as_frame else series)
        assert isinstance(frame, pd.DataFrame)
        assert frame.index.equals(series.index)
        assert frame.columns.tolist() == estimator.get_feature_names_out().tolist()
        assert set(frame.dtypes) == {np.dtype("float32")}
        np.testing.assert_array_equal(frame, featurizer().transform(TEXTS))

    def test_polars_output(self, featurizer):
        estimator = featurizer(pooling=["cls", "max"]).set_output(transform="polars")
        frame = estimator.fit_transform(pl.Series(TEXTS))
        assert isinstance(frame, pl.DataFrame)
        assert frame.columns == estimator.get_feature_names_out().tolist()
        np.testing.assert_array_equal(
            frame.to_numpy(), featurizer(pooling=["cls", "max"]).transform(TEXTS)
        )

    def test_input_is_left_as_it_is(self, featurizer):
        texts = list(TEXTS)
        featurizer().transform(texts)
        assert texts == TEXTS


class TestInScikitLearn:
    labels = np.array([0, 1] * 5)

    def test_transform_works_without_fit(self, featurizer):
        fitted = featurizer().fit(TEXTS)
        np.testing.assert_array_equal(featurizer().transform(TEXTS), fitted.transform(TEXTS))

    def test_fit_says_what_is_used(self, featurizer):
        fitted = featurizer(max_length=20).fit(TEXTS)
        assert fitted.precision_ == "float32"
        assert fitted.device_ == str(resolve_device("auto"))
        assert fitted.max_length_ == 20
        assert featurizer("roberta").fit(TEXTS).max_length_ == MAX_LENGTH

    def test_parameters_are_only_kept(self):
        parameters = BertFeaturizer().get_params()
        odd = {name: object() for name in parameters}
        model = odd.pop("model")
        estimator = BertFeaturizer(model, **odd)
        assert vars(estimator) == odd | {"model": model}

    def test_clone_and_fit_leave_parameters_alone(self, featurizer):
        estimator = featurizer(layers=[0, -1], pooling=["cls", "mean"])
        before = estimator.get_params()
        estimator.fit(TEXTS)
        estimator.transform(TEXTS)
        assert estimator.get_params() == before
        assert clone(estimator).get_params() == before

    def test_pickle_holds_no_weights(self, featurizer):
        estimator = featurizer().fit(TEXTS)
        expected = estimator.transform(TEXTS)
        data = pickle.dumps(estimator)
        assert len(data) < 2_000
        np.testing.assert_array_equal(pickle.loads(data).transform(TEXTS), expected)

    @pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
    def test_what_was_fitted_uses_no_other_model(self, name, saved_model, tmp_path):
        other = shutil.copytree(saved_model("bert", 1), tmp_path / "other")
        settings = json.loads((other / "tokenizer.json").read_text(encoding="utf-8"))
        settings["normalizer"]["lowercase"] = False
        (other / "tokenizer.json").write_text(json.dumps(settings), encoding="utf-8")
        folder = shutil.copytree(saved_model(), tmp_path / "model")
        fitted = BertFeaturizer(folder, device="cpu").fit(TEXTS)
        unfitted = clone(fitted)
        pickled = pickle.dumps(fitted)
        shutil.copy(other / name, folder / name)
        for estimator in (fitted, pickle.loads(pickled)):
            for use in (estimator.transform, estimator.get_feature_names_out):
                with pytest.raises(ModelLoadError, match="than this estimator was fitted with"):
                    use(TEXTS)
            with pytest.raises(ModelLoadError, match="than this estimator was fitted with"):
                estimator.save_pretrained(tmp_path / "saved")
        assert unfitted.transform(TEXTS).shape == fitted.fit(TEXTS).transform(TEXTS).shape

    def test_a_model_that_is_set_after_fit_is_used(self, saved_model):
        estimator = BertFeaturizer(saved_model(), device="cpu", precision="float32").fit(TEXTS)
        estimator.set_params(model=saved_model("bert", 1))
        expected = clone(estimator).transform(TEXTS)
        np.testing.assert_array_equal(estimator.transform(TEXTS), expected)

    @pytest.mark.parametrize(
        ("parameters", "names"),
        [
            ({}, [f"mean_{i}" for i in range(HIDDEN)]),
            ({"pooling": ["cls", "max"]}, [f"{p}_{i}" for p in ("cls", "max") for i in range(32)]),
            (
                {"layers": [2, -1], "layer_reduction": "concat"},
                [f"mean_{layer}_{i}" for layer in (2, 4) for i in range(HIDDEN)],
            ),
            ({"layers": [2, -1]}, [f"mean_{i}" for i in range(HIDDEN)]),
        ],
    )
    def test_feature_names(self, parameters, names, featurizer):
        estimator = featurizer(**parameters)
        assert estimator.get_feature_names_out().tolist() == names
        assert estimator.transform(TEXTS[:1]).shape == (1, len(names))

    def test_pipeline(self, featurizer):
        classifier = make_pipeline(featurizer(), LogisticRegression(C=1e4, max_iter=5000))
        predictions = classifier.fit(TEXTS, self.labels).predict(TEXTS)
        np.testing.assert_array_equal(predictions, self.labels)

    def test_feature_union(self, featurizer):
        union = FeatureUnion([("bert", featurizer()), ("tfidf", TfidfVectorizer())])
        features = union.fit_transform(TEXTS)
        np.testing.assert_allclose(
            features[:, :HIDDEN].toarray(), featurizer().transform(TEXTS), rtol=1e-6
        )
        assert union.get_feature_names_out()[0] == "bert__mean_0"

    @pytest.mark.parametrize("columns", ["text", ["text"], ["text", "other"]])
    @pytest.mark.parametrize("library", [pd, pl])
    def test_column_transformer(self, columns, library, featurizer):
        pairs = "other" in columns
        other = TEXTS[::-1]
        frame = library.DataFrame({"n": range(len(TEXTS)), "text": TEXTS, "other": other})
        transformer = ColumnTransformer([("bert", featurizer(), columns)], remainder="passthrough")
        features = transformer.fit_transform(
            frame[["n", "text", "other"]] if pairs else frame[["n", "text"]]
        )
        expected = featurizer().transform(list(zip(TEXTS, other, strict=True)) if pairs else TEXTS)
        np.testing.assert_allclose(features[:, :HIDDEN], expected, rtol=1e-6)
        assert features.shape == (len(TEXTS), HIDDEN + 1)

    def test_grid_search_over_parameters(self, featurizer):
        grid = {
            "bert__pooling": ["cls", ["mean", "max"]],
            "bert__layers": np.arange(N_LAYERS + 1),
            "bert__max_length": np.array([20, 40]),
        }
        pipeline = Pipeline([("bert", featurizer()), ("clf", LogisticRegression(max_iter=500))])
        folds = StratifiedKFold(2, shuffle=True, random_state=0)
        search = GridSearchCV(pipeline, grid, cv=folds, error_score="raise")
        search.fit(TEXTS, self.labels)
        assert len(search.cv_results_["params"]) == 20
        assert search.predict(TEXTS).shape == (len(TEXTS),)


class TestHarmlessText:
    texts = (
        "",
        " \t\n\r ",
        "🤗👩‍👩‍👧‍👦🇫🇷",
        "\ud800",
        "good \udfff film \ud83d",
        "\ud83d\ude00",
        "".join(map(chr, range(32))) + "\x7f\x85\u200b\ufeff",
        "\x00",
        "שלום עולם مرحبا بالعالم \u202eabc\u202c",
        "[CLS] [SEP] [MASK] <s> </s>",
        "\U0010ffff\ufffe",
    )

    @pytest.mark.parametrize("family", ["bert", "bert-chinese", "roberta", "xlm-roberta"])
    @pytest.mark.parametrize("long_text", ["truncate", "chunk"])
    def test_is_encoded(self, family, long_text, featurizer):
        texts = list(self.texts)
        estimator = featurizer(family, long_text=long_text)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LongTextWarning)
            vectors = estimator.transform(texts)
            again = clone(estimator).set_params(cache=None).transform(texts)
        assert vectors.shape == (len(texts), HIDDEN)
        assert np.isfinite(vectors).all()
        np.testing.assert_allclose(again, vectors, **CLOSE)

    def test_on_disk(self, featurizer, tmp_path):
        for _ in range(2):
            vectors = featurizer(cache=tmp_path).transform(list(self.texts))
            np.testing.assert_allclose(vectors, featurizer().transform(list(self.texts)), **CLOSE)

    def test_as_pairs(self, featurizer):
        pairs = [(text, other) for text in self.texts[:6] for other in self.texts[:6]]
        assert np.isfinite(featurizer().transform(pairs)).all()

    @pytest.mark.parametrize("unit", ["good film ", "x"])
    def test_a_megabyte(self, unit, featurizer, reference):
        text = unit * (2**20 // len(unit))
        with pytest.warns(LongTextWarning, match="1 of 1 texts") if " " in unit else no_warning():
            cut = featurizer().transform([text])
        np.testing.assert_allclose(cut, reference().vectors([text], "mean"), **CLOSE)

    def test_a_megabyte_in_chunks(self, featurizer):
        text = "good film " * (2**20 // 10)
        vectors = featurizer(long_text="chunk").transform([text, "good"])
        assert vectors.shape == (2, HIDDEN)
        assert np.isfinite(vectors).all()


def no_warning():
    return warnings.catch_warnings()
