"""The files that the corpora are made of: their digests and their public homes."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

RAW_HOME = "https://raw.githubusercontent.com"


@dataclass(frozen=True)
class CorpusFile:
    """One file of a corpus, as published.

    Parameters
    ----------
    path : str
        Where it lies below a data folder, with forward slashes.
    sha256 : str
        Its digest, in hexadecimal.
    home : str
        Where it is published: ``owner/repository/revision/path`` on GitHub.
    """

    path: str
    sha256: str
    home: str

    @property
    def corpus(self) -> str:
        """The corpus that the file belongs to: its folder."""
        return self.path.partition("/")[0]

    @property
    def url(self) -> str:
        """Where the file can be downloaded."""
        return f"{RAW_HOME}/{quote(self.home)}"


_SST2 = "clairett/pytorch-sentiment-classification/master/data/SST2"
_MRPC = "Pzeyang/Paraphrase_Identification"
_CHINESE = "SophonPlus/ChineseNlpCorpus"

# Revisions are commits where one is known to hold the file: a branch may be renamed or move on.
FILES = {
    file.path: file
    for file in (
        CorpusFile(
            "sst2/train.tsv",
            "ec192f833a64da08f475488a77b0d0b47db47acd0f458bd18433fc793b569920",
            f"{_SST2}/train.tsv",
        ),
        CorpusFile(
            "sst2/dev.tsv",
            "eddea6b39e601dd4e7a672b53cc40fdf6019fa80522f351206c24340ca5d9359",
            f"{_SST2}/dev.tsv",
        ),
        CorpusFile(
            "sst2/test.tsv",
            "831169c7e2e429d6026e1bdbb542f33b636e3e596caad9602ebc953c205928b7",
            f"{_SST2}/test.tsv",
        ),
        CorpusFile(
            "emotion/emotion.csv",
            "31a6971bc7347c95dec9eb7e32ec824fcca06f35edaedf062e891bde448d2085",
            "benouarAbdou/Three_emotions_text_classification/"
            "48c0554fce63243398663394a89878bdad514ce2/Emotion_classify_Data.csv",
        ),
        CorpusFile(
            "mrpc/msr_paraphrase_train.txt",
            "8ce2b3a2f391f24534f38242d429510f8837eb4d3c4f4e8ff7b56d3678b4bb5c",
            f"{_MRPC}/25f9fa7eadff9776bd079e125dca5d14068c97ca/msr_paraphrase_train.txt",
        ),
        CorpusFile(
            "mrpc/msr_paraphrase_test.txt",
            "51a1f197d8786712d2f0d97700f5be653b7488a96cde00e158159350d23e3d90",
            f"{_MRPC}/master/msr_paraphrase_test.txt",
        ),
        CorpusFile(
            "imdb_sample/imdb.csv",
            "f269eca99569b570a289fdfd6afd9d1d643906958b2559754d766b2ec7b45eef",
            "Asini-Jayakody/sentiment-classification/"
            "f79e54dbdf7c5b8c89f6cf5ef1ba47ed77b34f87/data/imdb.csv",
        ),
        CorpusFile(
            "chn_hotel/ChnSentiCorp_htl_all.csv",
            "1d414b9c65caf3a836abdb4efded621968502ad3338e1a9d885ae131c86083f0",
            f"{_CHINESE}/4ef366aa97c927f5bd69e1d97dc88461590174fd/"
            "datasets/ChnSentiCorp_htl_all/ChnSentiCorp_htl_all.csv",
        ),
        CorpusFile(
            "online_shopping/online_shopping_10_cats.zip",
            "6816ded66fde9d0927ecbd370b5e12d0174d1abac35192ec014ac2a0a8d25858",
            f"{_CHINESE}/9afa1292465c1247184073cf151adc583699d1d6/"
            "datasets/online_shopping_10_cats/online_shopping_10_cats.zip",
        ),
    )
}
