"""A pretrained encoder, as this package sees it: texts in, states or pooled vectors out."""
