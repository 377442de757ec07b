from hypothesis import given
from hypothesis import strategies as st

from sklearn_bert.store import Keys

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
