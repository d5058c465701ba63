"""
What a visitor, a voter and an administrator see. On SQLite, so it does not prove that PostgreSQL works: the cluster's
tests vote there.
"""

import datetime

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.test import Client
from django.utils import timezone

from polls.models import Question

pytestmark = pytest.mark.django_db


def ask(text, days=-1, choices=("Yes", "No")):
    """A question that was published some days from now."""
    question = Question.objects.create(question_text=text, pub_date=timezone.now() + datetime.timedelta(days=days))
    for choice in choices:
        question.choice_set.create(choice_text=choice)
    return question


def votes(question):
    return {choice.choice_text: choice.votes for choice in question.choice_set.all()}


def test_the_migrations_are_what_the_models_say():
    call_command("makemigrations", check=True, dry_run=True)


class TestPublishedRecently:
    @pytest.mark.parametrize(
        ("ago", "expected"),
        [
            (datetime.timedelta(days=-30), False),
            (datetime.timedelta(days=1, seconds=1), False),
            (datetime.timedelta(hours=23, minutes=59), True),
        ],
    )
    def test_is_the_last_day(self, ago, expected):
        assert Question(pub_date=timezone.now() - ago).was_published_recently() is expected


class TestIndex:
    def test_says_when_there_is_nothing(self, client):
        assert "No polls are available." in client.get("/polls/").content.decode()

    def test_lists_the_newest_five_the_newest_first(self, client):
        for days in range(-6, 0):
            ask(f"Question {-days}", days)
        listed = [question.question_text for question in client.get("/polls/").context["questions"]]
        assert listed == [f"Question {number}" for number in (1, 2, 3, 4, 5)]

    def test_hides_what_is_not_published_or_has_no_choices(self, client):
        ask("Later", days=1)
        ask("Without choices", choices=())
        assert list(client.get("/polls/").context["questions"]) == []

    def test_is_where_a_visitor_arrives(self, client):
        assert client.get("/").headers["location"] == "/polls/"


@pytest.mark.parametrize("page", ["", "results/"])
class TestQuestion:
    def test_is_shown_with_its_choices(self, client, page):
        text = client.get(f"/polls/{ask('Tea?').pk}/{page}").content.decode()
        assert all(word in text for word in ("Tea?", "Yes", "No"))

    def test_is_not_there_before_its_time(self, client, page):
        assert client.get(f"/polls/{ask('Later', days=1).pk}/{page}").status_code == 404

    def test_is_escaped(self, client, page):
        text = client.get(f"/polls/{ask('<script>', choices=['<b>']).pk}/{page}").content.decode()
        assert "<script>" not in text and "<b>" not in text


class TestVote:
    def test_counts_and_leads_to_the_results(self, client):
        question = ask("Tea?")
        yes = question.choice_set.get(choice_text="Yes")
        answer = client.post(f"/polls/{question.pk}/vote/", {"choice": yes.pk})
        assert (answer.status_code, answer.headers["location"]) == (302, f"/polls/{question.pk}/results/")
        client.post(f"/polls/{question.pk}/vote/", {"choice": yes.pk})
        assert votes(question) == {"Yes": 2, "No": 0}
        text = client.get(f"/polls/{question.pk}/results/").content.decode()
        assert "Yes: 2 votes" in text and "No: 0 votes" in text

    def test_says_one_vote(self, client):
        question = ask("Tea?", choices=["Yes"])
        client.post(f"/polls/{question.pk}/vote/", {"choice": question.choice_set.get().pk})
        assert "Yes: 1 vote<" in client.get(f"/polls/{question.pk}/results/").content.decode()

    @pytest.mark.parametrize("data", [{}, {"choice": ""}, {"choice": "none"}, {"choice": "99"}])
    def test_refuses_what_is_no_choice(self, client, data):
        question = ask("Tea?")
        answer = client.post(f"/polls/{question.pk}/vote/", data)
        assert answer.status_code == 400
        assert "You did not select a choice." in answer.content.decode()
        assert votes(question) == {"Yes": 0, "No": 0}

    def test_refuses_another_questions_choice(self, client):
        question, other = ask("Tea?"), ask("Coffee?")
        answer = client.post(f"/polls/{question.pk}/vote/", {"choice": other.choice_set.first().pk})
        assert answer.status_code == 400
        assert votes(other) == {"Yes": 0, "No": 0}

    def test_is_for_published_questions(self, client):
        later = ask("Later", days=1)
        assert client.post(f"/polls/{later.pk}/vote/", {"choice": later.choice_set.first().pk}).status_code == 404
        assert votes(later) == {"Yes": 0, "No": 0}

    def test_takes_a_form_and_no_link(self, client):
        assert client.get(f"/polls/{ask('Tea?').pk}/vote/").status_code == 405

    def test_refuses_another_sites_form(self):
        question = ask("Tea?")
        stranger = Client(enforce_csrf_checks=True)
        answer = stranger.post(f"/polls/{question.pk}/vote/", {"choice": question.choice_set.first().pk})
        assert answer.status_code == 403
        assert votes(question) == {"Yes": 0, "No": 0}


class TestAdministration:
    def test_wants_a_login(self, client):
        assert client.get("/admin/polls/question/").headers["location"].startswith("/admin/login/")

    def test_makes_a_question_with_its_choices(self, admin_client):
        form = {"question_text": "Tea?", "pub_date_0": "2020-01-01", "pub_date_1": "00:00:00"}
        form |= {"choice_set-TOTAL_FORMS": "2", "choice_set-INITIAL_FORMS": "0"}
        for number, text in enumerate(("Yes", "No")):
            form |= {f"choice_set-{number}-choice_text": text, f"choice_set-{number}-votes": "0"}
        assert admin_client.post("/admin/polls/question/add/", form).status_code == 302
        assert votes(Question.objects.get(question_text="Tea?")) == {"Yes": 0, "No": 0}

    def test_finds_a_question_by_its_text(self, admin_client):
        ask("Tea?")
        ask("Coffee?")
        text = admin_client.get("/admin/polls/question/?q=tea").content.decode()
        assert "Tea?" in text and "Coffee?" not in text


class TestHealth:
    def test_is_well(self, client):
        answer = client.get("/healthz")
        assert (answer.status_code, answer.content) == (200, b"ok\n")

    def test_is_not_without_the_database(self, client, monkeypatch):
        def refuse():
            raise DatabaseError("gone")

        monkeypatch.setattr(connection, "cursor", refuse)
        assert client.get("/healthz").status_code == 503


def test_answers_its_own_name_alone(client, settings):
    settings.ALLOWED_HOSTS = ["polls.example"]
    assert client.get("/polls/", headers={"host": "polls.example"}).status_code == 200
    assert client.get("/polls/", headers={"host": "elsewhere.example"}).status_code == 400
