from hypothesis import given
from hypothesis import strategies as st

from sklearn_bert.store import Keys, key

# With lone surrogates, which texts may have too.
anything = st.text(st.characters(codec=None), max_size=8) | st.sampled_from(["", "a", "b", "ab"])
texts = anything | st.tuples(anything, anything)
contexts = st.lists(st.text(st.characters(codec="utf-8"), max_size=4), max_size=4)


@given(contexts, texts, contexts, texts)
def test_keys_are_equal_only_if_all_is_equal(context, text, other_context, other_text):
    same = (context, text) == (other_context, other_text)
    assert (Keys(context).of_text(text) == Keys(other_context).of_text(other_text)) == same


def test_where_a_pair_is_split_matters():
    keys = Keys(["context"])
    texts = [("a", "b"), "ab", ("ab", ""), ("", "ab"), ("b", "a"), "a\x00b", ("a\x00", "b")]
    assert len({keys.of_text(text) for text in texts}) == len(texts)


def test_where_a_context_is_split_matters():
    contexts = [["a", "b"], ["ab"], ["ab", ""], ["", "ab"], []]
    assert len({Keys(context).of_text("text") for context in contexts}) == len(contexts)


@given(contexts, st.lists(texts, max_size=6), contexts, st.lists(texts, max_size=6))
def test_digests_that_are_remembered_are_those_of_each_text(context, some, other_context, others):
    for of_context, asked in [(context, some), (other_context, others), (context, some + others)]:
        keys = Keys(of_context)
        assert keys.of_texts(asked) == [keys.of_text(text) for text in asked]


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(key, "_REMEMBERED_SIZE", 500)
    monkeypatch.setattr(key, "_remembered", key._Remembered())
    keys = Keys(["context"])
    for number in range(50):
        asked = [f"{number:05}", ("pair", f"{number:06}"), "x" * 10 * number]
        assert keys.of_texts(asked) == [keys.of_text(text) for text in asked]
        known = key._remembered.of_context(keys._context)
        assert sum(100 + len("".join(text)) for text in known) <= 500


def test_texts_without_characters_count_too(monkeypatch):
    monkeypatch.setattr(key, "_REMEMBERED_SIZE", 500)
    monkeypatch.setattr(key, "_remembered", key._Remembered())
    contexts = [Keys([f"context {number}"]) for number in range(50)]
    for keys in contexts:
        keys.of_texts([""])
    assert sum(len(key._remembered.of_context(keys._context)) for keys in contexts) <= 5


def test_nothing_is_copied_for_a_new_text(monkeypatch):
    monkeypatch.setattr(key, "_remembered", key._Remembered())
    keys = Keys(["context"])
    keys.of_texts(["first"])
    known = key._remembered.of_context(keys._context)
    keys.of_texts(["second"])
    assert key._remembered.of_context(keys._context) is known
    assert list(known) == ["first", "second"]
