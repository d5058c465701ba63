"""Proves what the API answers, refusals included. Redis is an imitation here; the cluster tests have the real one."""

import json
import time
import tracemalloc
import unittest
from unittest import mock

import redis

from tests import imitation
from web_app import store as stores
from web_app.api import HELP, create_app
from web_app.worker import Worker


class ApiTest(unittest.TestCase):
    def setUp(self):
        self.store, self.server = imitation()
        self.client = create_app(self.store).test_client()
        self.worker = Worker(self.store, "one", None)

    def refused(self, answer, status, error):
        self.assertEqual((answer.status_code, answer.get_json()), (status, {"error": error}))

    def post(self, path, body):
        return self.client.post(path, json=body)

    def submit(self, **request):
        answer = self.post("/jobs", request)
        self.assertEqual(answer.status_code, 201, answer.get_json())
        return answer.get_json()["id"]

    def results(self, job_id):
        self.worker.work(wait=1)
        answer = self.client.get(f"/jobs/{job_id}/results")
        return answer.status_code, answer.get_json()

    def test_help_lists_every_route(self):
        routes = {
            f"{method} {rule.rule.replace('job_id', 'id')}"
            for rule in create_app(self.store).url_map.iter_rules()
            if rule.endpoint != "static"
            for method in rule.methods - {"HEAD", "OPTIONS"}
        }
        self.assertEqual(set(HELP), routes)
        self.assertEqual(self.client.get("/help").get_json(), HELP)

    def test_healthz_asks_redis(self):
        self.store.renew("one")
        self.submit(kind="wait", seconds=0)
        self.assertEqual(self.client.get("/healthz").get_json(), {"status": "ok", "queued": 1, "workers": 1})
        self.server.connected = False
        self.refused(self.client.get("/healthz"), 503, "Redis does not take this just now: try again in a moment")

    def test_data_is_added_shown_in_parts_and_deleted(self):
        rows = [{"city": "Tromsø", "t": -3.5}, {"t": 4, "sunny": True, "note": None}]
        self.assertEqual(self.post("/data", {"rows": rows}).get_json(), {"added": 2, "rows": 2})
        self.assertEqual(self.post("/data", {"rows": [{"t": 1}]}).get_json(), {"added": 1, "rows": 3})
        self.assertEqual(self.client.get("/data").get_json(), {"count": 3, "rows": [*rows, {"t": 1}]})
        self.assertEqual(self.client.get("/data?offset=1&limit=1").get_json(), {"count": 3, "rows": rows[1:]})
        self.assertEqual(self.client.delete("/data").get_json(), {"deleted": 3})
        self.assertEqual(self.client.get("/data").get_json(), {"count": 0, "rows": []})

    def test_refuses_data_that_is_none(self):
        one_key = 'expected a JSON object with the one key rows: {"rows": [{"temperature": 3.5}]}'
        a_row = "expected an object of columns, each with a text, a number, true, false or null"
        for body, error in [
            ([1], f"the request: found [1]; {one_key}"),
            ({"rows": [], "more": 1}, f"the request: found {{'rows': [], 'more': 1}}; {one_key}"),
            ({"rows": []}, "rows: found 0; expected 1 to 10000"),
            ({"rows": [{"t": 1}, 2]}, f"rows[1]: found 2; {a_row}"),
            ({"rows": [{}]}, f"rows[0]: found {{}}; {a_row}"),
            ({"rows": [{"t": [1]}]}, f"rows[0]: found {{'t': [1]}}; {a_row}"),
            ({"rows": [{"t": float("nan")}]}, f"rows[0]: found {{'t': nan}}; {a_row}"),
        ]:
            with self.subTest(body=body):
                self.refused(self.post("/data", body), 400, error)
        self.assertEqual(self.store.count_rows(), 0)

    def test_refuses_what_is_no_json_or_too_long(self):
        no_json = "the request: found no JSON; expected a JSON object: GET /help shows some"
        for body in ["{", "", "[" * 100_000]:
            self.refused(self.client.post("/data", data=body), 400, no_json)
        too_long = "the request is too long; expected at most 1048576 bytes"
        self.refused(self.client.post("/data", data=" " * (1 << 20) + "{}"), 413, too_long)

    def test_refuses_what_is_not_there(self):
        self.refused(self.client.get("/nowhere"), 404, "there is no /nowhere here; GET /help lists what there is")
        self.refused(self.client.put("/data"), 405, "/data does not take PUT; GET /help lists what there is")
        for path in ["/jobs/x", "/jobs/x/results"]:
            self.refused(self.client.get(path), 404, "there is no job x; GET /jobs lists those that there are")
        for query in ["limit=0", "limit=x", "limit=99999999999999999999", "limit=²"]:
            answer = self.client.get(f"/jobs?{query}")
            self.assertIn("expected a whole number from 1 to 1000", answer.get_json()["error"])

    def test_refuses_jobs_that_no_worker_could_do(self):
        for body, error in [
            ({}, "kind: found nothing; expected one of histogram, statistics, wait"),
            ({"kind": ["wait"]}, "kind: found ['wait']; expected one of histogram, statistics, wait"),
            (
                {"kind": "wait", "secs": 1},
                "the request: found 'secs'; expected no key but kind, seconds for a job of kind wait",
            ),
            ({"kind": "wait"}, "seconds: found nothing; expected a number from 0 to 60"),
            ({"kind": "wait", "seconds": 61}, "seconds: found 61; expected a number from 0 to 60"),
            ({"kind": "wait", "seconds": True}, "seconds: found True; expected a number from 0 to 60"),
            (
                {"kind": "statistics"},
                "column and values: expected one of them: a column of the data, or numbers",
            ),
            ({"kind": "statistics", "column": 3}, "column: found 3; expected the name of a column"),
            ({"kind": "statistics", "values": []}, "values: found []; expected a list of 1 to 10000 numbers"),
            (
                {"kind": "histogram", "column": "t", "bins": 0},
                "bins: found 0; expected a whole number from 1 to 1000",
            ),
        ]:
            with self.subTest(body=body):
                self.refused(self.post("/jobs", body), 400, error)
        self.assertEqual(self.client.get("/jobs").get_json(), {"count": 0, "jobs": []})

    def test_a_job_is_queued_done_and_has_results(self):
        self.post("/data", {"rows": [{"t": 1}, {"t": 2.5}, {"t": "cold"}, {"u": 9}, {"t": True}]})
        job_id = self.submit(kind="statistics", column="t")
        self.assertEqual(self.client.get(f"/jobs/{job_id}").get_json()["status"], "queued")
        waiting = self.client.get(f"/jobs/{job_id}/results")
        self.assertEqual((waiting.status_code, waiting.get_json()), (202, {"id": job_id, "status": "queued"}))
        status, body = self.results(job_id)
        expected = {"count": 2, "minimum": 1, "maximum": 2.5, "mean": 1.75, "median": 1.75, "deviation": 0.75}
        self.assertEqual((status, body), (200, {"id": job_id, "status": "done", "results": expected}))
        job = self.client.get(f"/jobs/{job_id}").get_json()
        self.assertEqual((job["worker"], job["attempts"], job["parameters"]), ("one", 1, {"column": "t"}))

    def test_the_other_kinds(self):
        bins = self.submit(kind="histogram", values=[0, 1, 1, 4], bins=2)
        self.assertEqual(self.results(bins)[1]["results"], {"edges": [0, 2, 4], "counts": [3, 1]})
        alike = self.submit(kind="histogram", values=[7, 7], bins=2)
        self.assertEqual(self.results(alike)[1]["results"]["counts"], [2, 0])
        nothing = self.submit(kind="wait", seconds=0)
        self.assertEqual(self.results(nothing)[1]["results"], {"waited": 0})

    def test_a_job_that_cannot_be_done_says_why(self):
        none = self.submit(kind="statistics", column="t")
        reason = "column: found 't'; expected a column that has a number in at least one row of the data"
        error = {"id": none, "status": "failed", "error": f"the job failed: {reason}"}
        self.assertEqual(self.results(none), (409, error))

    def test_numbers_that_are_too_large_together_are_refused_and_never_become_infinity(self):
        large = 1.5e308
        for values in [[10**400, 1], [large, large], [-large, 1e308, 1e308, 1e308], [-large, large]]:
            for kind in ["statistics", "histogram"]:
                with self.subTest(kind=kind, values=values):
                    status, body = self.results(self.submit(kind=kind, values=values))
                    if status == 409:
                        self.assertIn("the numbers are too large", body["error"])
                    else:
                        json.dumps(body, allow_nan=False)

    def test_jobs_are_listed_newest_first(self):
        ids = [self.submit(kind="wait", seconds=0) for _ in range(3)]
        listed = self.client.get("/jobs?limit=2").get_json()
        self.assertEqual((listed["count"], [job["id"] for job in listed["jobs"]]), (3, ids[:0:-1]))

    def test_jobs_that_have_expired_are_not_counted(self):
        with mock.patch.object(stores.time, "time", return_value=time.time() - stores.KEEP - 60):
            old = [self.submit(kind="wait", seconds=0) for _ in range(50)]
        waiting = old.pop()
        new = [self.submit(kind="wait", seconds=0) for _ in range(3)]
        # What Redis does by itself at the end of a job's time.
        self.store.all_jobs.delete(*(f"job:{job_id}" for job_id in old))
        listed = self.client.get("/jobs?limit=2").get_json()
        self.assertEqual((listed["count"], [job["id"] for job in listed["jobs"]]), (4, new[:0:-1]))
        self.assertIn(waiting, [job["id"] for job in self.client.get("/jobs").get_json()["jobs"]])

    def test_an_answer_has_no_more_than_a_mebibyte_of_rows_or_jobs(self):
        long = "x" * 60_000
        rows = [{"t": i, "text": long} for i in range(60)]
        for i in range(0, 60, 15):
            self.assertEqual(self.post("/data", {"rows": rows[i : i + 15]}).status_code, 201)
        found = []
        while len(found) < 60:
            answer = self.client.get(f"/data?offset={len(found)}&limit=10000")
            self.assertLess(len(answer.data), 1.1 * (1 << 20))
            self.assertEqual(answer.get_json()["count"], 60)
            found += answer.get_json()["rows"]
        self.assertEqual(found, rows)
        for _ in range(60):
            self.submit(kind="statistics", column=long)
        listed = self.client.get("/jobs")
        self.assertLess(len(listed.data), 1.1 * (1 << 20))
        self.assertEqual((listed.get_json()["count"], len(listed.get_json()["jobs"])), (60, 17))

    def test_refuses_rows_that_are_too_long_or_too_many(self):
        self.refused(
            self.post("/data", {"rows": [{"t": 1}, {"text": "x" * 65536}]}),
            400,
            "rows[1]: found 65548 bytes of JSON in ASCII; expected at most 65536",
        )
        with mock.patch.object(stores, "MOST_STORED_ROWS", 3):
            self.assertEqual(self.post("/data", {"rows": [{"t": 1}] * 3}).status_code, 201)
            self.refused(
                self.post("/data", {"rows": [{"t": 1}]}),
                413,
                "the data: found 3 rows; expected at most 1000000 with the new ones: DELETE /data makes room",
            )
        self.assertEqual(self.store.count_rows(), 3)

    def test_a_job_on_a_column_does_not_hold_all_rows(self):
        rows = 100_000
        self.store.data.rpush("rows", *(json.dumps({"t": i % 7, "text": "x" * 50}) for i in range(rows)))
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        job_id = self.submit(kind="statistics", column="t")
        status, body = self.results(job_id)
        # Eight bytes for each number and as many for the median's sorted ones, and a chunk of rows.
        self.assertLess(tracemalloc.get_traced_memory()[1], 5 << 20)
        self.assertEqual((status, body["results"]["count"]), (200, rows))

    def test_refuses_halves_of_characters_wherever_there_is_text(self):
        error = "the request: found '\\ud83d', half a character; expected text in Unicode"
        for path, body in [
            ("/data", {"rows": [{"a": "\ud83d"}]}),
            ("/data", {"rows": [{"\ud83d": 1}]}),
            ("/data", {"\ud83d": []}),
            ("/data", "\ud83d"),
            ("/jobs", {"kind": "\ud83d"}),
            ("/jobs", {"kind": "statistics", "column": "\ud83d"}),
            ("/jobs", {"kind": "wait", "seconds": 1, "\ud83d": 1}),
        ]:
            with self.subTest(path=path, body=body):
                self.refused(self.post(path, body), 400, error)
        # The same as bytes, in the encoding that has no such thing.
        self.refused(self.client.post("/data", data=b'{"rows": [{"a": "\xed\xa0\xbd"}]}'), 400, error)
        # As gunicorn hands over what a client has escaped.
        for environ, where in [
            ({"PATH_INFO": "/jobs/\xed\xa0\xbd"}, "path"),
            ({"PATH_INFO": "/\xff"}, "path"),
            ({"PATH_INFO": "/jobs", "QUERY_STRING": "limit=%ff"}, "query"),
        ]:
            answer = self.client.get("/", environ_overrides=environ)
            self.assertEqual(answer.status_code, 400)
            self.assertRegex(answer.get_json()["error"], f"^the {where}: found b'.*'; expected text in UTF-8$")
        self.assertEqual((self.store.count_rows(), self.client.get("/jobs").get_json()["count"]), (0, 0))
        # Both halves are a character, however it is written.
        self.assertEqual(self.client.post("/data", data='{"rows": [{"a": "\\ud83d\\ude00"}]}').status_code, 201)
        self.assertIn("😀", self.client.get("/data").text)

    def test_shows_what_earlier_versions_took(self):
        self.store.data.rpush("rows", json.dumps({"a": "\ud83d", "b": "ø"}))
        self.assertEqual(self.client.get("/data").get_json()["rows"], [{"a": "\ud83d", "b": "ø"}])

    def test_says_that_redis_is_full(self):
        def full(*_):
            raise redis.exceptions.OutOfMemoryError("OOM command not allowed")

        self.store.add_rows = full
        with self.assertLogs(level="ERROR"):
            answer = self.post("/data", {"rows": [{"t": 1}]})
        self.refused(answer, 507, "Redis is full: DELETE /data makes room, or a higher memory limit")


if __name__ == "__main__":
    unittest.main()
