"""The API. An error is JSON with a sentence under the key `error`."""

import json
import logging
from urllib.parse import unquote_to_bytes

import redis
from flask import Flask, jsonify, request
from flask.json.provider import DefaultJSONProvider
from werkzeug.exceptions import HTTPException

from .store import MOST_ROW_BYTES, MOST_STORED_ROWS, Full, Store
from .work import KINDS, LONGEST_WAIT, MOST_BINS, Refused, checked, expect, is_number, shown

MOST_BYTES = 1 << 20
MOST_ROWS = 10_000

HELP = {
    "GET /help": "this list",
    "GET /healthz": "whether Redis answers, how many jobs wait and how many workers there are",
    "POST /data": 'add rows: {"rows": [{"city": "Oslo", "temperature": 3.5}]}; '
    f"at most {MOST_ROWS} at once, {MOST_STORED_ROWS} in all, {MOST_ROW_BYTES} bytes each",
    "GET /data": f"the rows, from ?offset=0 on at most ?limit=1000, and at most {MOST_BYTES} bytes of them",
    "DELETE /data": "delete all rows",
    "POST /jobs": {
        "statistics": 'of a column or of numbers: {"kind": "statistics", "column": "temperature"} or {…, "values": [1, 2]}',
        "histogram": f'the same with "bins", 1 to {MOST_BINS}: {{"kind": "histogram", "column": "temperature", "bins": 10}}',
        "wait": f'does nothing, for 0 to {LONGEST_WAIT} seconds: {{"kind": "wait", "seconds": 3}}',
    },
    "GET /jobs": f"the newest jobs, at most ?limit=100, and at most {MOST_BYTES} bytes of them",
    "GET /jobs/<id>": "one job",
    "GET /jobs/<id>/results": "what came of it; 202 while it is not done",
}
assert set(HELP["POST /jobs"]) == set(KINDS)


def create_app(store=None):
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MOST_BYTES
    app.json = Json(app)
    store = store or Store()

    @app.before_request
    def refuse_bytes_that_are_no_text():
        for where, found in (
            ("the path", request.environ["PATH_INFO"].encode("latin-1")),
            ("the query", unquote_to_bytes(request.environ.get("QUERY_STRING", "").encode("latin-1"))),
        ):
            try:
                found.decode()
            except UnicodeDecodeError:
                raise Refused(f"{where}: found {shown(found)}; expected text in UTF-8") from None

    @app.get("/help")
    def help_():
        return HELP

    @app.get("/healthz")
    def healthz():
        return {"status": "ok", **store.health()}

    @app.post("/data")
    def post_data():
        body = json_body()
        right = isinstance(body, dict) and set(body) == {"rows"} and isinstance(body["rows"], list)
        expect(right, "the request", body, 'a JSON object with the one key rows: {"rows": [{"temperature": 3.5}]}')
        rows = body["rows"]
        if not 0 < len(rows) <= MOST_ROWS:
            raise Refused(f"rows: found {len(rows)}; expected 1 to {MOST_ROWS}")
        for i, row in enumerate(rows):
            right = isinstance(row, dict) and row and all(is_plain(value) for value in row.values())
            expect(right, f"rows[{i}]", row, "an object of columns, each with a text, a number, true, false or null")
        texts = [json.dumps(row) for row in rows]
        for i, text in enumerate(texts):
            if len(text) > MOST_ROW_BYTES:
                raise Refused(f"rows[{i}]: found {len(text)} bytes of JSON in ASCII; expected at most {MOST_ROW_BYTES}")
        return {"added": len(rows), "rows": store.add_rows(texts)}, 201

    @app.get("/data")
    def get_data():
        offset, limit = number_of("offset", 0, 0, 10**9), number_of("limit", 1000, 1, MOST_ROWS)
        return {"count": store.count_rows(), "rows": store.rows(offset, limit, MOST_BYTES)}

    @app.delete("/data")
    def delete_data():
        return {"deleted": store.delete_rows()}

    @app.post("/jobs")
    def post_job():
        job = store.submit(*checked(json_body()))
        return job, 201, {"Location": f"/jobs/{job['id']}"}

    @app.get("/jobs")
    def get_jobs():
        jobs, count = store.jobs(number_of("limit", 100, 1, 1000), MOST_BYTES)
        return {"count": count, "jobs": jobs}

    @app.get("/jobs/<job_id>")
    def get_job(job_id):
        return known(job_id)

    @app.get("/jobs/<job_id>/results")
    def get_results(job_id):
        job = known(job_id)
        if job["status"] == "failed":
            return {"id": job_id, "status": "failed", "error": f"the job failed: {job['error']}"}, 409
        if job["status"] != "done":
            return {"id": job_id, "status": job["status"]}, 202
        return {"id": job_id, "status": "done", "results": store.result(job_id)}

    def known(job_id):
        job = store.job(job_id)
        if not job:
            raise Unknown(f"there is no job {job_id}; GET /jobs lists those that there are")
        return job

    @app.errorhandler(Refused)
    def refused(problem):
        return jsonify(error=str(problem)), 400

    @app.errorhandler(Full)
    def full(problem):
        found = f"the data: found {problem} rows; expected at most {MOST_STORED_ROWS} with the new ones"
        return jsonify(error=f"{found}: DELETE /data makes room"), 413

    @app.errorhandler(Unknown)
    def unknown(problem):
        return jsonify(error=str(problem)), 404

    @app.errorhandler(redis.RedisError)
    def not_stored(problem):
        app.logger.error("%s %s: %s", request.method, request.path, problem)
        if isinstance(problem, redis.exceptions.OutOfMemoryError):
            return jsonify(error="Redis is full: DELETE /data makes room, or a higher memory limit"), 507
        return jsonify(error="Redis does not take this just now: try again in a moment"), 503

    @app.errorhandler(HTTPException)
    def http_error(problem):
        sentences = {
            404: f"there is no {request.path} here; GET /help lists what there is",
            405: f"{request.path} does not take {request.method}; GET /help lists what there is",
            413: f"the request is too long; expected at most {MOST_BYTES} bytes",
        }
        return jsonify(error=sentences.get(problem.code, problem.description)), problem.code

    @app.errorhandler(Exception)
    def mistake(problem):
        app.logger.exception(problem)
        return jsonify(error="this is a mistake of the web app's own; its log says more"), 500

    return app


class Json(DefaultJSONProvider):
    """Unicode text, unescaped. Text that is no valid Unicode, which earlier versions accepted, is escaped."""

    sort_keys = False
    ensure_ascii = False

    def dumps(self, value, **options):
        text = super().dumps(value, **options)
        return text if text.isascii() or is_unicode(text) else super().dumps(value, **options | {"ensure_ascii": True})


def is_unicode(text):
    try:
        text.encode()
        return True
    except UnicodeEncodeError:
        return False


class Unknown(Exception):
    """Something that does not exist. The message is a sentence for the user."""


def json_body():
    """The request's body as JSON, with any content type."""
    try:
        body = request.get_json(force=True, silent=True)
        json.dumps(body, ensure_ascii=False).encode()
    except RecursionError:
        body = None
    except UnicodeEncodeError as problem:
        half = problem.object[problem.start]
        raise Refused(f"the request: found {half!r}, half a character; expected text in Unicode") from None
    if body is None:
        raise Refused("the request: found no JSON; expected a JSON object: GET /help shows some")
    return body


def is_plain(value):
    return value is None or isinstance(value, (str, bool)) or is_number(value)


def number_of(key, default, lowest, highest):
    text = request.args.get(key, str(default))
    right = text.isascii() and text.isdigit() and len(text) < 12 and lowest <= int(text) <= highest
    expect(right, key, text, f"a whole number from {lowest} to {highest}")
    return int(text)


logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
