import pytest

from ai_engine import ranking


@pytest.fixture
def ask(client):
    def ask(question, **more):
        response = client.post("/v1/answers", json={"question": question, **more})
        assert response.status_code == 200, response.text
        assert response.json()["question"] == question
        return response.json()["answers"]

    return ask


def sources(answers):
    return [answer["document"]["source"] for answer in answers]


@pytest.mark.parametrize(
    ("question", "source"),
    [
        ("how do I roll back a deployment?", "handbook/rollback"),
        ("the new release is broken, how do I get the old one back", "handbook/rollback"),
        ("how do I deploy to staging", "handbook/deploy"),
        ("run the database migrations", "handbook/migrations"),
        ("rotate an API key", "handbook/api-keys"),
        ("what do I do when a key has leaked?", "handbook/api-keys"),
        ("what does not ready mean", "handbook/health"),
        ("restore a backup", "handbook/backups"),
        ("I am on call, what are the first steps?", "handbook/on-call"),
        ("who blocks whom in the database", "handbook/slow-database"),
        ("rolback deploymnt", "handbook/rollback"),
    ],
)
def test_the_handbook_answers(ask, question, source):
    assert sources(ask(question))[0] == source


def test_an_answer_is_its_best_passage(ask):
    answers = ask("how do I roll back a deployment?")
    assert answers[0]["passages"][0]["heading"] == "How to roll back"
    assert answers == sorted(answers, key=lambda answer: -answer["score"])
    assert len(set(sources(answers))) == len(answers) == 3
    for answer in answers:
        best = answer["passages"][0]
        assert (answer["text"], answer["score"]) == (best["text"], best["score"])
        assert answer["passages"] == sorted(answer["passages"], key=lambda passage: -passage["score"])
        assert all(0 <= p["score"] <= 1 and p["document"] == answer["document"] for p in answer["passages"])
        assert len(answer["passages"]) <= 3


def test_the_limit_is_kept(ask):
    assert len(ask("deployment database health", limit=1)) == 1
    assert len(ask("deployment database health", limit=10)) > 3


@pytest.mark.parametrize("question", ["the of and to a", "?!", "🦊", "' ' \" -", "-", "-backup", '-"roll back"'])
def test_a_question_without_a_word_to_look_for_has_no_answer(ask, question):
    assert ask(question) == []


def test_nothing_found_is_an_empty_list(ask):
    assert ask("xylophone quodlibet") == []


@pytest.mark.parametrize(
    "question",
    [
        "'; drop table app.document; --",
        "a' or '1'='1",
        'unbalanced " quote backup',
        "back\\slash \\' backup",
        "%s %(question)s :name $1 {} backup",
        "backup & | ! <-> :* ()",
        "what does --plan do?",
        "'''' \\\\",
        "backup " * 120,
    ],
)
def test_a_question_is_only_ever_text(ask, owner, question):
    ask(question)
    assert owner.execute("select count(*) from app.document where source like 'handbook/%'").fetchone() == (8,)


def test_quotes_and_backslashes_in_words_are_searched(ask, document):
    document("test/quoted", "The o'hara\\path/to'file stands here.")
    assert sources(ask("o'hara\\path/to'file"))[0] == "test/quoted"


def test_a_leading_minus_excludes(ask):
    assert "handbook/rollback" in sources(ask("release back", limit=10))
    assert "handbook/rollback" not in sources(ask('release back -refused -"roll back" -rolling', limit=10))


def test_all_words_win_over_any_word(ask, document):
    document("test/all", "Quinoa with tabbouleh.")
    document("test/any", "Quinoa quinoa quinoa.")
    assert sources(ask("quinoa tabbouleh", limit=1)) == ["test/all"]
    assert sources(ask("quinoa tabbouleh", limit=2)) == ["test/all", "test/any"]


def test_similar_words_that_take_too_long_are_left_out(ask, monkeypatch):
    monkeypatch.setattr(ranking, "SIMILAR_WORDS_SECONDS", 0.001)
    assert sources(ask("roll back", limit=10))[0] == "handbook/rollback"


@pytest.mark.parametrize("limit", [0, 11, "3", 2.5])
def test_a_limit_out_of_range_is_a_problem(client, limit):
    response = client.post("/v1/answers", json={"question": "x", "limit": limit})
    assert response.status_code == 400
    assert response.json()["errors"][0]["pointer"] == "/limit"
