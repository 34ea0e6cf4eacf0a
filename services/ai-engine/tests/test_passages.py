import pytest

from ai_engine.passages import Passage, split


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("one\n\ntwo\nlines\n \nthree", [(None, "one"), (None, "two\nlines"), (None, "three")]),
        ("before\n# Head\nright after\n\nlater", [(None, "before"), ("Head", "right after"), ("Head", "later")]),
        ("## A ##\n\n### B\ntext", [("B", "text")]),
        ("#no heading\n\n####### none either", [(None, "#no heading"), (None, "####### none either")]),
        ("\ufeff# Head\r\n\r\nwindows\r\nlines", [("Head", "windows\nlines")]),
        ("Run:\n\ncargo xtask health\n\nThen wait.", [(None, "Run:\n\ncargo xtask health"), (None, "Then wait.")]),
        ("Run:\n\n# Next\n\ntext", [(None, "Run:"), ("Next", "text")]),
        ("ends with:", [(None, "ends with:")]),
        ("```\n# a comment\n\nmore\n```\nafter", [(None, "```\n# a comment\n\nmore\n```\nafter")]),
        ("~~~\n```\n\n~~~\n\nafter", [(None, "~~~\n```\n\n~~~"), (None, "after")]),
        ("```\nnever closed\n\n# x", [(None, "```\nnever closed\n\n# x")]),
        ("# Only\n\n## Headings", [(None, "Only"), (None, "Headings")]),
        ("# " + "x" * 201, [(None, "# " + "x" * 201)]),
        (" \n\t\n", []),
    ],
)
def test_blocks_headings_lead_ins_and_fences(body, expected):
    assert split(body) == [Passage(*one) for one in expected]


def test_a_long_passage_is_cut_after_sentences():
    sentences = [f"Sentence number {number} says something." for number in range(100)]
    passages = split("# Head\n\n" + " ".join(sentences), 200)
    assert all(passage.heading == "Head" and len(passage.body) <= 200 for passage in passages)
    assert all(passage.body.endswith(".") for passage in passages)
    assert " ".join(passage.body for passage in passages) == " ".join(sentences)


def test_a_long_sentence_is_cut_at_a_space_and_a_long_word_at_the_limit():
    assert [passage.body for passage in split("word " * 30, 52)] == [("word " * 10).strip()] * 3
    assert [passage.body for passage in split("x" * 250, 100)] == ["x" * 100, "x" * 100, "x" * 50]


def test_sentences_without_spaces_are_cut_too():
    passages = split("備份已完成。" * 40, 100)
    assert all(passage.body.endswith("。") and len(passage.body) <= 100 for passage in passages)


@pytest.mark.parametrize("body", ["a " * 100_000, "x" * 200_000, "a\n\n" * 60_000, "# h\n" * 50_000, "." * 200_000])
def test_the_largest_documents_keep_every_character_that_counts(body):
    passages = split(body)
    kept = "".join(passage.body for passage in passages)
    assert all(0 < len(passage.body) <= 1200 for passage in passages)
    assert "".join(kept.split()) == "".join(body.replace("# h", "h").split())
