"""Proves of any request what no example can: a refusal is a sentence, nothing is a mistake of the web app's own, and what
was taken can be read again. `WEB_APP_EXAMPLES` is how many requests each property is tried with, 150 by default."""

import json
import os
import unittest

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests import imitation
from web_app.api import create_app
from web_app.worker import Worker

settings.register_profile(
    "bounded",
    max_examples=int(os.environ.get("WEB_APP_EXAMPLES", "150")),
    deadline=None,
    # The same ones each time, unless someone asks for more.
    derandomize="WEB_APP_EXAMPLES" not in os.environ,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("bounded")

# With the halves of characters and every control character.
texts = st.text(st.characters(exclude_categories=()), max_size=20)
plain = st.none() | st.booleans() | st.integers() | st.floats() | texts
anything = st.recursive(plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4))
names = st.sampled_from(["t", "column", "values"]) | texts
rows = st.lists(st.dictionaries(names, plain, max_size=4), max_size=6)
jobs = st.fixed_dictionaries(
    {"kind": st.sampled_from(["statistics", "histogram", "wait", "other"]) | plain},
    optional={
        "column": names | plain,
        "values": st.lists(st.integers() | st.floats(), max_size=6) | plain,
        "bins": st.integers(-1, 1001) | plain,
        "seconds": st.just(0) | st.just(-1) | texts,
    },
)
bodies = st.one_of(
    st.tuples(st.just("/data"), st.fixed_dictionaries({"rows": rows})),
    st.tuples(st.just("/jobs"), jobs),
    st.tuples(st.sampled_from(["/data", "/jobs"]), anything),
)
methods = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])


class PropertyTest(unittest.TestCase):
    def setUp(self):
        self.store, _ = imitation()
        self.client = create_app(self.store).test_client()
        self.worker = Worker(self.store, "one", None)

    def asked(self, answer):
        """The answer's JSON, which is Unicode and without infinity or NaN. A refusal is one sentence."""
        self.assertLess(answer.status_code, 500, answer.data)
        body = json.loads(answer.data.decode(), parse_constant=self.fail)
        if answer.status_code >= 400:
            self.assertEqual(list(body), ["id", "status", "error"] if answer.status_code == 409 else ["error"])
            self.assertRegex(body["error"], r"\A[^\n]+\Z")
        return body

    @given(bodies)
    # As JSON, two halves side by side are one character.
    @example(("/data", {"rows": [{"t": "\ud83d\ude00"}]}))
    def test_what_is_taken_can_be_read_and_done_again(self, request):
        path, body = request
        answer = self.client.post(path, data=json.dumps(body))
        posted = self.asked(answer)
        if answer.status_code == 201 and path == "/data":
            found = self.asked(self.client.get(f"/data?offset={posted['rows'] - posted['added']}"))
            self.assertEqual(found["rows"], json.loads(json.dumps(body["rows"])))
        if answer.status_code == 201 and path == "/jobs":
            self.worker.work(wait=1)
            self.assertIn(self.asked(self.client.get(f"/jobs/{posted['id']}"))["status"], ["done", "failed"])
            self.asked(self.client.get(f"/jobs/{posted['id']}/results"))
        self.asked(self.client.get("/data"))
        self.asked(self.client.get("/jobs"))

    @given(methods, st.sampled_from(["/data", "/jobs", "/"]), st.binary(max_size=40))
    def test_bytes_that_are_no_json_are_refused(self, method, path, body):
        answer = self.client.open(path, method=method, data=body)
        if answer.data:
            self.asked(answer)

    @given(methods, st.binary(max_size=30), st.binary(max_size=30))
    def test_any_path_and_query_are_answered(self, method, path, query):
        environ = {"PATH_INFO": f"/jobs/{path.decode('latin-1')}", "QUERY_STRING": query.decode("latin-1")}
        answer = self.client.open("/", method=method, environ_overrides=environ)
        if answer.data:
            self.asked(answer)


if __name__ == "__main__":
    unittest.main()
