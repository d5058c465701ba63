from django.db import DatabaseError, connection
from django.db.models import F
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views import generic
from django.views.decorators.http import require_POST

from .models import Question


def published():
    """Questions that are published and have choices."""
    return Question.objects.filter(pub_date__lte=timezone.now(), choice__isnull=False).distinct()


class IndexView(generic.ListView):
    template_name = "polls/index.html"
    context_object_name = "questions"

    def get_queryset(self):
        return published().order_by("-pub_date")[:5]


class DetailView(generic.DetailView):
    template_name = "polls/detail.html"

    def get_queryset(self):
        return published()


class ResultsView(DetailView):
    template_name = "polls/results.html"


@require_POST
def vote(request, question_id):
    question = get_object_or_404(published(), pk=question_id)
    try:
        choice = question.choice_set.filter(pk=int(request.POST["choice"]))
    except (KeyError, ValueError):
        choice = question.choice_set.none()
    # Counted by the database, so that none of two simultaneous votes is lost.
    if choice.update(votes=F("votes") + 1) == 0:
        context = {"question": question, "error": "You did not select a choice."}
        return render(request, "polls/detail.html", context, status=400)
    # A reload of the next page does not vote again.
    return HttpResponseRedirect(reverse("polls:results", args=[question.pk]))


def health(request):
    """Answers 200 if the database answers, otherwise 503."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return HttpResponse("the database does not answer\n", status=503, content_type="text/plain")
    return HttpResponse("ok\n", content_type="text/plain")
