"""Proves what the API answers, refusals included. Redis is an imitation here; the cluster tests have the real one."""

import unittest

import redis

from tests import imitation
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
        with self.assertLogs("worker"):
            huge = self.results(self.submit(kind="statistics", values=[10**400, 1]))
        self.assertEqual(huge[0], 409)
        self.assertIn("OverflowError", huge[1]["error"])

    def test_jobs_are_listed_newest_first(self):
        ids = [self.submit(kind="wait", seconds=0) for _ in range(3)]
        listed = self.client.get("/jobs?limit=2").get_json()
        self.assertEqual((listed["count"], [job["id"] for job in listed["jobs"]]), (3, ids[:0:-1]))

    def test_says_that_redis_is_full(self):
        def full(*_):
            raise redis.exceptions.OutOfMemoryError("OOM command not allowed")

        self.store.add_rows = full
        with self.assertLogs(level="ERROR"):
            answer = self.post("/data", {"rows": [{"t": 1}]})
        self.refused(answer, 507, "Redis is full: DELETE /data makes room, or a higher memory limit")


if __name__ == "__main__":
    unittest.main()
