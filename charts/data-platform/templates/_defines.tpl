{{- define "data-platform.checksums-airflow-setup" -}}
script: {{ (include "data-platform.checksumOf" (list (include "data-platform.files-airflow-setup-script" $) "setup.py")) | toJson }}
admin: {{ (include "data-platform.text-5c4270d7" $) | toJson }}
database: {{ (include "data-platform.revisionOf" (list "" (printf "{\"username\":\"airflow\",\"password\":\"%v\"}" (include "data-platform.password-postgresql-user-airflow" $)))) | toJson }}
{{ end }}

{{- define "data-platform.checksums-django-name-migrate" -}}
{{- $name106 := $.name106 -}}
{{- $value106 := $.value106 -}}
key: {{ (include "data-platform.revisionOf" (list "" (printf "{\"secret-key\":\"%v\"}" (include "data-platform.password-django-name-secret-key" (dict "Values" $.Values "Release" $.Release "name106" $name106 "value106" $value106))))) | toJson }}
database: {{ (include "data-platform.revisionOf" (list "" (printf "{\"username\":\"django_%v\",\"password\":\"%v\"}" (include "data-platform.withUnderscores" (list $name106)) (include "data-platform.password-postgresql-user-name" (dict "Values" $.Values "Release" $.Release "name106" $name106 "value106" $value106))))) | toJson }}
admin: {{ (include "data-platform.text-eca05fbe" (dict "Values" $.Values "Release" $.Release "name106" $name106 "value106" $value106)) | toJson }}
{{ end }}

{{- define "data-platform.checksums-kafka-topics" -}}
{}
{{ end }}

{{- define "data-platform.checksums-minio-buckets" -}}
policy: {{ (include "data-platform.checksumOf" (list (include "data-platform.files-minio-policy" $) "policy.json")) | toJson }}
admin: {{ (include "data-platform.text-7b48b43d" $) | toJson }}
platform: {{ (include "data-platform.revisionOf" (list "" (printf "{\"access-key\":\"platform\",\"secret-key\":\"%v\"}" (include "data-platform.password-minio-platform" $)))) | toJson }}
{{ end }}

{{- define "data-platform.checksums-noetl-schema" -}}
scripts: {{ (include "data-platform.checksumOf" (list (include "data-platform.files-noetl-scripts" $) "newest.py" "apply_schema.py" "set_up.py")) | toJson }}
database: {{ (include "data-platform.revisionOf" (list "" (printf "{\"username\":\"noetl\",\"password\":\"%v\"}" (include "data-platform.password-postgresql-user-noetl" $)))) | toJson }}
{{ end }}

{{- define "data-platform.checksums-polls-migrate" -}}
key: {{ (include "data-platform.revisionOf" (list "" (printf "{\"secret-key\":\"%v\"}" (include "data-platform.password-polls-secret-key" $)))) | toJson }}
database: {{ (include "data-platform.revisionOf" (list "" (printf "{\"username\":\"polls\",\"password\":\"%v\"}" (include "data-platform.password-postgresql-user-polls" $)))) | toJson }}
admin: {{ (include "data-platform.text-6c52fb8c" $) | toJson }}
{{ end }}

{{- define "data-platform.checksums-postgresql-users" -}}
admin: {{ (include "data-platform.text-25523ba0" $) | toJson }}
nessie: {{ (include "data-platform.revisionOf" (list "" (printf "{\"username\":\"nessie\",\"password\":\"%v\"}" (include "data-platform.password-postgresql-user-nessie" $)))) | toJson }}
airflow: {{ (include "data-platform.revisionOf" (list "" (printf "{\"username\":\"airflow\",\"password\":\"%v\"}" (include "data-platform.password-postgresql-user-airflow" $)))) | toJson }}
superset: {{ (include "data-platform.revisionOf" (list "" (printf "{\"username\":\"superset\",\"password\":\"%v\"}" (include "data-platform.password-postgresql-user-superset" $)))) | toJson }}
mlflow: {{ (include "data-platform.revisionOf" (list "" (printf "{\"username\":\"mlflow\",\"password\":\"%v\"}" (include "data-platform.password-postgresql-user-mlflow" $)))) | toJson }}
trino: {{ (include "data-platform.revisionOf" (list "" (printf "{\"username\":\"trino\",\"password\":\"%v\"}" (include "data-platform.password-postgresql-user-trino" $)))) | toJson }}
polls: {{ (include "data-platform.revisionOf" (list "" (printf "{\"username\":\"polls\",\"password\":\"%v\"}" (include "data-platform.password-postgresql-user-polls" $)))) | toJson }}
{{- if $.Values.noetl.enabled }}
noetl: {{ (include "data-platform.revisionOf" (list "" (printf "{\"username\":\"noetl\",\"password\":\"%v\"}" (include "data-platform.password-postgresql-user-noetl" $)))) | toJson }}
{{- end }}
{{- range $name106, $value106 := $.Values.djangoApps }}
{{- $value106 = mergeOverwrite (fromJson "{\"application\":\"mysite.wsgi\",\"interface\":\"wsgi\",\"healthPath\":\"/healthz\",\"replicas\":1,\"workers\":1,\"resources\":{\"requests\":{\"cpu\":\"5m\",\"memory\":\"96Mi\"},\"limits\":{\"memory\":\"256Mi\"}},\"pods\":{\"priority\":\"web\"},\"serviceAccount\":{},\"env\":{},\"envFrom\":[],\"service\":{},\"ingress\":{},\"auth\":{\"rotation\":1}}") $value106 }}
{{ (printf "django_%v" (include "data-platform.withUnderscores" (list $name106))) | toJson }}: {{ (include "data-platform.revisionOf" (list "" (printf "{\"username\":\"django_%v\",\"password\":\"%v\"}" (include "data-platform.withUnderscores" (list $name106)) (include "data-platform.password-postgresql-user-name" (dict "Values" $.Values "Release" $.Release "name106" $name106 "value106" $value106))))) | toJson }}
{{- end }}
{{- if $.Values.monitoring.enabled }}
monitoring: {{ (include "data-platform.revisionOf" (list "" (printf "{\"username\":\"monitoring\",\"password\":\"%v\"}" (include "data-platform.password-postgresql-user-monitoring" $)))) | toJson }}
{{- end }}
{{- range $other111 := (without (uniq $.Values.postgresql.databases) "nessie" "airflow" "superset" "mlflow" "trino" "polls" "noetl" "monitoring") }}
{{ $other111 | toJson }}: {{ (include "data-platform.revisionOf" (list "" (printf "{\"username\":\"%v\",\"password\":\"%v\"}" $other111 (include "data-platform.password-postgresql-user-other" (dict "Values" $.Values "Release" $.Release "other111" $other111))))) | toJson }}
{{- end }}
{{ end }}

{{- define "data-platform.checksums-superset-databases" -}}
config: {{ (include "data-platform.checksumOf" (list (include "data-platform.files-superset-config" $) "superset_config.py" "expiring.py" "ping.py" "set_up.py")) | toJson }}
key: {{ (include "data-platform.revisionOf" (list "" (printf "{\"secret-key\":\"%v\"}" (include "data-platform.password-superset-secret-key" $)))) | toJson }}
database: {{ (include "data-platform.revisionOf" (list "" (printf "{\"username\":\"superset\",\"password\":\"%v\"}" (include "data-platform.password-postgresql-user-superset" $)))) | toJson }}
cache: {{ (include "data-platform.text-da581197" $) | toJson }}
queue: {{ (include "data-platform.text-da581197" $) | toJson }}
databases: {{ (include "data-platform.checksumOf" (list (include "data-platform.files-superset-databases" $) "databases.json" "register.py")) | toJson }}
postgresql: {{ (include "data-platform.revisionOf" (list "" (printf "{\"username\":\"trino\",\"password\":\"%v\"}" (include "data-platform.password-postgresql-user-trino" $)))) | toJson }}
{{- if $.Values.clickhouse.enabled }}
clickhouse: {{ (include "data-platform.text-b8cf4eff" $) | toJson }}
{{- end }}
{{ end }}

{{- define "data-platform.checksums-superset-setup" -}}
config: {{ (include "data-platform.checksumOf" (list (include "data-platform.files-superset-config" $) "superset_config.py" "expiring.py" "ping.py" "set_up.py")) | toJson }}
key: {{ (include "data-platform.revisionOf" (list "" (printf "{\"secret-key\":\"%v\"}" (include "data-platform.password-superset-secret-key" $)))) | toJson }}
database: {{ (include "data-platform.revisionOf" (list "" (printf "{\"username\":\"superset\",\"password\":\"%v\"}" (include "data-platform.password-postgresql-user-superset" $)))) | toJson }}
cache: {{ (include "data-platform.text-da581197" $) | toJson }}
queue: {{ (include "data-platform.text-da581197" $) | toJson }}
setup: {{ (include "data-platform.checksumOf" (list (include "data-platform.files-superset-setup" $) "setup.py")) | toJson }}
admin: {{ (include "data-platform.text-6a3a087c" $) | toJson }}
{{ end }}

{{- define "data-platform.clients-allowFrom" -}}
{{- range $item405 := (include "data-platform.entriesWith" (list $.Values.global.networkPolicies.allowFrom (dict )) | fromJsonArray) }}
-
  namespaceSelector:{{ if not (or $item405.namespaceLabels (not (not (not $item405.namespaceLabels)))) }} {}{{ end }}
{{- if $item405.namespaceLabels }}
    matchLabels:{{ if not $item405.namespaceLabels }} {}{{ end }}
{{- range $name406, $value406 := $item405.namespaceLabels }}
      {{ $name406 | toJson }}: {{ $value406 | toJson }}
{{- end }}
{{- end }}
{{- if (not (not (not $item405.namespaceLabels))) }}
    matchExpressions:
      -
        key: "kubernetes.io/metadata.name"
        operator: "In"
        values:{{ if not (or (or $.Values.minio.enabled $.Values.nessie.enabled $.Values.postgresql.enabled $.Values.redis.enabled) (or $.Values.airflow.enabled $.Values.clickhouse.enabled $.Values.deployd.enabled $.Values.djangoApps $.Values.flink.enabled $.Values.kafka.enabled $.Values.noetl.enabled $.Values.polls.enabled $.Values.schemaRegistry.enabled $.Values.spark.enabled $.Values.superset.enabled $.Values.trino.enabled $.Values.webApp.enabled) $.Values.monitoring.enabled) }} []{{ end }}
{{- if (or $.Values.minio.enabled $.Values.nessie.enabled $.Values.postgresql.enabled $.Values.redis.enabled) }}
          - {{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) | toJson }}
{{- end }}
{{- if (or $.Values.airflow.enabled $.Values.clickhouse.enabled $.Values.deployd.enabled $.Values.djangoApps $.Values.flink.enabled $.Values.kafka.enabled $.Values.noetl.enabled $.Values.polls.enabled $.Values.schemaRegistry.enabled $.Values.spark.enabled $.Values.superset.enabled $.Values.trino.enabled $.Values.webApp.enabled) }}
          - {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
{{- end }}
{{- if $.Values.monitoring.enabled }}
          - {{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) | toJson }}
{{- end }}
{{- end }}
{{- if $item405.podLabels }}
  podSelector:
    matchLabels:{{ if not $item405.podLabels }} {}{{ end }}
{{- range $name407, $value407 := $item405.podLabels }}
      {{ $name407 | toJson }}: {{ $value407 | toJson }}
{{- end }}
{{- end }}
{{- end }}
{{ end }}

{{- define "data-platform.files-airflow-config" -}}
"airflow.cfg": |
  [core]
  executor = CeleryExecutor
  auth_manager = airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager
  execution_api_server_url = http://airflow.{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}.svc:8080/execution/
  # A pod's name is known to no other pod; by its address the API server reads the log of a task that still runs.
  hostname_callable = pod_address.in_url
  load_examples = False

  [database]
  sql_alchemy_pool_size = 5
  sql_alchemy_max_overflow = 10

  [celery]
  celery_config_options = celery_config.CELERY_CONFIG

  [api]
  {{ if (include "data-platform.pageUrl" (list (include "data-platform.pageHost" (list "" "airflow" $.Values.global.domain true)))) }}# What people type: links in pages and mails begin with it.
  base_url = {{ (include "data-platform.pageUrl" (list (include "data-platform.pageHost" (list "" "airflow" $.Values.global.domain true)))) }}
  {{ end }}# Empty: every address, IPv4 and IPv6.
  host =
  port = 8080
  workers = 1

  [workers]
  # A busy API server may take longer than the 5 seconds that Airflow has here.
  execution_api_timeout = 30

  [scheduler]
  enable_health_check = True
  # It knows IPv4 alone, so the probe asks it within the pod.
  scheduler_health_check_server_host = 127.0.0.1
  scheduler_health_check_server_port = 8974

  [dag_processor]
  parsing_processes = 1
  dag_bundle_config_list = [{{ if (kindIs "map" $.Values.airflow.dags.git) }}{"name":"git","classpath":"airflow.providers.git.bundles.git.GitDagBundle","kwargs":{"git_conn_id":"dags","repo_url":{{ (include "data-platform.literal" (list (include "data-platform.jsonText" (list $.Values.airflow.dags.git.repository)))) }},"tracking_ref":"{{ $.Values.airflow.dags.git.branch }}",{{ if $.Values.airflow.dags.git.folder }}"subdir":"{{ $.Values.airflow.dags.git.folder }}",{{ end }}"refresh_interval":60}}{{ else }}{"name":"configmap","classpath":"airflow.dag_processing.bundles.local.LocalDagBundle","kwargs":{"path":"/opt/airflow/dags/..data","refresh_interval":30}}{{ end }}]

  [celery_broker_transport_options]
  # Seconds after which Redis hands a task to another worker. A task that runs longer is run twice.
  visibility_timeout = 86400
  # Without these, a process waits forever for a Redis that has gone without closing its connections, and does not stop.
  socket_timeout = 10
  socket_connect_timeout = 5

  [logging]
  remote_logging = True
  remote_base_log_folder = s3://airflow/logs
  remote_log_conn_id = minio
  # Once a log is in the bucket, the pod's own copy is of no use.
  delete_local_logs = True
  worker_log_server_port = 8793
  trigger_log_server_port = 8794
  dag_processor_log_target = stdout
  colored_console_log = False

  [fab]
  {{ if (include "data-platform.pageUrl" (list (include "data-platform.pageHost" (list "" "airflow" $.Values.global.domain true)))) }}# The login page, a WSGI application of its own, takes X-Forwarded-* too.
  enable_proxy_fix = True
  # Browsers send the session by HTTPS alone.
  cookie_secure = True
  {{ end }}config_file = /opt/airflow/config/webserver_config.py
  {{ if $.Values.monitoring.enabled }}
  [metrics]
  statsd_on = True
  statsd_host = exporters-statsd.{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}.svc
  statsd_port = 9125
  statsd_prefix = airflow
  # Sends a metric's DAG, task and the like as tags, not in its name.
  statsd_influxdb_enabled = True
  legacy_names_on = False
  {{ end }}
"queue_address.py": |
  """Where the queue is, with its password. As a program it prints that, for Airflow's own configuration."""
  import os
  import sys
  from urllib.parse import quote

  password = quote(os.environ["QUEUE_PASSWORD"].rstrip("\n"), safe="")
  url = f"redis://:{password}@redis.{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}.svc:6379/1"
  if __name__ == "__main__":
      sys.stdout.write(url)
"webserver_config.py": |
  from flask_appbuilder.const import AUTH_DB
  from queue_address import url

  AUTH_TYPE = AUTH_DB
  WTF_CSRF_ENABLED = True
  WTF_CSRF_TIME_LIMIT = None
  # Attempts to log in are counted for all API servers together.
  RATELIMIT_STORAGE_URI = url
"pod_address.py": |
  """The pod's address, by which Airflow's processes know each other."""
  import os


  def in_url():
      address = os.environ["POD_IP"]
      return f"[{address}]" if ":" in address else address
"celery_config.py": |
  from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG
  from sqlalchemy.pool import NullPool

  CELERY_CONFIG = DEFAULT_CELERY_CONFIG | {
      "database_engine_options": DEFAULT_CELERY_CONFIG["database_engine_options"] | {"poolclass": NullPool},
      "worker_consumer": "celery_consumer:Consumer",
  }
"celery_consumer.py": |
  """A worker's consumer without event heartbeats, so that a worker without Redis still stops on SIGTERM."""
  from celery.worker.consumer import Consumer as CeleryConsumer


  class Consumer(CeleryConsumer):
      def __init__(self, *args, worker_options=None, **options):
          super().__init__(*args, worker_options={**(worker_options or {}), "without_heartbeat": True}, **options)
"request_limit.py": |
  """Works on a limited number of requests at once. Others wait for their turn, without a connection to the database."""
  import asyncio

  from airflow.plugins_manager import AirflowPlugin

  # The kubelet's probes do not wait.
  PROBES = {"/execution/health", "/api/v2/monitor/health", "/api/v2/version"}


  class RequestLimit:
      def __init__(self, app, most):
          self.app = app
          self.turns = asyncio.Semaphore(most)

      async def __call__(self, scope, receive, send):
          if scope["type"] != "http" or scope["path"] in PROBES:
              await self.app(scope, receive, send)
              return
          await self.turns.acquire()
          works = True

          def done():
              nonlocal works
              if works:
                  works = False
                  self.turns.release()

          async def answer(message):
              # Its connection is back in the pool by now, and a stream may last for hours.
              done()
              await send(message)

          try:
              await self.app(scope, receive, answer)
          finally:
              done()


  class RequestLimitPlugin(AirflowPlugin):
      name = "request_limit"
      fastapi_root_middlewares = [
          {"name": "request limit", "middleware": RequestLimit, "kwargs": {"most": 10}}
      ]
"alive.py": |
  """Whether the process in this pod works: succeeds or fails. The argument says what it is."""
  import os
  import socket
  import sys

  from pod_address import in_url

  host = socket.gethostname()


  def worker():
      from celery import Celery
      from queue_address import url

      app = Celery(broker=url)
      return app.control.inspect([f"celery@{host}"], timeout=8).ping()


  def job(kind):
      import psycopg2

      url = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "")
      with psycopg2.connect(url, connect_timeout=8) as connection, connection.cursor() as cursor:
          cursor.execute(
              "SELECT 1 FROM job WHERE job_type = %s AND hostname = %s AND state = 'running'"
              " AND latest_heartbeat > now() - interval '60 seconds'",
              (kind, in_url()),
          )
          return cursor.fetchone()


  sys.exit(0 if (worker() if sys.argv[1] == "worker" else job(sys.argv[1])) else 1)
"set_up.py": |
  """For which versions of the software the Job has set up the database: recorded by the Job, awaited by the pods.

  A version that has its record is never held up, also while a newer one is being set up or has failed to be.
  """
  import os
  import signal
  import sys
  import time

  try:
      import psycopg2 as driver
  except ImportError:
      import psycopg as driver

  host, port, database, user, password, job, version = (
      os.environ[f"SET_UP_{name}"] for name in ("HOST", "PORT", "DATABASE", "USER", "PASSWORD", "JOB", "VERSION")
  )


  def query(text, *values):
      """The first value of the first row."""
      connection = driver.connect(host=host, port=port, dbname=database, user=user, password=password, connect_timeout=10)
      try:
          cursor = connection.cursor()
          cursor.execute(text, values)
          row = cursor.fetchone() if cursor.description else None
          connection.commit()
          return row and row[0]
      finally:
          connection.close()


  def until(ready, reason):
      """Returns when `ready` does, and prints what it waits for."""
      said = None
      while True:
          try:
              if ready():
                  return
              waiting = reason
          except driver.OperationalError as problem:
              waiting = f"waiting for the database {database} of {host}: {str(problem).strip()}"
          if waiting != said:
              print(said := waiting, flush=True)
          time.sleep(2)


  def is_recorded():
      # A query of a table that does not exist would be an error in the server's log.
      exists = query("SELECT to_regclass('public.data_platform_set_up') IS NOT NULL")
      return exists and query("SELECT count(*) FROM public.data_platform_set_up WHERE version = %s", version)


  def wait_for_database():
      until(lambda: query("SELECT 1"), "")


  def wait():
      until(is_recorded, f"waiting for the Job {job}: it has not set up the database {database} for {version} yet")
      print(f"the database {database} is set up for {version}")


  def record():
      query(
          "CREATE TABLE IF NOT EXISTS public.data_platform_set_up"
          " (version text PRIMARY KEY, finished timestamptz NOT NULL DEFAULT now())"
      )
      query("INSERT INTO public.data_platform_set_up (version) VALUES (%s) ON CONFLICT DO NOTHING", version)
      print(f"recorded that the database {database} is set up for {version}")


  if __name__ == "__main__":
      # The first process of a container ignores SIGTERM unless it handles it.
      signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
      {"database": wait_for_database, "wait": wait, "record": record}[sys.argv[1]]()
{{ end }}

{{- define "data-platform.files-airflow-dags" -}}
"hello.py": |
  """Shows that everything is in place. It runs when someone triggers it."""
  import socket

  from airflow.sdk import dag, task


  @dag(schedule=None, tags=["example"], doc_md=__doc__)
  def hello():
      @task
      def greet() -> str:
          host = socket.gethostname()
          print(f"Hello from {host}")
          return host

      greet()


  hello()
{{ end }}

{{- define "data-platform.files-airflow-setup-script" -}}
"setup.py": |
  import os
  import subprocess

  import set_up

  set_up.wait_for_database()
  subprocess.run(["airflow", "db", "migrate"], check=True)

  from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
  from airflow.utils.providers_configuration_loader import providers_configuration_loaded


  @providers_configuration_loaded
  def admin(password):
      with get_application_builder() as builder:
          manager = builder.sm
          user = manager.find_user("admin")
          if user:
              done = manager.reset_password(user.id, password)
          else:
              done = manager.add_user("admin", "Platform", "Admin", "admin@localhost", manager.find_role("Admin"), password)
          if not done:
              raise SystemExit("the user admin could not be written")
          print("the user admin has", "a new password" if user else "been made")


  # By the environment: as an argument every process could read it.
  password = os.environ["ADMIN_PASSWORD"].rstrip("\n")
  if not password.isprintable() or not password:
      raise SystemExit("stack {{ $.Release.Name }}: Secret {{ if $.Values.airflow.auth.existingSecret }}{{ $.Values.airflow.auth.existingSecret }}{{ else }}airflow-admin{{ end }}, key password: expected a value of printable characters; found none, or a control character among them")
  admin(password)

  set_up.record()
{{ end }}

{{- define "data-platform.files-app-x-config-redis" -}}
"redis.conf": |
  include /run/redis/auth.conf
  bind * -::*
  port 6379
  dir /data
  # Every write is in the file within a second; a rewrite starts from a snapshot, so loading is quick.
  appendonly yes
  appendfsync everysec
  aof-use-rdb-preamble yes
  # And a snapshot of its own, dump.rdb: each hour in which something changed, each five minutes in which a lot did.
  save 3600 1 300 100
  # 60 % of webApp.redis.resources.limits.memory ({{ $.Values.webApp.redis.resources.limits.memory }}). Jobs, leases and results are data, although some expire: a full server refuses writes, it never drops a key.
  maxmemory {{ (toString (int64 (include "data-platform.mebibytesOf" (list $.Values.webApp.redis.resources.limits.memory 60)))) }}mb
  maxmemory-policy noeviction
{{ end }}

{{- define "data-platform.files-clickhouse-config" -}}
"config.xml": |
  <clickhouse>
    <logger>
      <level>information</level>
      <console>1</console>
    </logger>
    <listen_host from_env="LISTEN_HOST"/>
    <http_port>8123</http_port>
    <tcp_port>9000</tcp_port>
    <prometheus>
      <endpoint>/metrics</endpoint>
      <port>9363</port>
      <metrics>true</metrics>
      <events>true</events>
      <asynchronous_metrics>true</asynchronous_metrics>
    </prometheus>
    <!-- No crash reports to ClickHouse's vendor. -->
    <send_crash_reports><enabled>false</enabled></send_crash_reports>

    <path>/var/lib/clickhouse/</path>
    <tmp_path>/var/lib/clickhouse/tmp/</tmp_path>
    <user_files_path>/var/lib/clickhouse/user_files/</user_files_path>
    <format_schema_path>/var/lib/clickhouse/format_schemas/</format_schema_path>
    <users_config>users.xml</users_config>
    <!-- Users and roles that were made by SQL. -->
    <access_control_path>/var/lib/clickhouse/access/</access_control_path>
    <default_profile>default</default_profile>
    <default_database>default</default_database>
    <timezone>UTC</timezone>

    <!-- 80 % of the memory limit, {{ $.Values.clickhouse.resources.limits.memory }}: past it a query is refused, and the container is not killed. -->
    <max_server_memory_usage>{{ (toString (int64 (include "data-platform.bytesOf" (list $.Values.clickhouse.resources.limits.memory 80)))) }}</max_server_memory_usage>
    <!-- Within those: what finds the rows in the files, and nothing of their contents. -->
    <mark_cache_size>{{ (toString (int64 (include "data-platform.bytesOf" (list $.Values.clickhouse.resources.limits.memory 10)))) }}</mark_cache_size>
    <uncompressed_cache_size>0</uncompressed_cache_size>

    <!-- The only log table. The others would write all the time. -->
    <query_log>
      <database>system</database>
      <table>query_log</table>
      <partition_by>toYYYYMM(event_date)</partition_by>
      <ttl>event_date + INTERVAL 30 DAY DELETE</ttl>
      <flush_interval_milliseconds>7500</flush_interval_milliseconds>
    </query_log>
  </clickhouse>
"users.xml": |
  <clickhouse>
    <users>
      <platform>
        <password_sha256_hex from_env="PASSWORD_SHA256"/>
        <networks><ip>::/0</ip></networks>
        <profile>default</profile>
        <quota>default</quota>
        <access_management>1</access_management>
      </platform>
    </users>
    <profiles>
      <default>
        <!-- 60 % of the memory limit, {{ $.Values.clickhouse.resources.limits.memory }}: one query leaves room for others. -->
        <max_memory_usage>{{ (toString (int64 (include "data-platform.bytesOf" (list $.Values.clickhouse.resources.limits.memory 60)))) }}</max_memory_usage>
        <log_queries>1</log_queries>
      </default>
    </profiles>
    <quotas><default/></quotas>
  </clickhouse>
{{ end }}

{{- define "data-platform.files-deployd-config" -}}
"config.yaml": |
  repositories:{{ if $.Values.deployd.repositories }}
  {{ (include "data-platform.repositoryLines" (list $.Values.deployd.repositories (coalesce $.Values.namespaces.deployed.name (printf "%v-deployed" $.Release.Name)))) | replace "\n" "\n  " }}{{ else }} []
  {{ end }}
{{ end }}

{{- define "data-platform.files-exporters-dashboards" -}}
{{ if not (or $.Values.postgresql.enabled $.Values.redis.enabled $.Values.minio.enabled $.Values.nessie.enabled $.Values.kafka.enabled $.Values.schemaRegistry.enabled $.Values.clickhouse.enabled $.Values.trino.enabled $.Values.flink.enabled $.Values.spark.enabled $.Values.airflow.enabled $.Values.superset.enabled) }} {}{{ end }}
{{- if $.Values.postgresql.enabled }}
"postgresql.json": |-
  {
   "uid": "{{ (include "data-platform.dashboardUid" (list (printf "%v-postgresql" $.Release.Name))) }}",
   "title": "postgresql",
   "tags": [
    "data-platform",
    "{{ $.Release.Name }}"
   ],
   "schemaVersion": 39,
   "time": {
    "from": "now-1h",
    "to": "now"
   },
   "refresh": "30s",
   "templating": {
    "list": [
     {
      "name": "datasource",
      "label": "Prometheus",
      "type": "datasource",
      "query": "prometheus"
     }
    ]
   },
   "panels": [
    {
     "id": 1,
     "type": "timeseries",
     "title": "Up",
     "gridPos": {
      "x": 0,
      "y": 0,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "short",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "pg_up{job=~\"exporters-postgresql\",namespace=\"{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}\"}",
       "legendFormat": "up"
      }
     ]
    },
    {
     "id": 2,
     "type": "timeseries",
     "title": "Connections",
     "gridPos": {
      "x": 12,
      "y": 0,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "short",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "pg_stat_database_numbackends{job=~\"exporters-postgresql\",namespace=\"{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}\",datname!=\"\"}",
       "legendFormat": "{{ "{{" }}datname}}"
      },
      {
       "refId": "B",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "pg_settings_max_connections{job=~\"exporters-postgresql\",namespace=\"{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}\"}",
       "legendFormat": "maximum"
      }
     ]
    },
    {
     "id": 3,
     "type": "timeseries",
     "title": "Transactions",
     "gridPos": {
      "x": 0,
      "y": 8,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "ops",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "rate(pg_stat_database_xact_commit{job=~\"exporters-postgresql\",namespace=\"{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}\",datname!=\"\"}[5m])",
       "legendFormat": "{{ "{{" }}datname}} committed"
      },
      {
       "refId": "B",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "rate(pg_stat_database_xact_rollback{job=~\"exporters-postgresql\",namespace=\"{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}\",datname!=\"\"}[5m])",
       "legendFormat": "{{ "{{" }}datname}} rolled back"
      }
     ]
    },
    {
     "id": 4,
     "type": "timeseries",
     "title": "Database size",
     "gridPos": {
      "x": 12,
      "y": 8,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "bytes",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "pg_database_size_bytes{job=~\"exporters-postgresql\",namespace=\"{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}\"}",
       "legendFormat": "{{ "{{" }}datname}}"
      }
     ]
    },
    {
     "id": 5,
     "type": "timeseries",
     "title": "Buffer cache hit ratio",
     "gridPos": {
      "x": 0,
      "y": 16,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "percentunit",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "rate(pg_stat_database_blks_hit{job=~\"exporters-postgresql\",namespace=\"{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}\",datname!=\"\"}[5m]) / (rate(pg_stat_database_blks_hit{job=~\"exporters-postgresql\",namespace=\"{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}\",datname!=\"\"}[5m]) + rate(pg_stat_database_blks_read{job=~\"exporters-postgresql\",namespace=\"{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}\",datname!=\"\"}[5m]))",
       "legendFormat": "{{ "{{" }}datname}}"
      }
     ]
    },
    {
     "id": 6,
     "type": "timeseries",
     "title": "Locks and deadlocks",
     "gridPos": {
      "x": 12,
      "y": 16,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "short",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "sum(pg_locks_count{job=~\"exporters-postgresql\",namespace=\"{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}\"})",
       "legendFormat": "locks held"
      },
      {
       "refId": "B",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "sum(increase(pg_stat_database_deadlocks{job=~\"exporters-postgresql\",namespace=\"{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}\"}[1h]))",
       "legendFormat": "deadlocks per hour"
      }
     ]
    }
   ]
  }
{{- end }}
{{- if $.Values.redis.enabled }}
"redis.json": |-
  {
   "uid": "{{ (include "data-platform.dashboardUid" (list (printf "%v-redis" $.Release.Name))) }}",
   "title": "redis",
   "tags": [
    "data-platform",
    "{{ $.Release.Name }}"
   ],
   "schemaVersion": 39,
   "time": {
    "from": "now-1h",
    "to": "now"
   },
   "refresh": "30s",
   "templating": {
    "list": [
     {
      "name": "datasource",
      "label": "Prometheus",
      "type": "datasource",
      "query": "prometheus"
     }
    ]
   },
   "panels": [
    {
     "id": 1,
     "type": "timeseries",
     "title": "Up",
     "gridPos": {
      "x": 0,
      "y": 0,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "short",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "redis_up{job=~\"exporters-redis\",namespace=\"{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}\"}",
       "legendFormat": "up"
      }
     ]
    },
    {
     "id": 2,
     "type": "timeseries",
     "title": "Memory",
     "gridPos": {
      "x": 12,
      "y": 0,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "bytes",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "redis_memory_used_bytes{job=~\"exporters-redis\",namespace=\"{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}\"}",
       "legendFormat": "used"
      },
      {
       "refId": "B",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "redis_memory_max_bytes{job=~\"exporters-redis\",namespace=\"{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}\"}",
       "legendFormat": "maximum"
      }
     ]
    },
    {
     "id": 3,
     "type": "timeseries",
     "title": "Commands",
     "gridPos": {
      "x": 0,
      "y": 8,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "ops",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "rate(redis_commands_processed_total{job=~\"exporters-redis\",namespace=\"{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}\"}[5m])",
       "legendFormat": "commands"
      }
     ]
    },
    {
     "id": 4,
     "type": "timeseries",
     "title": "Clients",
     "gridPos": {
      "x": 12,
      "y": 8,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "short",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "redis_connected_clients{job=~\"exporters-redis\",namespace=\"{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}\"}",
       "legendFormat": "connected"
      }
     ]
    },
    {
     "id": 5,
     "type": "timeseries",
     "title": "Keys",
     "gridPos": {
      "x": 0,
      "y": 16,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "short",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "redis_db_keys{job=~\"exporters-redis\",namespace=\"{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}\"} > 0",
       "legendFormat": "{{ "{{" }}db}}"
      }
     ]
    },
    {
     "id": 6,
     "type": "timeseries",
     "title": "Out-of-memory errors and evictions per hour",
     "gridPos": {
      "x": 12,
      "y": 16,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "short",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "increase(redis_errors_total{job=~\"exporters-redis\",namespace=\"{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}\",err=\"OOM\"}[1h])",
       "legendFormat": "{{ "{{" }}err}}"
      },
      {
       "refId": "B",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "increase(redis_evicted_keys_total{job=~\"exporters-redis\",namespace=\"{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}\"}[1h])",
       "legendFormat": "evicted"
      }
     ]
    }
   ]
  }
{{- end }}
{{- if $.Values.minio.enabled }}
"minio.json": |-
  {
   "uid": "{{ (include "data-platform.dashboardUid" (list (printf "%v-minio" $.Release.Name))) }}",
   "title": "minio",
   "tags": [
    "data-platform",
    "{{ $.Release.Name }}"
   ],
   "schemaVersion": 39,
   "time": {
    "from": "now-1h",
    "to": "now"
   },
   "refresh": "30s",
   "templating": {
    "list": [
     {
      "name": "datasource",
      "label": "Prometheus",
      "type": "datasource",
      "query": "prometheus"
     }
    ]
   },
   "panels": [
    {
     "id": 1,
     "type": "timeseries",
     "title": "Servers",
     "gridPos": {
      "x": 0,
      "y": 0,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "short",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "max(minio_cluster_nodes_online_total{job=~\"minio-server\",namespace=\"{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}\"})",
       "legendFormat": "online"
      },
      {
       "refId": "B",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "max(minio_cluster_nodes_offline_total{job=~\"minio-server\",namespace=\"{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}\"})",
       "legendFormat": "offline"
      }
     ]
    },
    {
     "id": 2,
     "type": "timeseries",
     "title": "Capacity",
     "gridPos": {
      "x": 12,
      "y": 0,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "bytes",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "max(minio_cluster_capacity_usable_free_bytes{job=~\"minio-server\",namespace=\"{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}\"})",
       "legendFormat": "free"
      },
      {
       "refId": "B",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "max(minio_cluster_capacity_usable_total_bytes{job=~\"minio-server\",namespace=\"{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}\"})",
       "legendFormat": "total"
      }
     ]
    },
    {
     "id": 3,
     "type": "timeseries",
     "title": "Requests",
     "gridPos": {
      "x": 0,
      "y": 8,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "reqps",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "sum by (api) (rate(minio_s3_requests_total{job=~\"minio-server\",namespace=\"{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}\"}[5m]))",
       "legendFormat": "{{ "{{" }}api}}"
      }
     ]
    },
    {
     "id": 4,
     "type": "timeseries",
     "title": "Failed requests",
     "gridPos": {
      "x": 12,
      "y": 8,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "reqps",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "sum(rate(minio_s3_requests_5xx_errors_total{job=~\"minio-server\",namespace=\"{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}\"}[5m]))",
       "legendFormat": "server errors (5xx)"
      },
      {
       "refId": "B",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "sum(rate(minio_s3_requests_4xx_errors_total{job=~\"minio-server\",namespace=\"{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}\"}[5m]))",
       "legendFormat": "client errors (4xx)"
      }
     ]
    },
    {
     "id": 5,
     "type": "timeseries",
     "title": "Traffic",
     "gridPos": {
      "x": 0,
      "y": 16,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "Bps",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "sum(rate(minio_s3_traffic_received_bytes{job=~\"minio-server\",namespace=\"{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}\"}[5m]))",
       "legendFormat": "received"
      },
      {
       "refId": "B",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "sum(rate(minio_s3_traffic_sent_bytes{job=~\"minio-server\",namespace=\"{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}\"}[5m]))",
       "legendFormat": "sent"
      }
     ]
    },
    {
     "id": 6,
     "type": "timeseries",
     "title": "Drives",
     "gridPos": {
      "x": 12,
      "y": 16,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "short",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "max(minio_cluster_drive_online_total{job=~\"minio-server\",namespace=\"{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}\"})",
       "legendFormat": "online"
      },
      {
       "refId": "B",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "max(minio_cluster_drive_offline_total{job=~\"minio-server\",namespace=\"{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}\"})",
       "legendFormat": "offline"
      }
     ]
    }
   ]
  }
{{- end }}
{{- if $.Values.nessie.enabled }}
"nessie.json": |-
  {
   "uid": "{{ (include "data-platform.dashboardUid" (list (printf "%v-nessie" $.Release.Name))) }}",
   "title": "nessie",
   "tags": [
    "data-platform",
    "{{ $.Release.Name }}"
   ],
   "schemaVersion": 39,
   "time": {
    "from": "now-1h",
    "to": "now"
   },
   "refresh": "30s",
   "templating": {
    "list": [
     {
      "name": "datasource",
      "label": "Prometheus",
      "type": "datasource",
      "query": "prometheus"
     }
    ]
   },
   "panels": [
    {
     "id": 1,
     "type": "timeseries",
     "title": "Requests",
     "gridPos": {
      "x": 0,
      "y": 0,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "reqps",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "sum by (outcome) (rate(http_server_requests_seconds_count{job=~\"nessie-server\",namespace=\"{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}\"}[5m]))",
       "legendFormat": "{{ "{{" }}outcome}}"
      }
     ]
    },
    {
     "id": 2,
     "type": "timeseries",
     "title": "Mean request duration",
     "gridPos": {
      "x": 12,
      "y": 0,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "s",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "sum by (pod) (rate(http_server_requests_seconds_sum{job=~\"nessie-server\",namespace=\"{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}\"}[5m])) / sum by (pod) (rate(http_server_requests_seconds_count{job=~\"nessie-server\",namespace=\"{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}\"}[5m]))",
       "legendFormat": "{{ "{{" }}pod}}"
      }
     ]
    },
    {
     "id": 3,
     "type": "timeseries",
     "title": "Version store operations",
     "gridPos": {
      "x": 0,
      "y": 8,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "ops",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "sum by (method) (rate(nessie_versionstore_request_seconds_count{job=~\"nessie-server\",namespace=\"{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}\"}[5m]))",
       "legendFormat": "{{ "{{" }}method}}"
      }
     ]
    },
    {
     "id": 4,
     "type": "timeseries",
     "title": "Memory",
     "gridPos": {
      "x": 12,
      "y": 8,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "bytes",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "sum by (pod) (jvm_memory_used_bytes{job=~\"nessie-server\",namespace=\"{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}\",area=\"heap\"})",
       "legendFormat": "{{ "{{" }}pod}} heap"
      },
      {
       "refId": "B",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "sum by (pod) (jvm_memory_max_bytes{job=~\"nessie-server\",namespace=\"{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}\",area=\"heap\"} > 0)",
       "legendFormat": "{{ "{{" }}pod}} maximum heap"
      }
     ]
    },
    {
     "id": 5,
     "type": "timeseries",
     "title": "Time in garbage collection",
     "gridPos": {
      "x": 0,
      "y": 16,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "percentunit",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "sum by (pod) (rate(jvm_gc_pause_seconds_sum{job=~\"nessie-server\",namespace=\"{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}\"}[5m]))",
       "legendFormat": "{{ "{{" }}pod}}"
      }
     ]
    }
   ]
  }
{{- end }}
{{- if $.Values.kafka.enabled }}
"kafka.json": |-
  {
   "uid": "{{ (include "data-platform.dashboardUid" (list (printf "%v-kafka" $.Release.Name))) }}",
   "title": "kafka",
   "tags": [
    "data-platform",
    "{{ $.Release.Name }}"
   ],
   "schemaVersion": 39,
   "time": {
    "from": "now-1h",
    "to": "now"
   },
   "refresh": "30s",
   "templating": {
    "list": [
     {
      "name": "datasource",
      "label": "Prometheus",
      "type": "datasource",
      "query": "prometheus"
     }
    ]
   },
   "panels": [
    {
     "id": 1,
     "type": "timeseries",
     "title": "Brokers",
     "gridPos": {
      "x": 0,
      "y": 0,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "short",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "max(kafka_KafkaController_ActiveBrokerCount{job=~\"kafka-server\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"})",
       "legendFormat": "brokers"
      },
      {
       "refId": "B",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "sum(kafka_KafkaController_ActiveControllerCount{job=~\"kafka-server\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"})",
       "legendFormat": "active controllers"
      }
     ]
    },
    {
     "id": 2,
     "type": "timeseries",
     "title": "Messages in",
     "gridPos": {
      "x": 12,
      "y": 0,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "ops",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "sum by (topic) (rate(kafka_topic_MessagesIn_total{job=~\"kafka-server\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"}[5m]))",
       "legendFormat": "{{ "{{" }}topic}}"
      }
     ]
    },
    {
     "id": 3,
     "type": "timeseries",
     "title": "Traffic",
     "gridPos": {
      "x": 0,
      "y": 8,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "Bps",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "sum(rate(kafka_broker_BytesIn_total{job=~\"kafka-server\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"}[5m]))",
       "legendFormat": "bytes in"
      },
      {
       "refId": "B",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "sum(rate(kafka_broker_BytesOut_total{job=~\"kafka-server\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"}[5m]))",
       "legendFormat": "bytes out"
      }
     ]
    },
    {
     "id": 4,
     "type": "timeseries",
     "title": "Partitions",
     "gridPos": {
      "x": 12,
      "y": 8,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "short",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "sum(kafka_ReplicaManager_UnderReplicatedPartitions{job=~\"kafka-server\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"})",
       "legendFormat": "under-replicated"
      },
      {
       "refId": "B",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "max(kafka_KafkaController_OfflinePartitionsCount{job=~\"kafka-server\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"})",
       "legendFormat": "offline"
      },
      {
       "refId": "C",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "kafka_ReplicaManager_LeaderCount{job=~\"kafka-server\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"}",
       "legendFormat": "led by {{ "{{" }}pod}}"
      }
     ]
    },
    {
     "id": 5,
     "type": "timeseries",
     "title": "Request duration, 99th percentile",
     "gridPos": {
      "x": 0,
      "y": 16,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "s",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "max by (request) (kafka_request_milliseconds{job=~\"kafka-server\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\",quantile=\"0.99\"}) / 1000",
       "legendFormat": "{{ "{{" }}request}}"
      }
     ]
    }
   ]
  }
{{- end }}
{{- if $.Values.schemaRegistry.enabled }}
"schema-registry.json": |-
  {
   "uid": "{{ (include "data-platform.dashboardUid" (list (printf "%v-schema-registry" $.Release.Name))) }}",
   "title": "schema-registry",
   "tags": [
    "data-platform",
    "{{ $.Release.Name }}"
   ],
   "schemaVersion": 39,
   "time": {
    "from": "now-1h",
    "to": "now"
   },
   "refresh": "30s",
   "templating": {
    "list": [
     {
      "name": "datasource",
      "label": "Prometheus",
      "type": "datasource",
      "query": "prometheus"
     }
    ]
   },
   "panels": [
    {
     "id": 1,
     "type": "timeseries",
     "title": "Requests",
     "gridPos": {
      "x": 0,
      "y": 0,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "reqps",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "sum by (status_code_group) (rate(rest_requests_seconds_count{job=~\"schema-registry-server\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"}[5m]))",
       "legendFormat": "{{ "{{" }}status_code_group}}"
      }
     ]
    },
    {
     "id": 2,
     "type": "timeseries",
     "title": "Mean request duration",
     "gridPos": {
      "x": 12,
      "y": 0,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "s",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "sum by (pod) (rate(rest_requests_seconds_sum{job=~\"schema-registry-server\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"}[5m])) / sum by (pod) (rate(rest_requests_seconds_count{job=~\"schema-registry-server\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"}[5m]))",
       "legendFormat": "{{ "{{" }}pod}}"
      }
     ]
    },
    {
     "id": 3,
     "type": "timeseries",
     "title": "Failed storage calls",
     "gridPos": {
      "x": 0,
      "y": 8,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "ops",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "rate(storage_method_call_seconds_count{job=~\"schema-registry-server\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\",success=\"false\"}[5m]) > 0",
       "legendFormat": "{{ "{{" }}method}}"
      }
     ]
    },
    {
     "id": 4,
     "type": "timeseries",
     "title": "Memory",
     "gridPos": {
      "x": 12,
      "y": 8,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "bytes",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "sum by (pod) (jvm_memory_used_bytes{job=~\"schema-registry-server\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\",area=\"heap\"})",
       "legendFormat": "{{ "{{" }}pod}} heap"
      },
      {
       "refId": "B",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "sum by (pod) (jvm_memory_max_bytes{job=~\"schema-registry-server\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\",area=\"heap\"} > 0)",
       "legendFormat": "{{ "{{" }}pod}} maximum heap"
      }
     ]
    },
    {
     "id": 5,
     "type": "timeseries",
     "title": "Time in garbage collection",
     "gridPos": {
      "x": 0,
      "y": 16,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "percentunit",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "sum by (pod) (rate(jvm_gc_pause_seconds_sum{job=~\"schema-registry-server\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"}[5m]))",
       "legendFormat": "{{ "{{" }}pod}}"
      }
     ]
    }
   ]
  }
{{- end }}
{{- if $.Values.clickhouse.enabled }}
"clickhouse.json": |-
  {
   "uid": "{{ (include "data-platform.dashboardUid" (list (printf "%v-clickhouse" $.Release.Name))) }}",
   "title": "clickhouse",
   "tags": [
    "data-platform",
    "{{ $.Release.Name }}"
   ],
   "schemaVersion": 39,
   "time": {
    "from": "now-1h",
    "to": "now"
   },
   "refresh": "30s",
   "templating": {
    "list": [
     {
      "name": "datasource",
      "label": "Prometheus",
      "type": "datasource",
      "query": "prometheus"
     }
    ]
   },
   "panels": [
    {
     "id": 1,
     "type": "timeseries",
     "title": "Running queries",
     "gridPos": {
      "x": 0,
      "y": 0,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "short",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "ClickHouseMetrics_Query{job=~\"clickhouse-server\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"}",
       "legendFormat": "queries"
      }
     ]
    },
    {
     "id": 2,
     "type": "timeseries",
     "title": "Queries",
     "gridPos": {
      "x": 12,
      "y": 0,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "ops",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "rate(ClickHouseProfileEvents_Query{job=~\"clickhouse-server\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"}[5m])",
       "legendFormat": "all"
      },
      {
       "refId": "B",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "rate(ClickHouseProfileEvents_FailedQuery{job=~\"clickhouse-server\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"}[5m])",
       "legendFormat": "failed"
      }
     ]
    },
    {
     "id": 3,
     "type": "timeseries",
     "title": "Memory",
     "gridPos": {
      "x": 0,
      "y": 8,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "bytes",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "ClickHouseMetrics_MemoryTracking{job=~\"clickhouse-server\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"}",
       "legendFormat": "used"
      }
     ]
    },
    {
     "id": 4,
     "type": "timeseries",
     "title": "Rows",
     "gridPos": {
      "x": 12,
      "y": 8,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "ops",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "rate(ClickHouseProfileEvents_InsertedRows{job=~\"clickhouse-server\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"}[5m])",
       "legendFormat": "inserted"
      },
      {
       "refId": "B",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "rate(ClickHouseProfileEvents_SelectedRows{job=~\"clickhouse-server\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"}[5m])",
       "legendFormat": "selected"
      }
     ]
    },
    {
     "id": 5,
     "type": "timeseries",
     "title": "Data parts",
     "gridPos": {
      "x": 0,
      "y": 16,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "short",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "ClickHouseMetrics_PartsActive{job=~\"clickhouse-server\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"}",
       "legendFormat": "active"
      }
     ]
    },
    {
     "id": 6,
     "type": "timeseries",
     "title": "Running merges",
     "gridPos": {
      "x": 12,
      "y": 16,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "short",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "ClickHouseMetrics_Merge{job=~\"clickhouse-server\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"}",
       "legendFormat": "merges"
      }
     ]
    }
   ]
  }
{{- end }}
{{- if $.Values.trino.enabled }}
"trino.json": |-
  {
   "uid": "{{ (include "data-platform.dashboardUid" (list (printf "%v-trino" $.Release.Name))) }}",
   "title": "trino",
   "tags": [
    "data-platform",
    "{{ $.Release.Name }}"
   ],
   "schemaVersion": 39,
   "time": {
    "from": "now-1h",
    "to": "now"
   },
   "refresh": "30s",
   "templating": {
    "list": [
     {
      "name": "datasource",
      "label": "Prometheus",
      "type": "datasource",
      "query": "prometheus"
     }
    ]
   },
   "panels": [
    {
     "id": 1,
     "type": "timeseries",
     "title": "Nodes",
     "gridPos": {
      "x": 0,
      "y": 0,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "short",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "trino_metadata_name_DiscoveryNodeManager_ActiveNodeCount{job=~\"trino-coordinator|trino-worker\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\",job=~\".*coordinator\"}",
       "legendFormat": "active"
      },
      {
       "refId": "B",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "trino_metadata_name_DiscoveryNodeManager_ShuttingDownNodeCount{job=~\"trino-coordinator|trino-worker\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\",job=~\".*coordinator\"}",
       "legendFormat": "shutting down"
      }
     ]
    },
    {
     "id": 2,
     "type": "timeseries",
     "title": "Queries",
     "gridPos": {
      "x": 12,
      "y": 0,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "short",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "trino_execution_name_QueryManager_RunningQueries{job=~\"trino-coordinator|trino-worker\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"}",
       "legendFormat": "running"
      },
      {
       "refId": "B",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "trino_execution_name_QueryManager_QueuedQueries{job=~\"trino-coordinator|trino-worker\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"}",
       "legendFormat": "queued"
      }
     ]
    },
    {
     "id": 3,
     "type": "timeseries",
     "title": "Failed queries per hour",
     "gridPos": {
      "x": 0,
      "y": 8,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "short",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "increase(trino_execution_name_QueryManager_UserErrorFailures{job=~\"trino-coordinator|trino-worker\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"}[1h])",
       "legendFormat": "user errors"
      },
      {
       "refId": "B",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "increase(trino_execution_name_QueryManager_InsufficientResourcesFailures{job=~\"trino-coordinator|trino-worker\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"}[1h])",
       "legendFormat": "insufficient resources"
      },
      {
       "refId": "C",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "increase(trino_execution_name_QueryManager_InternalFailures{job=~\"trino-coordinator|trino-worker\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"}[1h])",
       "legendFormat": "internal errors"
      },
      {
       "refId": "D",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "increase(trino_execution_name_QueryManager_ExternalFailures{job=~\"trino-coordinator|trino-worker\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"}[1h])",
       "legendFormat": "external errors"
      }
     ]
    },
    {
     "id": 4,
     "type": "timeseries",
     "title": "Query memory",
     "gridPos": {
      "x": 12,
      "y": 8,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "bytes",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "trino_memory_type_MemoryPool_name_general_ReservedBytes{job=~\"trino-coordinator|trino-worker\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"}",
       "legendFormat": "{{ "{{" }}pod}} reserved"
      },
      {
       "refId": "B",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "trino_memory_type_MemoryPool_name_general_MaxBytes{job=~\"trino-coordinator|trino-worker\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"}",
       "legendFormat": "{{ "{{" }}pod}} maximum"
      }
     ]
    }
   ]
  }
{{- end }}
{{- if $.Values.flink.enabled }}
"flink.json": |-
  {
   "uid": "{{ (include "data-platform.dashboardUid" (list (printf "%v-flink" $.Release.Name))) }}",
   "title": "flink",
   "tags": [
    "data-platform",
    "{{ $.Release.Name }}"
   ],
   "schemaVersion": 39,
   "time": {
    "from": "now-1h",
    "to": "now"
   },
   "refresh": "30s",
   "templating": {
    "list": [
     {
      "name": "datasource",
      "label": "Prometheus",
      "type": "datasource",
      "query": "prometheus"
     }
    ]
   },
   "panels": [
    {
     "id": 1,
     "type": "timeseries",
     "title": "Jobs and TaskManagers",
     "gridPos": {
      "x": 0,
      "y": 0,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "short",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "max(flink_jobmanager_numRunningJobs{job=~\"flink-jobmanager|flink-taskmanager\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"})",
       "legendFormat": "running jobs"
      },
      {
       "refId": "B",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "max(flink_jobmanager_numRegisteredTaskManagers{job=~\"flink-jobmanager|flink-taskmanager\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"})",
       "legendFormat": "TaskManagers"
      }
     ]
    },
    {
     "id": 2,
     "type": "timeseries",
     "title": "Slots",
     "gridPos": {
      "x": 12,
      "y": 0,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "short",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "max(flink_jobmanager_taskSlotsAvailable{job=~\"flink-jobmanager|flink-taskmanager\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"})",
       "legendFormat": "free"
      },
      {
       "refId": "B",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "max(flink_jobmanager_taskSlotsTotal{job=~\"flink-jobmanager|flink-taskmanager\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"})",
       "legendFormat": "total"
      }
     ]
    },
    {
     "id": 3,
     "type": "timeseries",
     "title": "Duration of the last checkpoint",
     "gridPos": {
      "x": 0,
      "y": 8,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "s",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "flink_jobmanager_job_lastCheckpointDuration{job=~\"flink-jobmanager|flink-taskmanager\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"} / 1000",
       "legendFormat": "{{ "{{" }}job_name}}"
      }
     ]
    },
    {
     "id": 4,
     "type": "timeseries",
     "title": "Failed checkpoints",
     "gridPos": {
      "x": 12,
      "y": 8,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "short",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "flink_jobmanager_job_numberOfFailedCheckpoints{job=~\"flink-jobmanager|flink-taskmanager\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"}",
       "legendFormat": "{{ "{{" }}job_name}}"
      }
     ]
    },
    {
     "id": 5,
     "type": "timeseries",
     "title": "Heap",
     "gridPos": {
      "x": 0,
      "y": 16,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "bytes",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "{__name__=~\"flink_(job|task)manager_Status_JVM_Memory_Heap_Used\",job=~\"flink-jobmanager|flink-taskmanager\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"}",
       "legendFormat": "{{ "{{" }}pod}}"
      }
     ]
    },
    {
     "id": 6,
     "type": "timeseries",
     "title": "Job restarts",
     "gridPos": {
      "x": 12,
      "y": 16,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "short",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "flink_jobmanager_job_numRestarts{job=~\"flink-jobmanager|flink-taskmanager\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"}",
       "legendFormat": "{{ "{{" }}job_name}}"
      }
     ]
    }
   ]
  }
{{- end }}
{{- if $.Values.spark.enabled }}
"spark.json": |-
  {
   "uid": "{{ (include "data-platform.dashboardUid" (list (printf "%v-spark" $.Release.Name))) }}",
   "title": "spark",
   "tags": [
    "data-platform",
    "{{ $.Release.Name }}"
   ],
   "schemaVersion": 39,
   "time": {
    "from": "now-1h",
    "to": "now"
   },
   "refresh": "30s",
   "templating": {
    "list": [
     {
      "name": "datasource",
      "label": "Prometheus",
      "type": "datasource",
      "query": "prometheus"
     }
    ]
   },
   "panels": [
    {
     "id": 1,
     "type": "timeseries",
     "title": "Workers",
     "gridPos": {
      "x": 0,
      "y": 0,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "short",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "metrics_master_aliveWorkers_Value{job=~\"spark-master|spark-worker\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"}",
       "legendFormat": "alive"
      },
      {
       "refId": "B",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "metrics_master_workers_Value{job=~\"spark-master|spark-worker\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"}",
       "legendFormat": "known"
      }
     ]
    },
    {
     "id": 2,
     "type": "timeseries",
     "title": "Applications",
     "gridPos": {
      "x": 12,
      "y": 0,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "short",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "metrics_master_apps_Value{job=~\"spark-master|spark-worker\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"}",
       "legendFormat": "known"
      },
      {
       "refId": "B",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "metrics_master_waitingApps_Value{job=~\"spark-master|spark-worker\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"}",
       "legendFormat": "waiting"
      }
     ]
    },
    {
     "id": 3,
     "type": "timeseries",
     "title": "Worker cores",
     "gridPos": {
      "x": 0,
      "y": 8,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "short",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "metrics_worker_coresUsed_Value{job=~\"spark-master|spark-worker\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"}",
       "legendFormat": "{{ "{{" }}pod}} used"
      },
      {
       "refId": "B",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "metrics_worker_coresFree_Value{job=~\"spark-master|spark-worker\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"}",
       "legendFormat": "{{ "{{" }}pod}} free"
      }
     ]
    },
    {
     "id": 4,
     "type": "timeseries",
     "title": "Worker memory for executors",
     "gridPos": {
      "x": 12,
      "y": 8,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "bytes",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "metrics_worker_memUsed_MB_Value{job=~\"spark-master|spark-worker\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"} * 1048576",
       "legendFormat": "{{ "{{" }}pod}} used"
      },
      {
       "refId": "B",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "metrics_worker_memFree_MB_Value{job=~\"spark-master|spark-worker\",namespace=\"{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}\"} * 1048576",
       "legendFormat": "{{ "{{" }}pod}} free"
      }
     ]
    }
   ]
  }
{{- end }}
{{- if $.Values.airflow.enabled }}
"airflow.json": |-
  {
   "uid": "{{ (include "data-platform.dashboardUid" (list (printf "%v-airflow" $.Release.Name))) }}",
   "title": "airflow",
   "tags": [
    "data-platform",
    "{{ $.Release.Name }}"
   ],
   "schemaVersion": 39,
   "time": {
    "from": "now-1h",
    "to": "now"
   },
   "refresh": "30s",
   "templating": {
    "list": [
     {
      "name": "datasource",
      "label": "Prometheus",
      "type": "datasource",
      "query": "prometheus"
     }
    ]
   },
   "panels": [
    {
     "id": 1,
     "type": "timeseries",
     "title": "Heartbeats",
     "gridPos": {
      "x": 0,
      "y": 0,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "ops",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "rate(airflow_scheduler_heartbeat{job=~\"exporters-statsd\",namespace=\"{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}\"}[5m])",
       "legendFormat": "scheduler"
      }
     ]
    },
    {
     "id": 2,
     "type": "timeseries",
     "title": "Finished tasks",
     "gridPos": {
      "x": 12,
      "y": 0,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "ops",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "sum by (state) (rate(airflow_ti_finish{job=~\"exporters-statsd\",namespace=\"{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}\"}[5m]))",
       "legendFormat": "{{ "{{" }}state}}"
      }
     ]
    },
    {
     "id": 3,
     "type": "timeseries",
     "title": "Tasks",
     "gridPos": {
      "x": 0,
      "y": 8,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "short",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "airflow_executor_running_tasks{job=~\"exporters-statsd\",namespace=\"{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}\"}",
       "legendFormat": "running"
      },
      {
       "refId": "B",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "airflow_executor_queued_tasks{job=~\"exporters-statsd\",namespace=\"{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}\"}",
       "legendFormat": "queued"
      },
      {
       "refId": "C",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "airflow_executor_open_slots{job=~\"exporters-statsd\",namespace=\"{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}\"}",
       "legendFormat": "open slots"
      }
     ]
    },
    {
     "id": 4,
     "type": "timeseries",
     "title": "DAGs",
     "gridPos": {
      "x": 12,
      "y": 8,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "short",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "airflow_dagbag_size{job=~\"exporters-statsd\",namespace=\"{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}\"}",
       "legendFormat": "found"
      },
      {
       "refId": "B",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "airflow_dag_processing_import_errors{job=~\"exporters-statsd\",namespace=\"{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}\"}",
       "legendFormat": "import errors"
      }
     ]
    }
   ]
  }
{{- end }}
{{- if $.Values.superset.enabled }}
"superset.json": |-
  {
   "uid": "{{ (include "data-platform.dashboardUid" (list (printf "%v-superset" $.Release.Name))) }}",
   "title": "superset",
   "tags": [
    "data-platform",
    "{{ $.Release.Name }}"
   ],
   "schemaVersion": 39,
   "time": {
    "from": "now-1h",
    "to": "now"
   },
   "refresh": "30s",
   "templating": {
    "list": [
     {
      "name": "datasource",
      "label": "Prometheus",
      "type": "datasource",
      "query": "prometheus"
     }
    ]
   },
   "panels": [
    {
     "id": 1,
     "type": "timeseries",
     "title": "Answered health checks",
     "gridPos": {
      "x": 0,
      "y": 0,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "ops",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "rate(superset_health{job=~\"exporters-statsd\",namespace=\"{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}\"}[5m])",
       "legendFormat": "web"
      }
     ]
    },
    {
     "id": 2,
     "type": "timeseries",
     "title": "Executed scheduled tasks",
     "gridPos": {
      "x": 12,
      "y": 0,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "ops",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "rate(superset_reports_scheduler{job=~\"exporters-statsd\",namespace=\"{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}\"}[5m])",
       "legendFormat": "beat and worker"
      }
     ]
    },
    {
     "id": 3,
     "type": "timeseries",
     "title": "API calls",
     "gridPos": {
      "x": 0,
      "y": 8,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "ops",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "sum by (api, result) (rate(superset_api_calls{job=~\"exporters-statsd\",namespace=\"{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}\"}[5m]))",
       "legendFormat": "{{ "{{" }}api}} {{ "{{" }}result}}"
      }
     ]
    },
    {
     "id": 4,
     "type": "timeseries",
     "title": "SQL Lab query duration, 90th percentile",
     "gridPos": {
      "x": 12,
      "y": 8,
      "w": 12,
      "h": 8
     },
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "fieldConfig": {
      "defaults": {
       "unit": "s",
       "min": 0
      },
      "overrides": []
     },
     "options": {
      "legend": {
       "displayMode": "list",
       "placement": "bottom"
      },
      "tooltip": {
       "mode": "multi"
      }
     },
     "targets": [
      {
       "refId": "A",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "superset_sqllab_query_time_pending{job=~\"exporters-statsd\",namespace=\"{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}\",quantile=\"0.9\"}",
       "legendFormat": "pending"
      },
      {
       "refId": "B",
       "datasource": {
        "type": "prometheus",
        "uid": "${datasource}"
       },
       "expr": "superset_sqllab_query_time_executing_query{job=~\"exporters-statsd\",namespace=\"{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}\",quantile=\"0.9\"}",
       "legendFormat": "executing"
      }
     ]
    }
   ]
  }
{{- end }}
{{ end }}

{{- define "data-platform.files-exporters-statsd" -}}
"mapping.yaml": |
  mappings:
    - match: superset.*.*.success
      name: superset_api_calls
      labels:
        api: $1
        method: $2
        result: success
    - match: superset.*.*.error
      name: superset_api_calls
      labels:
        api: $1
        method: $2
        result: error
{{ end }}

{{- define "data-platform.files-flink-catalogs" -}}
{{ if not $.Values.nessie.enabled }} {}{{ end }}
{{- if $.Values.nessie.enabled }}
"lakehouse.yaml": |
  type: "iceberg"
  catalog-type: "rest"
  uri: "http://nessie.{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}.svc:19120/iceberg"
  warehouse: "lakehouse"
  io-impl: "org.apache.iceberg.aws.s3.S3FileIO"
  s3.endpoint: "http://minio.{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}.svc:9000"
  s3.path-style-access: "true"
  client.region: "us-east-1"
{{- end }}
{{ end }}

{{- define "data-platform.files-flink-jobmanager" -}}
"log4j-console.properties": |
  rootLogger.level = INFO
  rootLogger.appenderRef.console.ref = Console
  appender.console.name = Console
  appender.console.type = CONSOLE
  appender.console.layout.type = PatternLayout
  appender.console.layout.pattern = %d{yyyy-MM-dd HH:mm:ss,SSS} %-5p %-60c %x - %m%n
"log4j-cli.properties": |
  rootLogger.level = WARN
  rootLogger.appenderRef.console.ref = Console
  appender.console.name = Console
  appender.console.type = CONSOLE
  appender.console.target = SYSTEM_ERR
  appender.console.layout.type = PatternLayout
  appender.console.layout.pattern = %d{yyyy-MM-dd HH:mm:ss,SSS} %-5p %-60c %x - %m%n
"config.yaml": {{ (include "data-platform.withSettings" (list (include "data-platform.text-43dc9bac" $) ((include "data-platform.bothOf" (list $.Values.flink.settings $.Values.flink.jobManager.settings)) | fromJson) ": " "json")) | toJson }}
{{ end }}

{{- define "data-platform.files-flink-taskmanager" -}}
"log4j-console.properties": |
  rootLogger.level = INFO
  rootLogger.appenderRef.console.ref = Console
  appender.console.name = Console
  appender.console.type = CONSOLE
  appender.console.layout.type = PatternLayout
  appender.console.layout.pattern = %d{yyyy-MM-dd HH:mm:ss,SSS} %-5p %-60c %x - %m%n
"log4j-cli.properties": |
  rootLogger.level = WARN
  rootLogger.appenderRef.console.ref = Console
  appender.console.name = Console
  appender.console.type = CONSOLE
  appender.console.target = SYSTEM_ERR
  appender.console.layout.type = PatternLayout
  appender.console.layout.pattern = %d{yyyy-MM-dd HH:mm:ss,SSS} %-5p %-60c %x - %m%n
"config.yaml": {{ (include "data-platform.withSettings" (list (include "data-platform.text-9de90fa8" $) ((include "data-platform.bothOf" (list $.Values.flink.settings $.Values.flink.taskManager.settings)) | fromJson) ": " "json")) | toJson }}
{{ end }}

{{- define "data-platform.files-grafana-config" -}}
"grafana.ini": |
  [paths]
  data = /var/lib/grafana
  plugins = /var/lib/grafana/plugins
  provisioning = /etc/grafana/provisioning

  [server]
  http_port = 3000
  {{ if (include "data-platform.pageUrl" (list (include "data-platform.pageHost" (list "" "grafana" $.Values.global.domain true)))) }}root_url = {{ (include "data-platform.pageUrl" (list (include "data-platform.pageHost" (list "" "grafana" $.Values.global.domain true)))) }}/
  {{ end }}
  [log]
  mode = console

  # No usage reports, no checks for updates, no content from outside.
  [analytics]
  reporting_enabled = false
  check_for_updates = false
  check_for_plugin_updates = false
  [news]
  news_feed_enabled = false
  [security]
  {{ if (include "data-platform.pageUrl" (list (include "data-platform.pageHost" (list "" "grafana" $.Values.global.domain true)))) }}# Browsers send it by HTTPS alone.
  cookie_secure = true
  {{ end }}disable_gravatar = true
  [plugins]
  preinstall_disabled = true
"datasources.yaml": |
  apiVersion: 1
  datasources:
    - name: Prometheus
      uid: prometheus
      type: prometheus
      access: proxy
      url: http://prometheus.{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}.svc:9090
      isDefault: true
      jsonData:
        timeInterval: 30s
"dashboards.yaml": |
  apiVersion: 1
  providers:
    - name: components
      folder: Data platform
      type: file
      options:
        path: /etc/dashboards
"none.yaml": "apiVersion: 1\n"
{{ end }}

{{- define "data-platform.files-kafka-config" -}}
"server.properties": {{ (include "data-platform.withSettings" (list (printf "process.roles=broker,controller\ncontroller.quorum.voters=%v\ncontroller.listener.names=CONTROLLER\nlisteners=PLAINTEXT://:9092,CONTROLLER://:9093\nlog.dirs=/var/lib/kafka/data/logs\n\ndefault.replication.factor=%v\nmin.insync.replicas=%v\noffsets.topic.replication.factor=%v\ntransaction.state.log.replication.factor=%v\ntransaction.state.log.min.isr=%v\nshare.coordinator.state.topic.replication.factor=%v\nshare.coordinator.state.topic.min.isr=%v\n\n# Taken from the heap at the start; the default of 128 MiB would be a third of a small one.\nlog.cleaner.dedupe.buffer.size=33554432\n" (include "data-platform.joined-49afd521" $) (toString (int64 (include "data-platform.atMostThree" (list (int64 $.Values.kafka.replicas))))) (toString (int64 (include "data-platform.oneLess" (list (int64 (include "data-platform.atMostThree" (list (int64 $.Values.kafka.replicas)))))))) (toString (int64 (include "data-platform.atMostThree" (list (int64 $.Values.kafka.replicas))))) (toString (int64 (include "data-platform.atMostThree" (list (int64 $.Values.kafka.replicas))))) (toString (int64 (include "data-platform.oneLess" (list (int64 (include "data-platform.atMostThree" (list (int64 $.Values.kafka.replicas)))))))) (toString (int64 (include "data-platform.atMostThree" (list (int64 $.Values.kafka.replicas))))) (toString (int64 (include "data-platform.oneLess" (list (int64 (include "data-platform.atMostThree" (list (int64 $.Values.kafka.replicas))))))))) $.Values.kafka.settings "=" "")) | toJson }}
"log4j2.yaml": |
  Configuration:
    status: warn
    Appenders:
      Console:
        name: console
        PatternLayout: { pattern: "[%d] %p %m (%c)%n" }
    Loggers:
      Root:
        level: info
        AppenderRef: { ref: console }
{{- if $.Values.monitoring.enabled }}
"metrics.yaml": |
  includeObjectNames:
    - kafka.server:type=ReplicaManager,name=*
    - kafka.server:type=BrokerTopicMetrics,*
    - kafka.controller:type=KafkaController,name=*
    - kafka.network:type=RequestMetrics,name=TotalTimeMs,*
  rules:
    - pattern: kafka.(server|controller)<type=(ReplicaManager|KafkaController),
        name=(\w+)><>Value
      name: kafka_$2_$3
    - pattern: kafka.server<type=BrokerTopicMetrics, name=(\w+)PerSec, topic=(.+)><>Count
      name: kafka_topic_$1_total
      labels:
        topic: $2
      type: COUNTER
    - pattern: kafka.server<type=BrokerTopicMetrics, name=(\w+)PerSec><>Count
      name: kafka_broker_$1_total
      type: COUNTER
    - pattern: kafka.network<type=RequestMetrics, name=TotalTimeMs,
        request=(Produce|FetchConsumer|FetchFollower)><>(\d+)thPercentile
      name: kafka_request_milliseconds
      labels:
        request: $1
        quantile: 0.$2
{{- end }}
{{ end }}

{{- define "data-platform.files-minio-policy" -}}
"policy.json": |-
  {
    "Version": "2012-10-17",
    "Statement": [
      {
        "Effect": "Allow",
        "Action": [
          "s3:ListBucket",
          "s3:GetBucketLocation",
          "s3:ListBucketMultipartUploads"
        ],
        "Resource": [
          {{ (include "data-platform.joined-44dafd53" $) | replace "\n" "\n  " }}
        ]
      },
      {
        "Effect": "Allow",
        "Action": [
          "s3:GetObject",
          "s3:PutObject",
          "s3:DeleteObject",
          "s3:AbortMultipartUpload",
          "s3:ListMultipartUploadParts"
        ],
        "Resource": [
          {{ (include "data-platform.joined-63848fee" $) | replace "\n" "\n  " }}
        ]
      }
    ]
  }
{{ end }}

{{- define "data-platform.files-nessie-config" -}}
"application.properties": {{ (include "data-platform.withSettings" (list (include "data-platform.text-dddf6d80" $) $.Values.nessie.settings "=" "")) | toJson }}
{{ end }}

{{- define "data-platform.files-noetl-scripts" -}}
"newest.py": |-
  import re
  import sys
  from pathlib import Path

  try:
      from packaging.version import InvalidVersion, Version
  except ImportError:
      from pip._vendor.packaging.version import InvalidVersion, Version


  def rank(path):
      match = re.fullmatch(r"noetl-(?:([^-]+)(?:-(\d[^-]*))?(?:-[^-]+){3}\.whl|(.+)\.tar\.gz)", path.name, re.IGNORECASE)
      try:
          version = Version(match[1] or match[3]) if match else None
      except InvalidVersion:
          return None
      build = re.fullmatch(r"([0-9]+)(.*)", match[2]) if version and match[2] else None
      return version and (version, (int(build[1]), build[2]) if build else (), path.stat().st_mtime, path)


  found = [one for one in map(rank, Path(sys.argv[1]).iterdir()) if one]
  if not found:
      sys.exit("the directory holds no noetl-*.tar.gz and no noetl-*.whl")
  print(max(found)[3])
"apply_schema.py": |-
  from importlib.util import find_spec
  from pathlib import Path

  import psycopg
  import set_up

  package = Path(find_spec("noetl").submodule_search_locations[0])
  ddl = (package / "database" / "ddl" / "postgres" / "schema_ddl.sql").read_text()
  set_up.wait_for_database()
  with psycopg.connect() as connection:
      # Some of its statements and some of the server's name no schema.
      connection.execute("ALTER ROLE CURRENT_USER SET search_path = noetl, public")
      connection.execute("SET search_path = noetl, public")
      connection.execute("CREATE SCHEMA IF NOT EXISTS noetl")
      connection.execute(ddl)
  print(f"applied {len(ddl)} characters of DDL from {package}")
  set_up.record()
"set_up.py": |
  """For which versions of the software the Job has set up the database: recorded by the Job, awaited by the pods.

  A version that has its record is never held up, also while a newer one is being set up or has failed to be.
  """
  import os
  import signal
  import sys
  import time

  try:
      import psycopg2 as driver
  except ImportError:
      import psycopg as driver

  host, port, database, user, password, job, version = (
      os.environ[f"SET_UP_{name}"] for name in ("HOST", "PORT", "DATABASE", "USER", "PASSWORD", "JOB", "VERSION")
  )


  def query(text, *values):
      """The first value of the first row."""
      connection = driver.connect(host=host, port=port, dbname=database, user=user, password=password, connect_timeout=10)
      try:
          cursor = connection.cursor()
          cursor.execute(text, values)
          row = cursor.fetchone() if cursor.description else None
          connection.commit()
          return row and row[0]
      finally:
          connection.close()


  def until(ready, reason):
      """Returns when `ready` does, and prints what it waits for."""
      said = None
      while True:
          try:
              if ready():
                  return
              waiting = reason
          except driver.OperationalError as problem:
              waiting = f"waiting for the database {database} of {host}: {str(problem).strip()}"
          if waiting != said:
              print(said := waiting, flush=True)
          time.sleep(2)


  def is_recorded():
      # A query of a table that does not exist would be an error in the server's log.
      exists = query("SELECT to_regclass('public.data_platform_set_up') IS NOT NULL")
      return exists and query("SELECT count(*) FROM public.data_platform_set_up WHERE version = %s", version)


  def wait_for_database():
      until(lambda: query("SELECT 1"), "")


  def wait():
      until(is_recorded, f"waiting for the Job {job}: it has not set up the database {database} for {version} yet")
      print(f"the database {database} is set up for {version}")


  def record():
      query(
          "CREATE TABLE IF NOT EXISTS public.data_platform_set_up"
          " (version text PRIMARY KEY, finished timestamptz NOT NULL DEFAULT now())"
      )
      query("INSERT INTO public.data_platform_set_up (version) VALUES (%s) ON CONFLICT DO NOTHING", version)
      print(f"recorded that the database {database} is set up for {version}")


  if __name__ == "__main__":
      # The first process of a container ignores SIGTERM unless it handles it.
      signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
      {"database": wait_for_database, "wait": wait, "record": record}[sys.argv[1]]()
{{ end }}

{{- define "data-platform.files-postgresql-config" -}}
"postgresql.conf": {{ (include "data-platform.withSettings" (list (printf "# Sizes follow postgresql.resources.limits.memory (%v).\nlisten_addresses = '*'\nport = 5432\nmax_connections = %v\nhba_file = '/etc/postgresql/pg_hba.conf'\nunix_socket_directories = '/var/run/postgresql'\npassword_encryption = 'scram-sha-256'\n# A quarter of the memory, as PostgreSQL's manual advises; the rest is for connections and the page cache.\nshared_buffers = %vMB\neffective_cache_size = %vMB\nmaintenance_work_mem = %vMB\n# Follow postgresql.storage.size (%v).\nmax_wal_size = %vMB\nmin_wal_size = %vMB\nlog_destination = 'stderr'\nlogging_collector = off\nlog_timezone = 'UTC'\ntimezone = 'UTC'\n" $.Values.postgresql.resources.limits.memory (toString (int64 $.Values.postgresql.maxConnections)) (toString (int64 (include "data-platform.mebibytesPart" (list $.Values.postgresql.resources.limits.memory 4)))) (toString (int64 (include "data-platform.mebibytesPart" (list $.Values.postgresql.resources.limits.memory 2)))) (toString (int64 (include "data-platform.mebibytesPart" (list $.Values.postgresql.resources.limits.memory 16)))) $.Values.postgresql.storage.size (toString (int64 (include "data-platform.mostLog" (list $.Values.postgresql.storage.size)))) (toString (int64 (include "data-platform.leastLog" (list $.Values.postgresql.storage.size))))) $.Values.postgresql.settings " = " "doubled")) | toJson }}
"pg_hba.conf": |
  # The pod's own socket, as the user the server runs as; everyone else by password.
  local all postgres peer
  host  all all all scram-sha-256
{{ end }}

{{- define "data-platform.files-prometheus-config" -}}
"prometheus.yml": |
  global:
    scrape_interval: 30s
    scrape_timeout: 20s
  scrape_configs:
  {{ if $.Values.postgresql.enabled }}{{ end }}{{ if $.Values.redis.enabled }}{{ end }}{{ if $.Values.minio.enabled }}  - job_name: minio-server
      metrics_path: /minio/v2/metrics/cluster
      kubernetes_sd_configs:
        - role: pod
          namespaces:
            names:
              - {{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}
          selectors:
            - role: pod
              label: app.kubernetes.io/name=minio,app.kubernetes.io/instance={{ (include "data-platform.labelValue" (list (printf "%v-minio" $.Release.Name))) }},app.kubernetes.io/component=server
      relabel_configs:
        - source_labels:
            - __meta_kubernetes_pod_container_port_name
          regex: s3
          action: keep
        - source_labels:
            - __meta_kubernetes_pod_phase
          regex: Running
          action: keep
        - source_labels:
            - __meta_kubernetes_namespace
          target_label: namespace
        - source_labels:
            - __meta_kubernetes_pod_name
          target_label: pod
  {{ end }}{{ if $.Values.nessie.enabled }}  - job_name: nessie-server
      metrics_path: /q/metrics
      kubernetes_sd_configs:
        - role: pod
          namespaces:
            names:
              - {{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}
          selectors:
            - role: pod
              label: app.kubernetes.io/name=nessie,app.kubernetes.io/instance={{ (include "data-platform.labelValue" (list (printf "%v-nessie" $.Release.Name))) }},app.kubernetes.io/component=server
      relabel_configs:
        - source_labels:
            - __meta_kubernetes_pod_container_port_name
          regex: management
          action: keep
        - source_labels:
            - __meta_kubernetes_pod_phase
          regex: Running
          action: keep
        - source_labels:
            - __meta_kubernetes_namespace
          target_label: namespace
        - source_labels:
            - __meta_kubernetes_pod_name
          target_label: pod
  {{ end }}{{ if $.Values.kafka.enabled }}  - job_name: kafka-server
      kubernetes_sd_configs:
        - role: pod
          namespaces:
            names:
              - {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}
          selectors:
            - role: pod
              label: app.kubernetes.io/name=kafka,app.kubernetes.io/instance={{ (include "data-platform.labelValue" (list (printf "%v-kafka" $.Release.Name))) }},app.kubernetes.io/component=server
      relabel_configs:
        - source_labels:
            - __meta_kubernetes_pod_container_port_name
          regex: metrics
          action: keep
        - source_labels:
            - __meta_kubernetes_pod_phase
          regex: Running
          action: keep
        - source_labels:
            - __meta_kubernetes_namespace
          target_label: namespace
        - source_labels:
            - __meta_kubernetes_pod_name
          target_label: pod
  {{ end }}{{ if $.Values.schemaRegistry.enabled }}  - job_name: schema-registry-server
      kubernetes_sd_configs:
        - role: pod
          namespaces:
            names:
              - {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}
          selectors:
            - role: pod
              label: app.kubernetes.io/name=schema-registry,app.kubernetes.io/instance={{ (include "data-platform.labelValue" (list (printf "%v-schema-registry" $.Release.Name))) }},app.kubernetes.io/component=server
      relabel_configs:
        - source_labels:
            - __meta_kubernetes_pod_container_port_name
          regex: management
          action: keep
        - source_labels:
            - __meta_kubernetes_pod_phase
          regex: Running
          action: keep
        - source_labels:
            - __meta_kubernetes_namespace
          target_label: namespace
        - source_labels:
            - __meta_kubernetes_pod_name
          target_label: pod
  {{ end }}{{ if $.Values.clickhouse.enabled }}  - job_name: clickhouse-server
      kubernetes_sd_configs:
        - role: pod
          namespaces:
            names:
              - {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}
          selectors:
            - role: pod
              label: app.kubernetes.io/name=clickhouse,app.kubernetes.io/instance={{ (include "data-platform.labelValue" (list (printf "%v-clickhouse" $.Release.Name))) }},app.kubernetes.io/component=server
      relabel_configs:
        - source_labels:
            - __meta_kubernetes_pod_container_port_name
          regex: metrics
          action: keep
        - source_labels:
            - __meta_kubernetes_pod_phase
          regex: Running
          action: keep
        - source_labels:
            - __meta_kubernetes_namespace
          target_label: namespace
        - source_labels:
            - __meta_kubernetes_pod_name
          target_label: pod
  {{ end }}{{ if $.Values.trino.enabled }}  - job_name: trino-coordinator
      basic_auth:
        username: monitor
      kubernetes_sd_configs:
        - role: pod
          namespaces:
            names:
              - {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}
          selectors:
            - role: pod
              label: app.kubernetes.io/name=trino,app.kubernetes.io/instance={{ (include "data-platform.labelValue" (list (printf "%v-trino" $.Release.Name))) }},app.kubernetes.io/component=coordinator
      relabel_configs:
        - source_labels:
            - __meta_kubernetes_pod_container_port_name
          regex: http
          action: keep
        - source_labels:
            - __meta_kubernetes_pod_phase
          regex: Running
          action: keep
        - source_labels:
            - __meta_kubernetes_namespace
          target_label: namespace
        - source_labels:
            - __meta_kubernetes_pod_name
          target_label: pod
    - job_name: trino-worker
      basic_auth:
        username: monitor
      kubernetes_sd_configs:
        - role: pod
          namespaces:
            names:
              - {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}
          selectors:
            - role: pod
              label: app.kubernetes.io/name=trino,app.kubernetes.io/instance={{ (include "data-platform.labelValue" (list (printf "%v-trino" $.Release.Name))) }},app.kubernetes.io/component=worker
      relabel_configs:
        - source_labels:
            - __meta_kubernetes_pod_container_port_name
          regex: http
          action: keep
        - source_labels:
            - __meta_kubernetes_pod_phase
          regex: Running
          action: keep
        - source_labels:
            - __meta_kubernetes_namespace
          target_label: namespace
        - source_labels:
            - __meta_kubernetes_pod_name
          target_label: pod
  {{ end }}{{ if $.Values.flink.enabled }}  - job_name: flink-jobmanager
      kubernetes_sd_configs:
        - role: pod
          namespaces:
            names:
              - {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}
          selectors:
            - role: pod
              label: app.kubernetes.io/name=flink,app.kubernetes.io/instance={{ (include "data-platform.labelValue" (list (printf "%v-flink" $.Release.Name))) }},app.kubernetes.io/component=jobmanager
      relabel_configs:
        - source_labels:
            - __meta_kubernetes_pod_container_port_name
          regex: metrics
          action: keep
        - source_labels:
            - __meta_kubernetes_pod_phase
          regex: Running
          action: keep
        - source_labels:
            - __meta_kubernetes_namespace
          target_label: namespace
        - source_labels:
            - __meta_kubernetes_pod_name
          target_label: pod
    - job_name: flink-taskmanager
      kubernetes_sd_configs:
        - role: pod
          namespaces:
            names:
              - {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}
          selectors:
            - role: pod
              label: app.kubernetes.io/name=flink,app.kubernetes.io/instance={{ (include "data-platform.labelValue" (list (printf "%v-flink" $.Release.Name))) }},app.kubernetes.io/component=taskmanager
      relabel_configs:
        - source_labels:
            - __meta_kubernetes_pod_container_port_name
          regex: metrics
          action: keep
        - source_labels:
            - __meta_kubernetes_pod_phase
          regex: Running
          action: keep
        - source_labels:
            - __meta_kubernetes_namespace
          target_label: namespace
        - source_labels:
            - __meta_kubernetes_pod_name
          target_label: pod
  {{ end }}{{ if $.Values.spark.enabled }}  - job_name: spark-master
      metrics_path: /metrics/master/prometheus/
      kubernetes_sd_configs:
        - role: pod
          namespaces:
            names:
              - {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}
          selectors:
            - role: pod
              label: app.kubernetes.io/name=spark,app.kubernetes.io/instance={{ (include "data-platform.labelValue" (list (printf "%v-spark" $.Release.Name))) }},app.kubernetes.io/component=master
      relabel_configs:
        - source_labels:
            - __meta_kubernetes_pod_container_port_name
          regex: ui
          action: keep
        - source_labels:
            - __meta_kubernetes_pod_phase
          regex: Running
          action: keep
        - source_labels:
            - __meta_kubernetes_namespace
          target_label: namespace
        - source_labels:
            - __meta_kubernetes_pod_name
          target_label: pod
    - job_name: spark-worker
      metrics_path: /metrics/prometheus/
      kubernetes_sd_configs:
        - role: pod
          namespaces:
            names:
              - {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}
          selectors:
            - role: pod
              label: app.kubernetes.io/name=spark,app.kubernetes.io/instance={{ (include "data-platform.labelValue" (list (printf "%v-spark" $.Release.Name))) }},app.kubernetes.io/component=worker
      relabel_configs:
        - source_labels:
            - __meta_kubernetes_pod_container_port_name
          regex: ui
          action: keep
        - source_labels:
            - __meta_kubernetes_pod_phase
          regex: Running
          action: keep
        - source_labels:
            - __meta_kubernetes_namespace
          target_label: namespace
        - source_labels:
            - __meta_kubernetes_pod_name
          target_label: pod
  {{ end }}{{ if $.Values.airflow.enabled }}{{ end }}{{ if $.Values.superset.enabled }}{{ end }}{{ if $.Values.polls.enabled }}{{ end }}{{ if $.Values.webApp.enabled }}{{ end }}{{ if $.Values.deployd.enabled }}  - job_name: deployd-server
      kubernetes_sd_configs:
        - role: pod
          namespaces:
            names:
              - {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}
          selectors:
            - role: pod
              label: app.kubernetes.io/name=deployd,app.kubernetes.io/instance={{ (include "data-platform.labelValue" (list (printf "%v-deployd" $.Release.Name))) }},app.kubernetes.io/component=server
      relabel_configs:
        - source_labels:
            - __meta_kubernetes_pod_container_port_name
          regex: http
          action: keep
        - source_labels:
            - __meta_kubernetes_pod_phase
          regex: Running
          action: keep
        - source_labels:
            - __meta_kubernetes_namespace
          target_label: namespace
        - source_labels:
            - __meta_kubernetes_pod_name
          target_label: pod
  {{ end }}{{ if $.Values.monitoring.enabled }}{{ if $.Values.postgresql.enabled }}  - job_name: exporters-postgresql
      kubernetes_sd_configs:
        - role: pod
          namespaces:
            names:
              - {{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}
          selectors:
            - role: pod
              label: app.kubernetes.io/name=exporters,app.kubernetes.io/instance={{ (include "data-platform.labelValue" (list (printf "%v-exporters" $.Release.Name))) }},app.kubernetes.io/component=postgresql
      relabel_configs:
        - source_labels:
            - __meta_kubernetes_pod_container_port_name
          regex: metrics
          action: keep
        - source_labels:
            - __meta_kubernetes_pod_phase
          regex: Running
          action: keep
        - source_labels:
            - __meta_kubernetes_namespace
          target_label: namespace
        - source_labels:
            - __meta_kubernetes_pod_name
          target_label: pod
  {{ end }}{{ if $.Values.redis.enabled }}  - job_name: exporters-redis
      kubernetes_sd_configs:
        - role: pod
          namespaces:
            names:
              - {{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}
          selectors:
            - role: pod
              label: app.kubernetes.io/name=exporters,app.kubernetes.io/instance={{ (include "data-platform.labelValue" (list (printf "%v-exporters" $.Release.Name))) }},app.kubernetes.io/component=redis
      relabel_configs:
        - source_labels:
            - __meta_kubernetes_pod_container_port_name
          regex: metrics
          action: keep
        - source_labels:
            - __meta_kubernetes_pod_phase
          regex: Running
          action: keep
        - source_labels:
            - __meta_kubernetes_namespace
          target_label: namespace
        - source_labels:
            - __meta_kubernetes_pod_name
          target_label: pod
  {{ end }}  - job_name: exporters-statsd
      kubernetes_sd_configs:
        - role: pod
          namespaces:
            names:
              - {{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}
          selectors:
            - role: pod
              label: app.kubernetes.io/name=exporters,app.kubernetes.io/instance={{ (include "data-platform.labelValue" (list (printf "%v-exporters" $.Release.Name))) }},app.kubernetes.io/component=statsd
      relabel_configs:
        - source_labels:
            - __meta_kubernetes_pod_container_port_name
          regex: metrics
          action: keep
        - source_labels:
            - __meta_kubernetes_pod_phase
          regex: Running
          action: keep
        - source_labels:
            - __meta_kubernetes_namespace
          target_label: namespace
        - source_labels:
            - __meta_kubernetes_pod_name
          target_label: pod
  {{ end }}  - job_name: prometheus-server
      kubernetes_sd_configs:
        - role: pod
          namespaces:
            names:
              - {{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}
          selectors:
            - role: pod
              label: app.kubernetes.io/name=prometheus,app.kubernetes.io/instance={{ (include "data-platform.labelValue" (list (printf "%v-prometheus" $.Release.Name))) }},app.kubernetes.io/component=server
      relabel_configs:
        - source_labels:
            - __meta_kubernetes_pod_container_port_name
          regex: http
          action: keep
        - source_labels:
            - __meta_kubernetes_pod_phase
          regex: Running
          action: keep
        - source_labels:
            - __meta_kubernetes_namespace
          target_label: namespace
        - source_labels:
            - __meta_kubernetes_pod_name
          target_label: pod
{{ end }}

{{- define "data-platform.files-redis-config" -}}
"redis.conf": {{ (include "data-platform.withSettings" (list (printf "include /run/redis/auth.conf\nbind * -::*\nport 6379\ndir /data\n# Every write is in the file within a second; a rewrite starts from a snapshot, so loading is quick.\nappendonly yes\nappendfsync everysec\naof-use-rdb-preamble yes\nsave \"\"\n# %v %% of redis.resources.limits.memory (%v).\nmaxmemory %vmb\n# Caches give way, queues do not: a full server evicts keys that expire, and Celery's queues never do. Once only queues\n# are left, it refuses writes.\nmaxmemory-policy volatile-lru\n" (toString (int64 $.Values.redis.maxMemoryPercent)) $.Values.redis.resources.limits.memory (toString (int64 (include "data-platform.mebibytesOf" (list $.Values.redis.resources.limits.memory (int64 $.Values.redis.maxMemoryPercent)))))) $.Values.redis.settings " " "")) | toJson }}
{{ end }}

{{- define "data-platform.files-schema-registry-config" -}}
"application.properties": |
  quarkus.http.port=8085
  quarkus.management.port=9000

  apicurio.storage.kind=kafkasql
  apicurio.kafkasql.bootstrap.servers=kafka.{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}.svc:9092
  apicurio.kafkasql.topic=kafkasql-journal
  apicurio.kafkasql.snapshots.topic=kafkasql-snapshots
  apicurio.events.kafka.topic=registry-events
  apicurio.kafkasql.topic.auto-create=false

  # The default of Confluent's registry. Apicurio's default accepts any schema.
  apicurio.rules.global.compatibility=BACKWARD
{{ end }}

{{- define "data-platform.files-spark-application" -}}
"spark-defaults.conf": {{ (include "data-platform.joined-1c642f90" $) | toJson }}
"spark-env.sh": "export SPARK_LOCAL_HOSTNAME=\"$(getent hosts \"$HOSTNAME\" | head -n 1 | cut -d ' ' -f 1)\"\n"
{{ end }}

{{- define "data-platform.files-spark-config" -}}
"spark-defaults.conf": {{ (include "data-platform.joined-a6c7d483" $) | toJson }}
{{ end }}

{{- define "data-platform.files-superset-config" -}}
"superset_config.py": |
  import hashlib
  import os
  from pathlib import Path
  from urllib.parse import quote

  from cachelib.redis import RedisCache
  from celery.schedules import crontab
  from celery.signals import after_task_publish
  {{ if $.Values.monitoring.enabled }}from statsd import StatsClient
  from superset.stats_logger import StatsdStatsLogger
  {{ end }}

  def secret(name):
      # A line end after it is none of the password.
      return os.environ[name].rstrip("\n")


  def quoted(name):
      return quote(secret(name), safe="")


  def derived(use):
      """A key of its own for each use, which changes only with the one they are made of."""
      return hashlib.sha256(f"{use}:{SECRET_KEY}".encode()).hexdigest()


  SECRET_KEY = os.environ["SUPERSET_SECRET_KEY"]
  GUEST_TOKEN_JWT_SECRET = derived("guest tokens")
  GLOBAL_ASYNC_QUERIES_JWT_SECRET = derived("asynchronous queries")

  SQLALCHEMY_DATABASE_URI = (
      f"postgresql+psycopg2://{quoted('DATABASE_USERNAME')}:{quoted('DATABASE_PASSWORD')}"
      "@postgresql.{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}.svc:5432/superset"
  )
  # A server that was restarted has closed the connections that wait here.
  SQLALCHEMY_ENGINE_OPTIONS = {"pool_pre_ping": True}

  CACHE_REDIS_URL = f"redis://:{quoted('CACHE_PASSWORD')}@redis.{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}.svc:6379/2"
  QUEUE_REDIS_URL = f"redis://:{quoted('QUEUE_PASSWORD')}@redis.{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}.svc:6379/3"


  def cached(prefix, seconds):
      return {
          "CACHE_TYPE": "expiring.RedisCache",
          "CACHE_REDIS_URL": CACHE_REDIS_URL,
          "CACHE_KEY_PREFIX": f"superset_{prefix}_",
          "CACHE_DEFAULT_TIMEOUT": seconds,
      }


  HOUR, DAY = 3600, 86400


  class Expiring:
      """Gives every cache entry an end, also where a chart's settings ask for none (a timeout of 0).

      The cache shares Redis with queues. A full Redis evicts only keys that expire, so these must.
      """

      LONGEST = 90 * DAY

      def _normalize_timeout(self, timeout):
          seconds = super()._normalize_timeout(timeout)
          return seconds if 0 < seconds < self.LONGEST else self.LONGEST


  class Results(Expiring, RedisCache):
      """What a worker found for SQL Lab, until the browser fetches it."""


  CACHE_DEFAULT_TIMEOUT = HOUR
  CACHE_CONFIG = cached("metadata", DAY)
  DATA_CACHE_CONFIG = cached("data", HOUR)
  THUMBNAIL_CACHE_CONFIG = cached("thumbnail", DAY)
  FILTER_STATE_CACHE_CONFIG = cached("filter", 90 * DAY) | {"REFRESH_TIMEOUT_ON_RETRIEVAL": True}
  EXPLORE_FORM_DATA_CACHE_CONFIG = cached("explore", 7 * DAY) | {"REFRESH_TIMEOUT_ON_RETRIEVAL": True}
  RESULTS_BACKEND = Results(
      host="redis.{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}.svc",
      port=6379,
      db=2,
      password=secret("CACHE_PASSWORD"),
      key_prefix="superset_results_",
  )
  SQL_MAX_ROW = 50_000
  SQLLAB_PAYLOAD_MAX_MB = 16

  {{ if $.Values.monitoring.enabled }}STATS_LOGGER = StatsdStatsLogger(
      statsd_client=StatsClient("exporters-statsd.{{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) }}.svc", 9125, prefix="superset", ipv6=":" in os.environ["POD_IP"])
  )

  {{ end }}# Counted in one place, however many processes answer.
  RATELIMIT_ENABLED = True
  RATELIMIT_STORAGE_URI = CACHE_REDIS_URL

  {{ if (include "data-platform.pageUrl" (list (include "data-platform.pageHost" (list "" "superset" $.Values.global.domain true)))) }}# Behind the front door: scheme, host and client are in X-Forwarded-*.
  ENABLE_PROXY_FIX = True
  PREFERRED_URL_SCHEME = "https"
  WEBDRIVER_BASEURL_USER_FRIENDLY = "{{ (include "data-platform.pageUrl" (list (include "data-platform.pageHost" (list "" "superset" $.Values.global.domain true)))) }}/"

  # A login ends with the browser's session or after twelve hours without a request. Browsers send it by HTTPS alone.
  SESSION_COOKIE_SECURE = True{{ else }}# A login ends with the browser's session or after twelve hours without a request. Plain HTTP is what the Service
  # speaks, so the cookie cannot be for HTTPS alone.{{ end }}
  SESSION_COOKIE_SAMESITE = "Lax"
  PERMANENT_SESSION_LIFETIME = 12 * HOUR
  SUPERSET_WEBSERVER_TIMEOUT = 60


  class CELERY_CONFIG:
      broker_url = QUEUE_REDIS_URL
      result_backend = QUEUE_REDIS_URL
      result_expires = HOUR
      broker_connection_retry_on_startup = True
      # Longer than a query may take: what waits behind it would be handed out a second time.
      broker_transport_options = {"visibility_timeout": 7 * HOUR}
      imports = (
          "superset.sql_lab",
          "superset.tasks.scheduler",
          "superset.tasks.thumbnails",
          "superset.tasks.cache",
      )
      worker_prefetch_multiplier = 1
      task_annotations = {"sql_lab.get_sql_results": {"rate_limit": "100/s"}}
      beat_schedule = {
          # Does nothing while alerts and reports are off, but shows each minute that tasks are sent.
          "reports.scheduler": {
              "task": "reports.scheduler",
              "schedule": crontab(),
              "options": {"expires": 60},
          },
          "reports.prune_log": {"task": "reports.prune_log", "schedule": crontab(minute="0", hour="0")},
          "prune_query": {
              "task": "prune_query",
              "schedule": crontab(minute="10", hour="0"),
              "kwargs": {"retention_period_days": 180},
          },
          "prune_logs": {
              "task": "prune_logs",
              "schedule": crontab(minute="20", hour="0"),
              "kwargs": {"retention_period_days": 180, "max_rows_per_run": 100_000},
          },
      }


  @after_task_publish.connect
  def task_was_sent(**_):
      """What the liveness probe of the one who sends on time looks at."""
      Path("/tmp/task-sent").touch()
"expiring.py": |
  from flask_caching.backends.rediscache import RedisCache as FlaskRedisCache
  from superset_config import Expiring


  class RedisCache(Expiring, FlaskRedisCache):
      """Flask's cache in Redis. Each of its entries expires."""
"ping.py": |
  """Succeeds when this pod's worker answers over the queue."""
  import socket
  import sys

  from celery import Celery
  from superset_config import QUEUE_REDIS_URL

  worker = f"worker@{socket.gethostname()}"
  sys.exit(not Celery(broker=QUEUE_REDIS_URL).control.inspect([worker], timeout=10).ping())
"set_up.py": |
  """For which versions of the software the Job has set up the database: recorded by the Job, awaited by the pods.

  A version that has its record is never held up, also while a newer one is being set up or has failed to be.
  """
  import os
  import signal
  import sys
  import time

  try:
      import psycopg2 as driver
  except ImportError:
      import psycopg as driver

  host, port, database, user, password, job, version = (
      os.environ[f"SET_UP_{name}"] for name in ("HOST", "PORT", "DATABASE", "USER", "PASSWORD", "JOB", "VERSION")
  )


  def query(text, *values):
      """The first value of the first row."""
      connection = driver.connect(host=host, port=port, dbname=database, user=user, password=password, connect_timeout=10)
      try:
          cursor = connection.cursor()
          cursor.execute(text, values)
          row = cursor.fetchone() if cursor.description else None
          connection.commit()
          return row and row[0]
      finally:
          connection.close()


  def until(ready, reason):
      """Returns when `ready` does, and prints what it waits for."""
      said = None
      while True:
          try:
              if ready():
                  return
              waiting = reason
          except driver.OperationalError as problem:
              waiting = f"waiting for the database {database} of {host}: {str(problem).strip()}"
          if waiting != said:
              print(said := waiting, flush=True)
          time.sleep(2)


  def is_recorded():
      # A query of a table that does not exist would be an error in the server's log.
      exists = query("SELECT to_regclass('public.data_platform_set_up') IS NOT NULL")
      return exists and query("SELECT count(*) FROM public.data_platform_set_up WHERE version = %s", version)


  def wait_for_database():
      until(lambda: query("SELECT 1"), "")


  def wait():
      until(is_recorded, f"waiting for the Job {job}: it has not set up the database {database} for {version} yet")
      print(f"the database {database} is set up for {version}")


  def record():
      query(
          "CREATE TABLE IF NOT EXISTS public.data_platform_set_up"
          " (version text PRIMARY KEY, finished timestamptz NOT NULL DEFAULT now())"
      )
      query("INSERT INTO public.data_platform_set_up (version) VALUES (%s) ON CONFLICT DO NOTHING", version)
      print(f"recorded that the database {database} is set up for {version}")


  if __name__ == "__main__":
      # The first process of a container ignores SIGTERM unless it handles it.
      signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
      {"database": wait_for_database, "wait": wait, "record": record}[sys.argv[1]]()
{{ end }}

{{- define "data-platform.files-superset-databases" -}}
"databases.json": |-
  [
    {{ (include "data-platform.joined-cdd3eab9" $) | replace "\n" "\n  " }}
  ]
"register.py": |
  import json
  import os
  import uuid

  from sqlalchemy.engine import URL, make_url

  from superset.app import create_app

  app = create_app()
  with app.app_context():
      from superset import db
      from superset.commands.database.utils import add_permissions
      from superset.models.core import Database
      from superset_config import secret

      # Each database has an identity of its own, so that it may be renamed; the name counts where someone else made it.
      for entry in json.load(open("/etc/superset/databases.json")):
          name = entry["name"]
          identity = uuid.uuid5(uuid.NAMESPACE_URL, f"data-platform/superset/{name}")
          find = db.session.query(Database).filter_by
          database = find(uuid=identity).first() or find(database_name=name).first()
          url = URL.create(
              entry["driver"],
              username=entry.get("username") or secret(entry["usernameFrom"]),
              password=secret(entry["passwordFrom"]) if "passwordFrom" in entry else None,
              host=entry["host"],
              port=entry["port"],
              database=entry["database"],
          )
          # SQLAlchemy 1.4 writes a percent sign as it is, and reads it as the start of a code.
          if make_url(url.render_as_string(hide_password=False)).password != url.password:
              url = url.set(password=url.password.replace("%", "%25"))
          text = url.render_as_string(hide_password=False)
          if database is None:
              # What users may set otherwise later is said here alone: how it is queried, and by whom.
              database = Database(
                  database_name=name,
                  uuid=identity,
                  expose_in_sqllab=True,
                  allow_run_async=True,
                  extra=json.dumps(entry["extra"]),
              )
              database.set_sqlalchemy_uri(text)
              database.password = url.password
              db.session.add(database)
              print(f"{name}: registered")
          elif database.sqlalchemy_uri_decrypted != text:
              database.set_sqlalchemy_uri(text)
              database.password = url.password
              print(f"{name}: has a new address or password")
          db.session.commit()
          # One permission for each schema that is there now, for roles that may see some of them.
          try:
              add_permissions(database)
              db.session.commit()
          except Exception as problem:
              db.session.rollback()
              print(f"{name}: its schemas could not be listed ({type(problem).__name__}); it is registered all the same")
{{ end }}

{{- define "data-platform.files-superset-gunicorn" -}}
"gunicorn.conf.py": |
  import os

  # One socket for both families, where the kernel has IPv6.
  bind = "[::]:8088" if os.path.exists("/proc/net/if_inet6") else "0.0.0.0:8088"
  workers = {{ (toString (int64 $.Values.superset.web.workers)) }}
  worker_class = "gthread"
  threads = 8
  timeout = 120
  graceful_timeout = 30
  # Its heartbeats are files: on a disk they could wait for it.
  worker_tmp_dir = "/dev/shm"
  control_socket_disable = True
  errorlog = "-"
{{ end }}

{{- define "data-platform.files-superset-setup" -}}
"setup.py": |
  import os

  from werkzeug.security import check_password_hash

  from superset.app import create_app

  app = create_app()
  with app.app_context():
      from superset import security_manager

      # The password is the Secret's, also where it was changed by hand.
      password = os.environ["ADMIN_PASSWORD"].rstrip("\n")
      if not password.isprintable() or not password:
          raise SystemExit("stack {{ $.Release.Name }}: Secret {{ if $.Values.superset.auth.existingSecret }}{{ $.Values.superset.auth.existingSecret }}{{ else }}superset-admin{{ end }}, key password: expected a value of printable characters; found none, or a control character among them")
      admin = security_manager.find_user("admin")
      if admin is None:
          role = security_manager.find_role("Admin")
          made = security_manager.add_user("admin", "Data", "Platform", "admin@localhost", role, password=password)
          if not made:
              raise SystemExit("the user admin could not be made: see above")
          print("admin: made")
      elif not check_password_hash(admin.password, password):
          security_manager.reset_password(admin.id, password)
          print("admin: has a new password")
{{ end }}

{{- define "data-platform.files-trino-catalogs" -}}
"tpch.properties": "connector.name=tpch\n"
"iceberg.properties": |
  connector.name=iceberg
  iceberg.catalog.type=rest
  iceberg.rest-catalog.uri=http://nessie.{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}.svc:19120/iceberg
  iceberg.rest-catalog.warehouse=lakehouse
  fs.native-s3.enabled=true
  s3.endpoint=http://minio.{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}.svc:9000
  s3.region=us-east-1
  s3.path-style-access=true
  s3.aws-access-key=${ENV:S3_ACCESS_KEY}
  s3.aws-secret-key=${ENV:S3_SECRET_KEY}
{{- if $.Values.postgresql.enabled }}
"postgresql.properties": |
  connector.name=postgresql
  connection-url=jdbc:postgresql://postgresql.{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}.svc:5432/trino
  connection-user=${ENV:POSTGRESQL_USERNAME}
  connection-password=${ENV:POSTGRESQL_PASSWORD}
{{- end }}
{{- if $.Values.clickhouse.enabled }}
"clickhouse.properties": |
  connector.name=clickhouse
  connection-url=jdbc:clickhouse://clickhouse.{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}.svc:8123/
  connection-user=${ENV:CLICKHOUSE_USERNAME}
  connection-password=${ENV:CLICKHOUSE_PASSWORD}
{{- end }}
{{- if $.Values.kafka.enabled }}
"kafka.properties": |
  connector.name=kafka
  kafka.nodes=kafka.{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}.svc:9092
  kafka.table-names={{ (include "data-platform.joined-0a740790" $) }}
  # The message, its partition and its offset are internal columns, the only ones of a topic without a table description.
  kafka.hide-internal-columns=false
{{- end }}
{{ end }}

{{- define "data-platform.files-trino-coordinator" -}}
"node.properties": |
  node.environment={{ (include "data-platform.withUnderscores" (list $.Release.Name)) }}
  # The pod's name, so that what Trino says of its nodes can be looked up.
  node.id=${ENV:HOSTNAME}
  node.data-dir=/data/trino
"jvm.config": |
  -server
  -Xmx{{ (toString (int64 (include "data-platform.mebibytesOf" (list $.Values.trino.coordinator.resources.limits.memory 65)))) }}M
  -XX:+UseG1GC
  -XX:+ExplicitGCInvokesConcurrent
  -XX:+ExitOnOutOfMemoryError
  -XX:-OmitStackTraceInFastThrow
  -XX:ReservedCodeCacheSize=256M
  -Djdk.attach.allowAttachSelf=true
  -XX:+EnableDynamicAgentLoading
  --enable-native-access=ALL-UNNAMED
  --sun-misc-unsafe-memory-access=allow
"log.properties": "io.trino=INFO\n"
"config.properties": {{ (include "data-platform.withSettings" (list (printf "coordinator=true\n# Queries run on the workers alone: one that is too large takes no coordinator down.\nnode-scheduler.include-coordinator=false\ndiscovery.uri=http://localhost:8080\n# A proxy says by X-Forwarded-* what the client asked for; without this Trino answers 406 to such a request.\nhttp-server.process-forwarded=true\nhttp-server.http.port=8080\n# The log is what the container prints; a file beside it would only fill the disk.\nhttp-server.log.enabled=false\ninternal-communication.shared-secret=${ENV:SHARED_SECRET}\n# 40 %% and 25 %% of a heap of %v MB, which is 65 %% of the memory limit, %v.\nquery.max-memory-per-node=%vMB\nmemory.heap-headroom-per-node=%vMB\n# Effectively unlimited: query.max-memory-per-node is the limit. So a change of the number of workers does not restart the coordinator.\nquery.max-memory=100TB\n" (toString (int64 (include "data-platform.mebibytesOf" (list $.Values.trino.coordinator.resources.limits.memory 65)))) $.Values.trino.coordinator.resources.limits.memory (toString (int64 (include "data-platform.percentage" (list (int64 (include "data-platform.mebibytesOf" (list $.Values.trino.coordinator.resources.limits.memory 65))) 40)))) (toString (int64 (include "data-platform.percentage" (list (int64 (include "data-platform.mebibytesOf" (list $.Values.trino.coordinator.resources.limits.memory 65))) 25))))) ((include "data-platform.bothOf" (list $.Values.trino.settings $.Values.trino.coordinator.settings)) | fromJson) "=" "")) | toJson }}
{{ end }}

{{- define "data-platform.files-trino-worker" -}}
"node.properties": |
  node.environment={{ (include "data-platform.withUnderscores" (list $.Release.Name)) }}
  # The pod's name, so that what Trino says of its nodes can be looked up.
  node.id=${ENV:HOSTNAME}
  node.data-dir=/data/trino
"jvm.config": |
  -server
  -Xmx{{ (toString (int64 (include "data-platform.mebibytesOf" (list $.Values.trino.worker.resources.limits.memory 65)))) }}M
  -XX:+UseG1GC
  -XX:+ExplicitGCInvokesConcurrent
  -XX:+ExitOnOutOfMemoryError
  -XX:-OmitStackTraceInFastThrow
  -XX:ReservedCodeCacheSize=256M
  -Djdk.attach.allowAttachSelf=true
  -XX:+EnableDynamicAgentLoading
  --enable-native-access=ALL-UNNAMED
  --sun-misc-unsafe-memory-access=allow
"log.properties": "io.trino=INFO\n"
"config.properties": {{ (include "data-platform.withSettings" (list (printf "coordinator=false\ndiscovery.uri=http://trino.%v.svc:8080\nhttp-server.http.port=8080\n# The log is what the container prints; a file beside it would only fill the disk.\nhttp-server.log.enabled=false\ninternal-communication.shared-secret=${ENV:SHARED_SECRET}\n# 40 %% and 25 %% of a heap of %v MB, which is 65 %% of the memory limit, %v.\nquery.max-memory-per-node=%vMB\nmemory.heap-headroom-per-node=%vMB\nshutdown.grace-period=10s\n" (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) (toString (int64 (include "data-platform.mebibytesOf" (list $.Values.trino.worker.resources.limits.memory 65)))) $.Values.trino.worker.resources.limits.memory (toString (int64 (include "data-platform.percentage" (list (int64 (include "data-platform.mebibytesOf" (list $.Values.trino.worker.resources.limits.memory 65))) 40)))) (toString (int64 (include "data-platform.percentage" (list (int64 (include "data-platform.mebibytesOf" (list $.Values.trino.worker.resources.limits.memory 65))) 25))))) ((include "data-platform.bothOf" (list $.Values.trino.settings $.Values.trino.worker.settings)) | fromJson) "=" "")) | toJson }}
"access-control.properties": |
  access-control.name=file
  security.config-file=/run/trino/rules.json
{{ end }}

{{- define "data-platform.joined-0a740790" -}}
{{- $texts := list }}
{{- range $item48 := $.Values.trino.kafkaTopics }}
{{- $texts = append $texts $item48 }}
{{- end }}
{{- join "," $texts }}
{{- end }}

{{- define "data-platform.joined-1c642f90" -}}
{{- $texts := list }}
{{- $texts = append $texts (printf "spark.master spark://spark.%v.svc:7077\n" (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name))) }}
{{- $texts = append $texts "spark.authenticate true\n" }}
{{- $texts = append $texts "spark.ui.killEnabled false\n" }}
{{- $texts = append $texts "spark.ui.reverseProxy true\n" }}
{{- if (include "data-platform.pageUrl" (list (include "data-platform.pageHost" (list "" "spark" $.Values.global.domain $.Values.frontDoor.spark.allowWithoutLogin)))) }}
{{- $texts = append $texts (printf "spark.ui.reverseProxyUrl %v\n" (include "data-platform.pageUrl" (list (include "data-platform.pageHost" (list "" "spark" $.Values.global.domain $.Values.frontDoor.spark.allowWithoutLogin))))) }}
{{- end }}
{{- $texts = append $texts "spark.authenticate.secret in-the-environment\n" }}
{{- $texts = append $texts (printf "spark.executor.memory %vm\n" (toString (int64 (include "data-platform.mebibytesOf" (list $.Values.spark.worker.memory 100))))) }}
{{- $texts = append $texts "spark.sql.catalogImplementation in-memory\n" }}
{{- $texts = append $texts "spark.sql.extensions org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions\n" }}
{{- $texts = append $texts "spark.sql.catalog.lakehouse org.apache.iceberg.spark.SparkCatalog\n" }}
{{- $texts = append $texts "spark.sql.catalog.lakehouse.type rest\n" }}
{{- $texts = append $texts (printf "spark.sql.catalog.lakehouse.uri http://nessie.%v.svc:19120/iceberg\n" (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name))) }}
{{- $texts = append $texts "spark.sql.catalog.lakehouse.warehouse lakehouse\n" }}
{{- $texts = append $texts "spark.sql.catalog.lakehouse.io-impl org.apache.iceberg.aws.s3.S3FileIO\n" }}
{{- $texts = append $texts (printf "spark.sql.catalog.lakehouse.s3.endpoint http://minio.%v.svc:9000\n" (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name))) }}
{{- $texts = append $texts "spark.sql.catalog.lakehouse.s3.path-style-access true\n" }}
{{- $texts = append $texts "spark.sql.catalog.lakehouse.client.region us-east-1\n" }}
{{- $texts = append $texts "spark.sql.defaultCatalog lakehouse\n" }}
{{- $texts = append $texts (printf "spark.hadoop.fs.s3a.endpoint http://minio.%v.svc:9000\n" (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name))) }}
{{- $texts = append $texts "spark.hadoop.fs.s3a.endpoint.region us-east-1\n" }}
{{- $texts = append $texts "spark.hadoop.fs.s3a.path.style.access true\n" }}
{{- $texts = append $texts "spark.hadoop.fs.s3a.aws.credentials.provider software.amazon.awssdk.auth.credentials.EnvironmentVariableCredentialsProvider\n" }}
{{- join "" $texts }}
{{- end }}

{{- define "data-platform.joined-44dafd53" -}}
{{- $texts := list }}
{{- $texts = append $texts "\"arn:aws:s3:::lakehouse\"" }}
{{- $texts = append $texts "\"arn:aws:s3:::warehouse\"" }}
{{- $texts = append $texts "\"arn:aws:s3:::airflow\"" }}
{{- $texts = append $texts "\"arn:aws:s3:::flink\"" }}
{{- $texts = append $texts "\"arn:aws:s3:::mlflow\"" }}
{{- $texts = append $texts "\"arn:aws:s3:::web-app\"" }}
{{- range $other136 := (without (uniq $.Values.minio.buckets) "lakehouse" "warehouse" "airflow" "flink" "mlflow" "web-app") }}
{{- $texts = append $texts (printf "\"arn:aws:s3:::%v\"" $other136) }}
{{- end }}
{{- join ",\n        " $texts }}
{{- end }}

{{- define "data-platform.joined-49afd521" -}}
{{- $texts := list }}
{{- range $ordinal149 := (until (int (int64 $.Values.kafka.replicas))) }}
{{- $texts = append $texts (printf "%v@kafka-%v.kafka-headless.%v.svc:9093" (toString (int64 $ordinal149)) (toString (int64 $ordinal149)) (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name))) }}
{{- end }}
{{- join "," $texts }}
{{- end }}

{{- define "data-platform.joined-63848fee" -}}
{{- $texts := list }}
{{- $texts = append $texts "\"arn:aws:s3:::lakehouse/*\"" }}
{{- $texts = append $texts "\"arn:aws:s3:::warehouse/*\"" }}
{{- $texts = append $texts "\"arn:aws:s3:::airflow/*\"" }}
{{- $texts = append $texts "\"arn:aws:s3:::flink/*\"" }}
{{- $texts = append $texts "\"arn:aws:s3:::mlflow/*\"" }}
{{- $texts = append $texts "\"arn:aws:s3:::web-app/*\"" }}
{{- range $other136 := (without (uniq $.Values.minio.buckets) "lakehouse" "warehouse" "airflow" "flink" "mlflow" "web-app") }}
{{- $texts = append $texts (printf "\"arn:aws:s3:::%v/*\"" $other136) }}
{{- end }}
{{- join ",\n        " $texts }}
{{- end }}

{{- define "data-platform.joined-91e0dd35" -}}
{{- $texts := list }}
{{- if $.Values.postgresql.enabled }}
{{- $texts = append $texts "postgresql" }}
{{- end }}
{{- if $.Values.redis.enabled }}
{{- $texts = append $texts "redis" }}
{{- end }}
{{- if $.Values.minio.enabled }}
{{- $texts = append $texts "minio" }}
{{- end }}
{{- if $.Values.nessie.enabled }}
{{- $texts = append $texts "nessie" }}
{{- end }}
{{- if $.Values.kafka.enabled }}
{{- $texts = append $texts "kafka" }}
{{- end }}
{{- if $.Values.schemaRegistry.enabled }}
{{- $texts = append $texts "schemaRegistry" }}
{{- end }}
{{- if $.Values.clickhouse.enabled }}
{{- $texts = append $texts "clickhouse" }}
{{- end }}
{{- if $.Values.trino.enabled }}
{{- $texts = append $texts "trino" }}
{{- end }}
{{- if $.Values.flink.enabled }}
{{- $texts = append $texts "flink" }}
{{- end }}
{{- if $.Values.spark.enabled }}
{{- $texts = append $texts "spark" }}
{{- end }}
{{- if $.Values.airflow.enabled }}
{{- $texts = append $texts "airflow" }}
{{- end }}
{{- if $.Values.superset.enabled }}
{{- $texts = append $texts "superset" }}
{{- end }}
{{- if $.Values.noetl.enabled }}
{{- $texts = append $texts "noetl" }}
{{- end }}
{{- if $.Values.polls.enabled }}
{{- $texts = append $texts "polls" }}
{{- end }}
{{- if $.Values.webApp.enabled }}
{{- $texts = append $texts "webApp" }}
{{- end }}
{{- if $.Values.deployd.enabled }}
{{- $texts = append $texts "deployd" }}
{{- end }}
{{- if $.Values.monitoring.enabled }}
{{- $texts = append $texts "monitoring" }}
{{- end }}
{{- range $name106, $value106 := $.Values.djangoApps }}
{{- $value106 = mergeOverwrite (fromJson "{\"application\":\"mysite.wsgi\",\"interface\":\"wsgi\",\"healthPath\":\"/healthz\",\"replicas\":1,\"workers\":1,\"resources\":{\"requests\":{\"cpu\":\"5m\",\"memory\":\"96Mi\"},\"limits\":{\"memory\":\"256Mi\"}},\"pods\":{\"priority\":\"web\"},\"serviceAccount\":{},\"env\":{},\"envFrom\":[],\"service\":{},\"ingress\":{},\"auth\":{\"rotation\":1}}") $value106 }}
{{- if $name106 }}
{{- $texts = append $texts "djangoApps" }}
{{- end }}
{{- end }}
{{- join " " $texts }}
{{- end }}

{{- define "data-platform.joined-9f797598" -}}
{{- $texts := list }}
{{- $texts = append $texts "lakehouse" }}
{{- $texts = append $texts "warehouse" }}
{{- $texts = append $texts "airflow" }}
{{- $texts = append $texts "flink" }}
{{- $texts = append $texts "mlflow" }}
{{- $texts = append $texts "web-app" }}
{{- range $other136 := (without (uniq $.Values.minio.buckets) "lakehouse" "warehouse" "airflow" "flink" "mlflow" "web-app") }}
{{- $texts = append $texts $other136 }}
{{- end }}
{{- join " " $texts }}
{{- end }}

{{- define "data-platform.joined-a6c7d483" -}}
{{- $texts := list }}
{{- $texts = append $texts "spark.authenticate true\n" }}
{{- $texts = append $texts "spark.ui.killEnabled false\n" }}
{{- $texts = append $texts "spark.ui.reverseProxy true\n" }}
{{- if (include "data-platform.pageUrl" (list (include "data-platform.pageHost" (list "" "spark" $.Values.global.domain $.Values.frontDoor.spark.allowWithoutLogin)))) }}
{{- $texts = append $texts (printf "spark.ui.reverseProxyUrl %v\n" (include "data-platform.pageUrl" (list (include "data-platform.pageHost" (list "" "spark" $.Values.global.domain $.Values.frontDoor.spark.allowWithoutLogin))))) }}
{{- end }}
{{- $texts = append $texts "spark.master.rest.enabled false\n" }}
{{- $texts = append $texts "spark.worker.preferConfiguredMasterAddress true\n" }}
{{- $texts = append $texts "spark.metrics.conf.*.sink.prometheusServlet.class org.apache.spark.metrics.sink.PrometheusServlet\n" }}
{{- $texts = append $texts "spark.metrics.conf.*.sink.prometheusServlet.path /metrics/prometheus\n" }}
{{- $texts = append $texts "spark.metrics.conf.master.sink.prometheusServlet.path /metrics/master/prometheus\n" }}
{{- $texts = append $texts "spark.metrics.conf.applications.sink.prometheusServlet.path /metrics/applications/prometheus\n" }}
{{- $texts = append $texts "spark.worker.cleanup.enabled true\n" }}
{{- $texts = append $texts "spark.worker.cleanup.appDataTtl 86400\n" }}
{{- join "" $texts }}
{{- end }}

{{- define "data-platform.joined-cdd3eab9" -}}
{{- $texts := list }}
{{- if $.Values.trino.enabled }}
{{- $texts = append $texts (printf "{\n    \"name\": \"Trino\",\n    \"driver\": \"trino\",\n    \"host\": \"trino.%v.svc\",\n    \"port\": 8080,\n    \"database\": \"iceberg\",\n    \"username\": \"superset\",\n    \"extra\": {\n      \"allow_multi_catalog\": true\n    }\n  }" (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name))) }}
{{- end }}
{{- if $.Values.clickhouse.enabled }}
{{- $texts = append $texts (printf "{\n    \"name\": \"ClickHouse\",\n    \"driver\": \"clickhousedb\",\n    \"host\": \"clickhouse.%v.svc\",\n    \"port\": 8123,\n    \"database\": \"default\",\n    \"usernameFrom\": \"CLICKHOUSE_USERNAME\",\n    \"passwordFrom\": \"CLICKHOUSE_PASSWORD\",\n    \"extra\": {}\n  }" (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name))) }}
{{- end }}
{{- $texts = append $texts (printf "{\n    \"name\": \"PostgreSQL\",\n    \"driver\": \"postgresql+psycopg2\",\n    \"host\": \"postgresql.%v.svc\",\n    \"port\": 5432,\n    \"database\": \"trino\",\n    \"usernameFrom\": \"POSTGRESQL_USERNAME\",\n    \"passwordFrom\": \"POSTGRESQL_PASSWORD\",\n    \"extra\": {}\n  }" (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name))) }}
{{- join ",\n  " $texts }}
{{- end }}

{{- define "data-platform.joined-dfcae79a" -}}
{{- $texts := list }}
{{- $texts = append $texts "nessie" }}
{{- $texts = append $texts "airflow" }}
{{- $texts = append $texts "superset" }}
{{- $texts = append $texts "mlflow" }}
{{- $texts = append $texts "trino" }}
{{- $texts = append $texts "polls" }}
{{- if $.Values.noetl.enabled }}
{{- $texts = append $texts "noetl" }}
{{- end }}
{{- range $name106, $value106 := $.Values.djangoApps }}
{{- $value106 = mergeOverwrite (fromJson "{\"application\":\"mysite.wsgi\",\"interface\":\"wsgi\",\"healthPath\":\"/healthz\",\"replicas\":1,\"workers\":1,\"resources\":{\"requests\":{\"cpu\":\"5m\",\"memory\":\"96Mi\"},\"limits\":{\"memory\":\"256Mi\"}},\"pods\":{\"priority\":\"web\"},\"serviceAccount\":{},\"env\":{},\"envFrom\":[],\"service\":{},\"ingress\":{},\"auth\":{\"rotation\":1}}") $value106 }}
{{- $texts = append $texts (printf "django_%v" (include "data-platform.withUnderscores" (list $name106))) }}
{{- end }}
{{- if $.Values.monitoring.enabled }}
{{- $texts = append $texts "monitoring" }}
{{- end }}
{{- range $other111 := (without (uniq $.Values.postgresql.databases) "nessie" "airflow" "superset" "mlflow" "trino" "polls" "noetl" "monitoring") }}
{{- $texts = append $texts $other111 }}
{{- end }}
{{- join " " $texts }}
{{- end }}

{{- define "data-platform.pods-airflow" -}}
{{- if $.Values.airflow.enabled }}
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "airflow"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-airflow" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "api-server"
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "airflow"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-airflow" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "dag-processor"
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "airflow"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-airflow" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "scheduler"
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "airflow"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-airflow" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "setup"
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "airflow"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-airflow" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "triggerer"
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "airflow"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-airflow" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "worker"
{{- end }}
{{ end }}

{{- define "data-platform.pods-clickhouse" -}}
{{- if $.Values.clickhouse.enabled }}
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "clickhouse"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-clickhouse" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "server"
{{- end }}
{{ end }}

{{- define "data-platform.pods-cloudnativePg" -}}

{{ end }}

{{- define "data-platform.pods-deployd" -}}
{{- if $.Values.deployd.enabled }}
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "deployd"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-deployd" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "server"
{{- end }}
{{ end }}

{{- define "data-platform.pods-djangoApps" -}}
{{- range $name106, $value106 := $.Values.djangoApps }}
{{- $value106 = mergeOverwrite (fromJson "{\"application\":\"mysite.wsgi\",\"interface\":\"wsgi\",\"healthPath\":\"/healthz\",\"replicas\":1,\"workers\":1,\"resources\":{\"requests\":{\"cpu\":\"5m\",\"memory\":\"96Mi\"},\"limits\":{\"memory\":\"256Mi\"}},\"pods\":{\"priority\":\"web\"},\"serviceAccount\":{},\"env\":{},\"envFrom\":[],\"service\":{},\"ingress\":{},\"auth\":{\"rotation\":1}}") $value106 }}
{{- if $name106 }}
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": {{ (printf "django-%v" $name106) | toJson }}
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-django-%v" $.Release.Name $name106))) | toJson }}
      "app.kubernetes.io/component": "migrate"
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": {{ (printf "django-%v" $name106) | toJson }}
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-django-%v" $.Release.Name $name106))) | toJson }}
      "app.kubernetes.io/component": "web"
{{- end }}
{{- end }}
{{ end }}

{{- define "data-platform.pods-flink" -}}
{{- if $.Values.flink.enabled }}
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "flink"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-flink" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "jobmanager"
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "flink"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-flink" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "taskmanager"
{{- end }}
{{ end }}

{{- define "data-platform.pods-kafka" -}}
{{- if $.Values.kafka.enabled }}
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "kafka"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-kafka" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "server"
{{- if $.Values.schemaRegistry.enabled }}
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "kafka"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-kafka" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "topics"
{{- end }}
{{- end }}
{{ end }}

{{- define "data-platform.pods-minio" -}}
{{- if $.Values.minio.enabled }}
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "minio"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-minio" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "buckets"
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "minio"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-minio" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "server"
{{- end }}
{{ end }}

{{- define "data-platform.pods-monitoring" -}}
{{- if $.Values.monitoring.enabled }}
{{- if $.Values.postgresql.enabled }}
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "exporters"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-exporters" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "postgresql"
{{- end }}
{{- if $.Values.redis.enabled }}
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "exporters"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-exporters" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "redis"
{{- end }}
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "exporters"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-exporters" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "statsd"
{{- if $.Values.monitoring.prometheus.enabled }}
{{- if $.Values.monitoring.grafana.enabled }}
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "grafana"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-grafana" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "server"
{{- end }}
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "prometheus"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-prometheus" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "server"
{{- end }}
{{- end }}
{{ end }}

{{- define "data-platform.pods-nessie" -}}
{{- if $.Values.nessie.enabled }}
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "nessie"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-nessie" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "server"
{{- end }}
{{ end }}

{{- define "data-platform.pods-noetl" -}}
{{- if $.Values.noetl.enabled }}
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "noetl"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-noetl" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "schema"
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "noetl"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-noetl" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "server"
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "noetl"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-noetl" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "worker"
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "noetl-nats"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-noetl-nats" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "queue"
{{- end }}
{{ end }}

{{- define "data-platform.pods-polls" -}}
{{- if $.Values.polls.enabled }}
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "polls"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-polls" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "migrate"
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "polls"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-polls" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "web"
{{- end }}
{{ end }}

{{- define "data-platform.pods-postgresql" -}}
{{- if $.Values.postgresql.enabled }}
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "postgresql"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-postgresql" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "server"
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "postgresql"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-postgresql" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "users"
{{- end }}
{{ end }}

{{- define "data-platform.pods-redis" -}}
{{- if $.Values.redis.enabled }}
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "redis"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-redis" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "server"
{{- end }}
{{ end }}

{{- define "data-platform.pods-schemaRegistry" -}}
{{- if $.Values.schemaRegistry.enabled }}
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "schema-registry"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-schema-registry" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "server"
{{- end }}
{{ end }}

{{- define "data-platform.pods-spark" -}}
{{- if $.Values.spark.enabled }}
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "spark"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-spark" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "driver"
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "spark"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-spark" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "master"
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "spark"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-spark" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "worker"
{{- end }}
{{ end }}

{{- define "data-platform.pods-superset" -}}
{{- if $.Values.superset.enabled }}
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "superset"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-superset" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "beat"
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "superset"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-superset" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "databases"
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "superset"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-superset" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "setup"
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "superset"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-superset" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "web"
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "superset"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-superset" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "worker"
{{- end }}
{{ end }}

{{- define "data-platform.pods-trino" -}}
{{- if $.Values.trino.enabled }}
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "trino"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-trino" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "coordinator"
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "trino"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-trino" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "worker"
{{- end }}
{{ end }}

{{- define "data-platform.pods-webApp" -}}
{{- if $.Values.webApp.enabled }}
{{- if $.Values.minio.enabled }}
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "web-app"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-web-app" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "backup"
{{- end }}
{{- if $.Values.webApp.debug }}
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "web-app"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-web-app" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "debug"
{{- end }}
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "web-app"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-web-app" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "flask"
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "web-app"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-web-app" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "redis"
{{- if $.Values.minio.enabled }}
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "web-app"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-web-app" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "restore"
{{- end }}
-
  namespaceSelector:
    matchLabels:
      "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
  podSelector:
    matchLabels:
      "app.kubernetes.io/name": "web-app"
      "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-web-app" $.Release.Name))) | toJson }}
      "app.kubernetes.io/component": "worker"
{{- end }}
{{ end }}

{{- define "data-platform.servers-airflow" -}}
{{- if $.Values.airflow.enabled }}
-
  to:
    -
      namespaceSelector:
        matchLabels:
          "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
      podSelector:
        matchLabels:
          "app.kubernetes.io/name": "airflow"
          "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-airflow" $.Release.Name))) | toJson }}
          "app.kubernetes.io/component": "api-server"
  ports:
    -
      protocol: "TCP"
      port: 8080
{{- end }}
{{ end }}

{{- define "data-platform.servers-clickhouse" -}}
{{- if $.Values.clickhouse.enabled }}
-
  to:
    -
      namespaceSelector:
        matchLabels:
          "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
      podSelector:
        matchLabels:
          "app.kubernetes.io/name": "clickhouse"
          "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-clickhouse" $.Release.Name))) | toJson }}
          "app.kubernetes.io/component": "server"
  ports:
    -
      protocol: "TCP"
      port: 8123
    -
      protocol: "TCP"
      port: 9000
    -
      protocol: "TCP"
      port: 9363
{{- end }}
{{ end }}

{{- define "data-platform.servers-cloudnativePg" -}}

{{ end }}

{{- define "data-platform.servers-deployd" -}}
{{- if $.Values.deployd.enabled }}
-
  to:
    -
      namespaceSelector:
        matchLabels:
          "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
      podSelector:
        matchLabels:
          "app.kubernetes.io/name": "deployd"
          "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-deployd" $.Release.Name))) | toJson }}
          "app.kubernetes.io/component": "server"
  ports:
    -
      protocol: "TCP"
      port: 8080
{{- end }}
{{ end }}

{{- define "data-platform.servers-djangoApps" -}}
{{- range $name106, $value106 := $.Values.djangoApps }}
{{- $value106 = mergeOverwrite (fromJson "{\"application\":\"mysite.wsgi\",\"interface\":\"wsgi\",\"healthPath\":\"/healthz\",\"replicas\":1,\"workers\":1,\"resources\":{\"requests\":{\"cpu\":\"5m\",\"memory\":\"96Mi\"},\"limits\":{\"memory\":\"256Mi\"}},\"pods\":{\"priority\":\"web\"},\"serviceAccount\":{},\"env\":{},\"envFrom\":[],\"service\":{},\"ingress\":{},\"auth\":{\"rotation\":1}}") $value106 }}
{{- if $name106 }}
-
  to:
    -
      namespaceSelector:
        matchLabels:
          "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
      podSelector:
        matchLabels:
          "app.kubernetes.io/name": {{ (printf "django-%v" $name106) | toJson }}
          "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-django-%v" $.Release.Name $name106))) | toJson }}
          "app.kubernetes.io/component": "web"
  ports:
    -
      protocol: "TCP"
      port: 8000
{{- end }}
{{- end }}
{{ end }}

{{- define "data-platform.servers-flink" -}}
{{- if $.Values.flink.enabled }}
-
  to:
    -
      namespaceSelector:
        matchLabels:
          "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
      podSelector:
        matchLabels:
          "app.kubernetes.io/name": "flink"
          "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-flink" $.Release.Name))) | toJson }}
          "app.kubernetes.io/component": "jobmanager"
  ports:
    -
      protocol: "TCP"
      port: 8081
{{- if (and $.Values.monitoring.enabled $.Values.monitoring.monitors.enabled) }}
    -
      protocol: "TCP"
      port: 9249
{{- end }}
{{- if (and $.Values.monitoring.enabled $.Values.monitoring.monitors.enabled) }}
-
  to:
    -
      namespaceSelector:
        matchLabels:
          "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
      podSelector:
        matchLabels:
          "app.kubernetes.io/name": "flink"
          "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-flink" $.Release.Name))) | toJson }}
          "app.kubernetes.io/component": "taskmanager"
  ports:
    -
      protocol: "TCP"
      port: 9249
{{- end }}
{{- end }}
{{ end }}

{{- define "data-platform.servers-kafka" -}}
{{- if $.Values.kafka.enabled }}
-
  to:
    -
      namespaceSelector:
        matchLabels:
          "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
      podSelector:
        matchLabels:
          "app.kubernetes.io/name": "kafka"
          "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-kafka" $.Release.Name))) | toJson }}
          "app.kubernetes.io/component": "server"
  ports:
    -
      protocol: "TCP"
      port: 9092
{{- if (and $.Values.monitoring.enabled $.Values.monitoring.monitors.enabled) }}
    -
      protocol: "TCP"
      port: 9404
{{- end }}
{{- end }}
{{ end }}

{{- define "data-platform.servers-minio" -}}
{{- if $.Values.minio.enabled }}
-
  to:
    -
      namespaceSelector:
        matchLabels:
          "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) | toJson }}
      podSelector:
        matchLabels:
          "app.kubernetes.io/name": "minio"
          "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-minio" $.Release.Name))) | toJson }}
          "app.kubernetes.io/component": "server"
  ports:
    -
      protocol: "TCP"
      port: 9000
    -
      protocol: "TCP"
      port: 9001
{{- end }}
{{ end }}

{{- define "data-platform.servers-monitoring" -}}
{{- if $.Values.monitoring.enabled }}
{{- if (and $.Values.postgresql.enabled $.Values.monitoring.monitors.enabled) }}
-
  to:
    -
      namespaceSelector:
        matchLabels:
          "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) | toJson }}
      podSelector:
        matchLabels:
          "app.kubernetes.io/name": "exporters"
          "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-exporters" $.Release.Name))) | toJson }}
          "app.kubernetes.io/component": "postgresql"
  ports:
    -
      protocol: "TCP"
      port: 9187
{{- end }}
{{- if (and $.Values.redis.enabled $.Values.monitoring.monitors.enabled) }}
-
  to:
    -
      namespaceSelector:
        matchLabels:
          "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) | toJson }}
      podSelector:
        matchLabels:
          "app.kubernetes.io/name": "exporters"
          "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-exporters" $.Release.Name))) | toJson }}
          "app.kubernetes.io/component": "redis"
  ports:
    -
      protocol: "TCP"
      port: 9121
{{- end }}
-
  to:
    -
      namespaceSelector:
        matchLabels:
          "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) | toJson }}
      podSelector:
        matchLabels:
          "app.kubernetes.io/name": "exporters"
          "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-exporters" $.Release.Name))) | toJson }}
          "app.kubernetes.io/component": "statsd"
  ports:
{{- if $.Values.monitoring.monitors.enabled }}
    -
      protocol: "TCP"
      port: 9102
{{- end }}
    -
      protocol: "UDP"
      port: 9125
{{- if $.Values.monitoring.prometheus.enabled }}
{{- if $.Values.monitoring.grafana.enabled }}
-
  to:
    -
      namespaceSelector:
        matchLabels:
          "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) | toJson }}
      podSelector:
        matchLabels:
          "app.kubernetes.io/name": "grafana"
          "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-grafana" $.Release.Name))) | toJson }}
          "app.kubernetes.io/component": "server"
  ports:
    -
      protocol: "TCP"
      port: 3000
{{- end }}
-
  to:
    -
      namespaceSelector:
        matchLabels:
          "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) | toJson }}
      podSelector:
        matchLabels:
          "app.kubernetes.io/name": "prometheus"
          "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-prometheus" $.Release.Name))) | toJson }}
          "app.kubernetes.io/component": "server"
  ports:
    -
      protocol: "TCP"
      port: 9090
{{- end }}
{{- end }}
{{ end }}

{{- define "data-platform.servers-nessie" -}}
{{- if $.Values.nessie.enabled }}
-
  to:
    -
      namespaceSelector:
        matchLabels:
          "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) | toJson }}
      podSelector:
        matchLabels:
          "app.kubernetes.io/name": "nessie"
          "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-nessie" $.Release.Name))) | toJson }}
          "app.kubernetes.io/component": "server"
  ports:
    -
      protocol: "TCP"
      port: 9000
    -
      protocol: "TCP"
      port: 19120
{{- end }}
{{ end }}

{{- define "data-platform.servers-noetl" -}}
{{- if $.Values.noetl.enabled }}
-
  to:
    -
      namespaceSelector:
        matchLabels:
          "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
      podSelector:
        matchLabels:
          "app.kubernetes.io/name": "noetl"
          "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-noetl" $.Release.Name))) | toJson }}
          "app.kubernetes.io/component": "server"
  ports:
    -
      protocol: "TCP"
      port: 8082
-
  to:
    -
      namespaceSelector:
        matchLabels:
          "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
      podSelector:
        matchLabels:
          "app.kubernetes.io/name": "noetl-nats"
          "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-noetl-nats" $.Release.Name))) | toJson }}
          "app.kubernetes.io/component": "queue"
  ports:
    -
      protocol: "TCP"
      port: 4222
{{- end }}
{{ end }}

{{- define "data-platform.servers-polls" -}}
{{- if $.Values.polls.enabled }}
-
  to:
    -
      namespaceSelector:
        matchLabels:
          "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
      podSelector:
        matchLabels:
          "app.kubernetes.io/name": "polls"
          "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-polls" $.Release.Name))) | toJson }}
          "app.kubernetes.io/component": "web"
  ports:
    -
      protocol: "TCP"
      port: 8000
{{- end }}
{{ end }}

{{- define "data-platform.servers-postgresql" -}}
{{- if $.Values.postgresql.enabled }}
-
  to:
    -
      namespaceSelector:
        matchLabels:
          "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) | toJson }}
      podSelector:
        matchLabels:
          "app.kubernetes.io/name": "postgresql"
          "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-postgresql" $.Release.Name))) | toJson }}
          "app.kubernetes.io/component": "server"
  ports:
    -
      protocol: "TCP"
      port: 5432
{{- end }}
{{ end }}

{{- define "data-platform.servers-redis" -}}
{{- if $.Values.redis.enabled }}
-
  to:
    -
      namespaceSelector:
        matchLabels:
          "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) | toJson }}
      podSelector:
        matchLabels:
          "app.kubernetes.io/name": "redis"
          "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-redis" $.Release.Name))) | toJson }}
          "app.kubernetes.io/component": "server"
  ports:
    -
      protocol: "TCP"
      port: 6379
{{- end }}
{{ end }}

{{- define "data-platform.servers-schemaRegistry" -}}
{{- if $.Values.schemaRegistry.enabled }}
-
  to:
    -
      namespaceSelector:
        matchLabels:
          "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
      podSelector:
        matchLabels:
          "app.kubernetes.io/name": "schema-registry"
          "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-schema-registry" $.Release.Name))) | toJson }}
          "app.kubernetes.io/component": "server"
  ports:
    -
      protocol: "TCP"
      port: 8085
    -
      protocol: "TCP"
      port: 9000
{{- end }}
{{ end }}

{{- define "data-platform.servers-spark" -}}
{{- if $.Values.spark.enabled }}
-
  to:
    -
      namespaceSelector:
        matchLabels:
          "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
      podSelector:
        matchLabels:
          "app.kubernetes.io/name": "spark"
          "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-spark" $.Release.Name))) | toJson }}
          "app.kubernetes.io/component": "master"
  ports:
    -
      protocol: "TCP"
      port: 7077
    -
      protocol: "TCP"
      port: 8080
{{- if (and $.Values.monitoring.enabled $.Values.monitoring.monitors.enabled) }}
-
  to:
    -
      namespaceSelector:
        matchLabels:
          "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
      podSelector:
        matchLabels:
          "app.kubernetes.io/name": "spark"
          "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-spark" $.Release.Name))) | toJson }}
          "app.kubernetes.io/component": "worker"
  ports:
    -
      protocol: "TCP"
      port: 8081
{{- end }}
{{- end }}
{{ end }}

{{- define "data-platform.servers-superset" -}}
{{- if $.Values.superset.enabled }}
-
  to:
    -
      namespaceSelector:
        matchLabels:
          "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
      podSelector:
        matchLabels:
          "app.kubernetes.io/name": "superset"
          "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-superset" $.Release.Name))) | toJson }}
          "app.kubernetes.io/component": "web"
  ports:
    -
      protocol: "TCP"
      port: 8088
{{- end }}
{{ end }}

{{- define "data-platform.servers-trino" -}}
{{- if $.Values.trino.enabled }}
-
  to:
    -
      namespaceSelector:
        matchLabels:
          "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
      podSelector:
        matchLabels:
          "app.kubernetes.io/name": "trino"
          "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-trino" $.Release.Name))) | toJson }}
          "app.kubernetes.io/component": "coordinator"
  ports:
    -
      protocol: "TCP"
      port: 8080
{{- if (and $.Values.monitoring.enabled $.Values.monitoring.monitors.enabled) }}
-
  to:
    -
      namespaceSelector:
        matchLabels:
          "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
      podSelector:
        matchLabels:
          "app.kubernetes.io/name": "trino"
          "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-trino" $.Release.Name))) | toJson }}
          "app.kubernetes.io/component": "worker"
  ports:
    -
      protocol: "TCP"
      port: 8080
{{- end }}
{{- end }}
{{ end }}

{{- define "data-platform.servers-webApp" -}}
{{- if $.Values.webApp.enabled }}
-
  to:
    -
      namespaceSelector:
        matchLabels:
          "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
      podSelector:
        matchLabels:
          "app.kubernetes.io/name": "web-app"
          "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-web-app" $.Release.Name))) | toJson }}
          "app.kubernetes.io/component": "flask"
  ports:
    -
      protocol: "TCP"
      port: 5000
-
  to:
    -
      namespaceSelector:
        matchLabels:
          "kubernetes.io/metadata.name": {{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) | toJson }}
      podSelector:
        matchLabels:
          "app.kubernetes.io/name": "web-app"
          "app.kubernetes.io/instance": {{ (include "data-platform.labelValue" (list (printf "%v-web-app" $.Release.Name))) | toJson }}
          "app.kubernetes.io/component": "redis"
  ports:
    -
      protocol: "TCP"
      port: 6379
{{- end }}
{{ end }}

{{- define "data-platform.text-00df9b36" -}}
{{ if $.Values.deployd.auth.existingSecret }}{{ $.Values.deployd.auth.existingSecret }}{{ else }}deployd-webhook{{ end }}
{{- end }}

{{- define "data-platform.text-02621de1" -}}
{{ if $.Values.spark.auth.existingSecret }}{{ $.Values.spark.auth.existingSecret }}{{ else }}spark-admin{{ end }}
{{- end }}

{{- define "data-platform.text-03b4b2b5" -}}
{{ if $.Values.airflow.apiServer.resources.limits.cpu }}{{ (include "data-platform.smallerCpu" (list "5m" $.Values.airflow.apiServer.resources.limits.cpu)) }}{{ else }}5m{{ end }}
{{- end }}

{{- define "data-platform.text-0a5dfa2c" -}}
{{ if $.Values.airflow.triggerer.resources.limits.cpu }}{{ (include "data-platform.smallerCpu" (list "5m" $.Values.airflow.triggerer.resources.limits.cpu)) }}{{ else }}5m{{ end }}
{{- end }}

{{- define "data-platform.text-0bab7910" -}}
{{- $name106 := $.name106 -}}
{{- $value106 := $.value106 -}}
{{ if $value106.auth.existingSecret }}{{ $value106.auth.existingSecret }}{{ else }}django-{{ $name106 }}-admin{{ end }}
{{- end }}

{{- define "data-platform.text-14bdc23b" -}}
{{ if $.Values.superset.auth.existingSecret }}{{ $.Values.superset.auth.existingSecret }}{{ else }}superset-admin{{ end }}
{{- end }}

{{- define "data-platform.text-1a99fa21" -}}
{{ if $.Values.webApp.auth.existingSecret }}{{ $.Values.webApp.auth.existingSecret }}{{ else }}app-{{ (coalesce $.Values.webApp.environment $.Release.Name) }}-secret-redis{{ end }}
{{- end }}

{{- define "data-platform.text-1aec2242" -}}
{{ if $.Values.kafka.resources.limits.cpu }}{{ (include "data-platform.smallerCpu" (list "10m" $.Values.kafka.resources.limits.cpu)) }}{{ else }}10m{{ end }}
{{- end }}

{{- define "data-platform.text-1f0d0134" -}}
{{ if $.Values.webApp.auth.existingSecret }}{{ $.Values.webApp.auth.existingSecret }}-{{ (toString (int64 $.Values.webApp.auth.rotation)) }}{{ else }}{{ (include "data-platform.revisionOf" (list "" (printf "{\"password\":\"%v\"}" (include "data-platform.password-app-x-secret-redis" $)))) }}{{ end }}
{{- end }}

{{- define "data-platform.text-227ffb1a" -}}
{{ if $.Values.airflow.scheduler.resources.limits.cpu }}{{ (include "data-platform.smallerCpu" (list "5m" $.Values.airflow.scheduler.resources.limits.cpu)) }}{{ else }}5m{{ end }}
{{- end }}

{{- define "data-platform.text-2470eeea" -}}
{{ if $.Values.polls.resources.limits.cpu }}{{ (include "data-platform.smallerCpu" (list "5m" $.Values.polls.resources.limits.cpu)) }}{{ else }}5m{{ end }}
{{- end }}

{{- define "data-platform.text-25523ba0" -}}
{{ if $.Values.postgresql.auth.existingSecret }}{{ $.Values.postgresql.auth.existingSecret }}-{{ (toString (int64 $.Values.postgresql.auth.rotation)) }}{{ else }}{{ (include "data-platform.revisionOf" (list "" (printf "{\"password\":\"%v\"}" (include "data-platform.password-postgresql-admin" $)))) }}{{ end }}
{{- end }}

{{- define "data-platform.text-2fae80e1" -}}
{{ if $.Values.clickhouse.auth.existingSecret }}{{ $.Values.clickhouse.auth.existingSecret }}{{ else }}clickhouse-admin{{ end }}
{{- end }}

{{- define "data-platform.text-354da2bb" -}}
{{- $name106 := $.name106 -}}
{{- $value106 := $.value106 -}}
{{ if (include "data-platform.pageHost" (list $value106.ingress.host (printf "django-%v" $name106) $.Values.global.domain true)) }}{{ (include "data-platform.pageHost" (list $value106.ingress.host (printf "django-%v" $name106) $.Values.global.domain true)) }},django-{{ $name106 }}{{ else }}django-{{ $name106 }}{{ end }},django-{{ $name106 }}.{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }},django-{{ $name106 }}.{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}.svc,django-{{ $name106 }}.{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}.svc.cluster.local,localhost,$(POD_IP),$(NODE_IP)
{{- end }}

{{- define "data-platform.text-3976d647" -}}
{{ if $.Values.monitoring.grafana.auth.existingSecret }}{{ $.Values.monitoring.grafana.auth.existingSecret }}-{{ (toString (int64 $.Values.monitoring.grafana.auth.rotation)) }}{{ else }}{{ (include "data-platform.revisionOf" (list "" (printf "{\"password\":\"%v\"}" (include "data-platform.password-grafana-admin" $)))) }}{{ end }}
{{- end }}

{{- define "data-platform.text-43dc9bac" -}}
jobmanager.rpc.port: 6123
blob.server.port: 6124
pekko.startup-timeout: "60 s"
rest.port: 8081
metrics.internal.query-service.port: 6125
metrics.reporter.prom.factory.class: "org.apache.flink.metrics.prometheus.PrometheusReporterFactory"
metrics.reporter.prom.port: 9249
security.delegation.tokens.enabled: false
s3.endpoint: "http://minio.{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}.svc:9000"
s3.path.style.access: true
execution.checkpointing.dir: "s3://flink/checkpoints"
execution.checkpointing.savepoint-dir: "s3://flink/savepoints"
execution.checkpointing.externalized-checkpoint-retention: "RETAIN_ON_CANCELLATION"
table.catalog-store.kind: "file"
table.catalog-store.file.path: "/opt/flink/catalogs"
io.tmp.dirs: "/tmp"
env.java.opts.all: "-Daws.java.v1.disableDeprecationAnnouncement=true --add-exports=java.rmi/sun.rmi.registry=ALL-UNNAMED --add-exports=jdk.compiler/com.sun.tools.javac.api=ALL-UNNAMED --add-exports=jdk.compiler/com.sun.tools.javac.file=ALL-UNNAMED --add-exports=jdk.compiler/com.sun.tools.javac.parser=ALL-UNNAMED --add-exports=jdk.compiler/com.sun.tools.javac.tree=ALL-UNNAMED --add-exports=jdk.compiler/com.sun.tools.javac.util=ALL-UNNAMED --add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED --add-opens=java.base/java.lang=ALL-UNNAMED --add-opens=java.base/java.net=ALL-UNNAMED --add-opens=java.base/java.io=ALL-UNNAMED --add-opens=java.base/java.nio=ALL-UNNAMED --add-opens=java.base/sun.nio.ch=ALL-UNNAMED --add-opens=java.base/java.lang.reflect=ALL-UNNAMED --add-opens=java.base/java.text=ALL-UNNAMED --add-opens=java.base/java.time=ALL-UNNAMED --add-opens=java.base/java.util=ALL-UNNAMED --add-opens=java.base/java.util.concurrent=ALL-UNNAMED --add-opens=java.base/java.util.concurrent.atomic=ALL-UNNAMED --add-opens=java.base/java.util.concurrent.locks=ALL-UNNAMED"
rest.address: "flink.{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}.svc"
{{ if (include "data-platform.several" (list (int64 $.Values.flink.jobManager.replicas))) }}high-availability.type: "kubernetes"
high-availability.storageDir: "s3://flink/high-availability"
high-availability.jobmanager.port: 6123
kubernetes.namespace: "{{ (coalesce $.Values.namespaces.flink.name (printf "%v-flink" $.Release.Name)) }}"
kubernetes.cluster-id: "flink"
{{ else }}jobmanager.rpc.address: "flink-jobmanager.{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}.svc"
{{ end }}jobmanager.bind-host: "0.0.0.0"
rest.bind-address: "0.0.0.0"
jobmanager.memory.process.size: "{{ (toString (int64 (include "data-platform.mebibytesOf" (list $.Values.flink.jobManager.resources.limits.memory 100)))) }}m"{{ "\n" }}
{{- end }}

{{- define "data-platform.text-4570e793" -}}
{{ if (include "data-platform.isNodePort" (list (include "data-platform.serviceType" (list $.Values.webApp.service.type $.Values.global.cluster)))) }}ClusterIP{{ else }}{{ (include "data-platform.serviceType" (list $.Values.webApp.service.type $.Values.global.cluster)) }}{{ end }}
{{- end }}

{{- define "data-platform.text-4a8eebbc" -}}
{{ if $.Values.spark.auth.existingSecret }}{{ $.Values.spark.auth.existingSecret }}-{{ (toString (int64 $.Values.spark.auth.rotation)) }}{{ else }}{{ (include "data-platform.revisionOf" (list "" (printf "{\"secret\":\"%v\"}" (include "data-platform.password-spark-admin" $)))) }}{{ end }}
{{- end }}

{{- define "data-platform.text-58f5f57c" -}}
{"conn_type":"git","host":{{ (include "data-platform.jsonText" (list $.Values.airflow.dags.git.repository)) }}{{ if (not (not (not (include "data-platform.isHttp" (list $.Values.airflow.dags.git.repository))))) }},"extra":{"key_file":"/run/git/ssh-privatekey","known_hosts_file":"/run/git/known_hosts","strict_host_key_checking":"yes"}{{ end }}}
{{- end }}

{{- define "data-platform.text-5c4270d7" -}}
{{ if $.Values.airflow.auth.existingSecret }}{{ $.Values.airflow.auth.existingSecret }}-{{ (toString (int64 $.Values.airflow.auth.rotation)) }}{{ else }}{{ (include "data-platform.revisionOf" (list "" (printf "{\"password\":\"%v\"}" (include "data-platform.password-airflow-admin" $)))) }}{{ end }}
{{- end }}

{{- define "data-platform.text-609db22e" -}}
KAFKA_OPTS=-XX:+ExitOnOutOfMemoryError{{ if $.Values.monitoring.enabled }} -javaagent:/opt/exporter/jmx_prometheus_javaagent.jar=9404:/etc/kafka/metrics.yaml{{ end }}
{{- end }}

{{- define "data-platform.text-64faf24d" -}}
{{ if $.Values.airflow.apiServer.resources.limits.cpu }}{{ (include "data-platform.smallerCpu" (list "10m" $.Values.airflow.apiServer.resources.limits.cpu)) }}{{ else }}10m{{ end }}
{{- end }}

{{- define "data-platform.text-6a3a087c" -}}
{{ if $.Values.superset.auth.existingSecret }}{{ $.Values.superset.auth.existingSecret }}-{{ (toString (int64 $.Values.superset.auth.rotation)) }}{{ else }}{{ (include "data-platform.revisionOf" (list "" (printf "{\"password\":\"%v\"}" (include "data-platform.password-superset-admin" $)))) }}{{ end }}
{{- end }}

{{- define "data-platform.text-6c389103" -}}
{{- $name106 := $.name106 -}}
{{- $value106 := $.value106 -}}
{{ if $value106.resources.limits.cpu }}{{ (include "data-platform.smallerCpu" (list "5m" $value106.resources.limits.cpu)) }}{{ else }}5m{{ end }}
{{- end }}

{{- define "data-platform.text-6c52fb8c" -}}
{{ if $.Values.polls.auth.existingSecret }}{{ $.Values.polls.auth.existingSecret }}-{{ (toString (int64 $.Values.polls.auth.rotation)) }}{{ else }}{{ (include "data-platform.revisionOf" (list "" (printf "{\"password\":\"%v\"}" (include "data-platform.password-polls-admin" $)))) }}{{ end }}
{{- end }}

{{- define "data-platform.text-6e848f18" -}}
{{ if $.Values.superset.beat.resources.limits.cpu }}{{ (include "data-platform.smallerCpu" (list "5m" $.Values.superset.beat.resources.limits.cpu)) }}{{ else }}5m{{ end }}
{{- end }}

{{- define "data-platform.text-7014d8d1" -}}
{{ if (not (not (kindIs "map" $.Values.frontDoor.tls.issuer))) }}issuer{{ else }}{{ if (include "data-platform.isSignedLocally" (list (not (not (kindIs "map" $.Values.frontDoor.tls.issuer))) (not (not $.Values.frontDoor.tls.existingSecret)) $.Values.global.cluster)) }}local{{ end }}{{ end }}
{{- end }}

{{- define "data-platform.text-7b48b43d" -}}
{{ if $.Values.minio.auth.existingSecret }}{{ $.Values.minio.auth.existingSecret }}-{{ (toString (int64 $.Values.minio.auth.rotation)) }}{{ else }}{{ (include "data-platform.revisionOf" (list "" (printf "{\"root-user\":\"admin\",\"root-password\":\"%v\"}" (include "data-platform.password-minio-admin" $)))) }}{{ end }}
{{- end }}

{{- define "data-platform.text-82dca094" -}}
{{ if $.Values.polls.auth.existingSecret }}{{ $.Values.polls.auth.existingSecret }}{{ else }}polls-admin{{ end }}
{{- end }}

{{- define "data-platform.text-835da832" -}}
{{ if $.Values.airflow.auth.existingSecret }}{{ $.Values.airflow.auth.existingSecret }}{{ else }}airflow-admin{{ end }}
{{- end }}

{{- define "data-platform.text-8465ecf8" -}}
{{ if (include "data-platform.pageHost" (list $.Values.polls.ingress.host "polls" $.Values.global.domain true)) }}{{ (include "data-platform.pageHost" (list $.Values.polls.ingress.host "polls" $.Values.global.domain true)) }},polls{{ else }}polls{{ end }},polls.{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }},polls.{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}.svc,polls.{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}.svc.cluster.local,localhost,$(POD_IP),$(NODE_IP)
{{- end }}

{{- define "data-platform.text-887a0781" -}}
{{ if $.Values.trino.auth.existingSecret }}{{ $.Values.trino.auth.existingSecret }}{{ else }}trino-internal{{ end }}
{{- end }}

{{- define "data-platform.text-9319bb30" -}}
{{ if $.Values.noetl.server.resources.limits.cpu }}{{ (include "data-platform.smallerCpu" (list "5m" $.Values.noetl.server.resources.limits.cpu)) }}{{ else }}5m{{ end }}
{{- end }}

{{- define "data-platform.text-9a60457f" -}}
{{ if $.Values.trino.auth.existingSecret }}{{ $.Values.trino.auth.existingSecret }}-{{ (toString (int64 $.Values.trino.auth.rotation)) }}{{ else }}{{ (include "data-platform.revisionOf" (list "" (printf "{\"shared-secret\":\"%v\"}" (include "data-platform.password-trino-internal" $)))) }}{{ end }}
{{- end }}

{{- define "data-platform.text-9bb429d4" -}}
{{ if $.Values.noetl.server.resources.limits.cpu }}{{ (include "data-platform.smallerCpu" (list $.Values.noetl.server.resources.requests.cpu $.Values.noetl.server.resources.limits.cpu)) }}{{ else }}{{ $.Values.noetl.server.resources.requests.cpu }}{{ end }}
{{- end }}

{{- define "data-platform.text-9de90fa8" -}}
jobmanager.rpc.port: 6123
blob.server.port: 6124
pekko.startup-timeout: "60 s"
rest.port: 8081
metrics.internal.query-service.port: 6125
metrics.reporter.prom.factory.class: "org.apache.flink.metrics.prometheus.PrometheusReporterFactory"
metrics.reporter.prom.port: 9249
security.delegation.tokens.enabled: false
s3.endpoint: "http://minio.{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}.svc:9000"
s3.path.style.access: true
execution.checkpointing.dir: "s3://flink/checkpoints"
execution.checkpointing.savepoint-dir: "s3://flink/savepoints"
execution.checkpointing.externalized-checkpoint-retention: "RETAIN_ON_CANCELLATION"
table.catalog-store.kind: "file"
table.catalog-store.file.path: "/opt/flink/catalogs"
io.tmp.dirs: "/tmp"
env.java.opts.all: "-Daws.java.v1.disableDeprecationAnnouncement=true --add-exports=java.rmi/sun.rmi.registry=ALL-UNNAMED --add-exports=jdk.compiler/com.sun.tools.javac.api=ALL-UNNAMED --add-exports=jdk.compiler/com.sun.tools.javac.file=ALL-UNNAMED --add-exports=jdk.compiler/com.sun.tools.javac.parser=ALL-UNNAMED --add-exports=jdk.compiler/com.sun.tools.javac.tree=ALL-UNNAMED --add-exports=jdk.compiler/com.sun.tools.javac.util=ALL-UNNAMED --add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED --add-opens=java.base/java.lang=ALL-UNNAMED --add-opens=java.base/java.net=ALL-UNNAMED --add-opens=java.base/java.io=ALL-UNNAMED --add-opens=java.base/java.nio=ALL-UNNAMED --add-opens=java.base/sun.nio.ch=ALL-UNNAMED --add-opens=java.base/java.lang.reflect=ALL-UNNAMED --add-opens=java.base/java.text=ALL-UNNAMED --add-opens=java.base/java.time=ALL-UNNAMED --add-opens=java.base/java.util=ALL-UNNAMED --add-opens=java.base/java.util.concurrent=ALL-UNNAMED --add-opens=java.base/java.util.concurrent.atomic=ALL-UNNAMED --add-opens=java.base/java.util.concurrent.locks=ALL-UNNAMED"
rest.address: "flink.{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}.svc"
{{ if (include "data-platform.several" (list (int64 $.Values.flink.jobManager.replicas))) }}high-availability.type: "kubernetes"
high-availability.storageDir: "s3://flink/high-availability"
high-availability.jobmanager.port: 6123
kubernetes.namespace: "{{ (coalesce $.Values.namespaces.flink.name (printf "%v-flink" $.Release.Name)) }}"
kubernetes.cluster-id: "flink"
{{ else }}jobmanager.rpc.address: "flink-jobmanager.{{ (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) }}.svc"
{{ end }}taskmanager.bind-host: "0.0.0.0"
taskmanager.rpc.port: 6122
taskmanager.data.port: 6121
taskmanager.collect-sink.port: 6126
taskmanager.memory.process.size: "{{ (toString (int64 (include "data-platform.mebibytesOf" (list $.Values.flink.taskManager.resources.limits.memory 100)))) }}m"
taskmanager.numberOfTaskSlots: {{ (int64 $.Values.flink.taskManager.slots) }}{{ "\n" }}
{{- end }}

{{- define "data-platform.text-9ed19ce2" -}}
{{ if $.Values.postgresql.auth.existingSecret }}{{ $.Values.postgresql.auth.existingSecret }}{{ else }}postgresql-admin{{ end }}
{{- end }}

{{- define "data-platform.text-a0d8de8f" -}}
{{ if $.Values.postgresql.resources.limits.cpu }}{{ (include "data-platform.smallerCpu" (list "10m" $.Values.postgresql.resources.limits.cpu)) }}{{ else }}10m{{ end }}
{{- end }}

{{- define "data-platform.text-a70c9d69" -}}
{{ if $.Values.webApp.worker.resources.limits.cpu }}{{ (include "data-platform.smallerCpu" (list "5m" $.Values.webApp.worker.resources.limits.cpu)) }}{{ else }}5m{{ end }}
{{- end }}

{{- define "data-platform.text-b7704b87" -}}
{{ if $.Values.minio.resources.limits.cpu }}{{ (include "data-platform.smallerCpu" (list "10m" $.Values.minio.resources.limits.cpu)) }}{{ else }}10m{{ end }}
{{- end }}

{{- define "data-platform.text-b8cf4eff" -}}
{{ if $.Values.clickhouse.auth.existingSecret }}{{ $.Values.clickhouse.auth.existingSecret }}-{{ (toString (int64 $.Values.clickhouse.auth.rotation)) }}{{ else }}{{ (include "data-platform.revisionOf" (list "" (printf "{\"username\":\"platform\",\"password\":\"%v\"}" (include "data-platform.password-clickhouse-admin" $)))) }}{{ end }}
{{- end }}

{{- define "data-platform.text-b978f514" -}}
{{ if $.Values.redis.auth.existingSecret }}{{ $.Values.redis.auth.existingSecret }}{{ else }}redis-admin{{ end }}
{{- end }}

{{- define "data-platform.text-c349d84f" -}}
{{ if (include "data-platform.several" (list (int64 $.Values.flink.jobManager.replicas))) }}{{ (coalesce (coalesce $.Values.flink.serviceAccount.roles.taskmanager.name $.Values.flink.serviceAccount.name) "flink-taskmanager") }}{{ else }}{{ (coalesce $.Values.flink.serviceAccount.name "flink") }}{{ end }}
{{- end }}

{{- define "data-platform.text-c3f4105c" -}}
{{ if $.Values.airflow.worker.resources.limits.cpu }}{{ (include "data-platform.smallerCpu" (list "5m" $.Values.airflow.worker.resources.limits.cpu)) }}{{ else }}5m{{ end }}
{{- end }}

{{- define "data-platform.text-c4477c33" -}}
{{ if $.Values.airflow.dagProcessor.resources.limits.cpu }}{{ (include "data-platform.smallerCpu" (list "5m" $.Values.airflow.dagProcessor.resources.limits.cpu)) }}{{ else }}5m{{ end }}
{{- end }}

{{- define "data-platform.text-c4bbdeb2" -}}
{{ if $.Values.monitoring.grafana.auth.existingSecret }}{{ $.Values.monitoring.grafana.auth.existingSecret }}{{ else }}grafana-admin{{ end }}
{{- end }}

{{- define "data-platform.text-cd7e553a" -}}
{{ if $.Values.noetl.packageIndex }}{{ $.Values.noetl.image }}{{ else }}{{ (include "data-platform.imageOf" (list $.Values.noetl.image "4.26.0")) }}{{ end }}
{{- end }}

{{- define "data-platform.text-d4766c88" -}}
{{ if $.Values.superset.worker.resources.limits.cpu }}{{ (include "data-platform.smallerCpu" (list "5m" $.Values.superset.worker.resources.limits.cpu)) }}{{ else }}5m{{ end }}
{{- end }}

{{- define "data-platform.text-d687638b" -}}
{{ if $.Values.deployd.auth.existingSecret }}{{ $.Values.deployd.auth.existingSecret }}-{{ (toString (int64 $.Values.deployd.auth.rotation)) }}{{ else }}{{ (include "data-platform.revisionOf" (list "" (printf "{\"secret\":\"%v\",\"token\":\"%v\"}" (include "data-platform.password-deployd-webhook" $) (include "data-platform.password-deployd-api" $)))) }}{{ end }}
{{- end }}

{{- define "data-platform.text-d81a30b7" -}}
{{ if $.Values.superset.web.resources.limits.cpu }}{{ (include "data-platform.smallerCpu" (list "50m" $.Values.superset.web.resources.limits.cpu)) }}{{ else }}50m{{ end }}
{{- end }}

{{- define "data-platform.text-da581197" -}}
{{ if $.Values.redis.auth.existingSecret }}{{ $.Values.redis.auth.existingSecret }}-{{ (toString (int64 $.Values.redis.auth.rotation)) }}{{ else }}{{ (include "data-platform.revisionOf" (list "" (printf "{\"password\":\"%v\"}" (include "data-platform.password-redis-admin" $)))) }}{{ end }}
{{- end }}

{{- define "data-platform.text-dddf6d80" -}}
quarkus.http.port=19120
quarkus.management.port=9000

nessie.version.store.type=JDBC2
nessie.version.store.persist.jdbc.datasource=postgresql
quarkus.datasource.postgresql.jdbc.url=jdbc:postgresql://postgresql.{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}.svc:5432/nessie
quarkus.datasource.postgresql.jdbc.max-size=10
quarkus.datasource.postgresql.username=${DATABASE_USERNAME}
quarkus.datasource.postgresql.password=${DATABASE_PASSWORD}

nessie.catalog.default-warehouse=lakehouse
nessie.catalog.warehouses.lakehouse.location=s3://lakehouse/
nessie.catalog.service.s3.default-options.endpoint=http://minio.{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}.svc:9000/
nessie.catalog.service.s3.default-options.region=us-east-1
nessie.catalog.service.s3.default-options.path-style-access=true
nessie.catalog.service.s3.default-options.access-key=urn:nessie-secret:quarkus:s3-key
# Clients have keys of their own, so none needs the catalog to sign its requests.
nessie.catalog.service.s3.default-options.request-signing-enabled=false
s3-key.name=${S3_ACCESS_KEY}
s3-key.secret=${S3_SECRET_KEY}
{{ if (include "data-platform.pageHost" (list "" "nessie" $.Values.global.domain $.Values.frontDoor.nessie.allowWithoutLogin)) }}quarkus.http.proxy.proxy-address-forwarding=true
quarkus.http.proxy.enable-forwarded-host=true
quarkus.http.proxy.allow-x-forwarded=true
{{ end }}
{{- end }}

{{- define "data-platform.text-e490e40a" -}}
{{ if $.Values.minio.auth.existingSecret }}{{ $.Values.minio.auth.existingSecret }}{{ else }}minio-admin{{ end }}
{{- end }}

{{- define "data-platform.text-e523dad6" -}}
{{ if (include "data-platform.several" (list (int64 $.Values.minio.replicas))) }}http://minio-{0...{{ (toString (int64 (include "data-platform.lastOrdinal" (list (int64 $.Values.minio.replicas))))) }}}.minio-headless.{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}.svc:9000/data{{ else }}/data{{ end }}
{{- end }}

{{- define "data-platform.text-e6299db5" -}}
{{ if $.Values.superset.web.resources.limits.cpu }}{{ (include "data-platform.smallerCpu" (list "5m" $.Values.superset.web.resources.limits.cpu)) }}{{ else }}5m{{ end }}
{{- end }}

{{- define "data-platform.text-eca05fbe" -}}
{{- $name106 := $.name106 -}}
{{- $value106 := $.value106 -}}
{{ if $value106.auth.existingSecret }}{{ $value106.auth.existingSecret }}-{{ (toString (int64 $value106.auth.rotation)) }}{{ else }}{{ (include "data-platform.revisionOf" (list "" (printf "{\"password\":\"%v\"}" (include "data-platform.password-django-name-admin" (dict "Values" $.Values "Release" $.Release "name106" $name106 "value106" $value106))))) }}{{ end }}
{{- end }}

{{- define "data-platform.text-f577c66d" -}}
{{ if $.Values.webApp.redis.resources.limits.cpu }}{{ (include "data-platform.smallerCpu" (list "5m" $.Values.webApp.redis.resources.limits.cpu)) }}{{ else }}5m{{ end }}
{{- end }}

{{- define "data-platform.work-airflow-setup" -}}
serviceAccountName: {{ (coalesce $.Values.airflow.serviceAccount.name "airflow") | toJson }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
{{- if (include "data-platform.namesIds" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.airflow.pods "setup" false)) | fromJson) $.Values.global.cluster)) }}
  runAsUser: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.airflow.pods "setup" false)) | fromJson) "runAsUser" 50000))) }}
  runAsGroup: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.airflow.pods "setup" false)) | fromJson) "runAsGroup" 0))) }}
  fsGroup: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.airflow.pods "setup" false)) | fromJson) "runAsGroup" 0))) }}
{{- end }}
  fsGroupChangePolicy: "OnRootMismatch"
  seccompProfile:
    type: "RuntimeDefault"
{{- if $.Values.global.imagePullSecrets }}
imagePullSecrets:{{ if not $.Values.global.imagePullSecrets }} []{{ end }}
{{- range $item0 := $.Values.global.imagePullSecrets }}
  -
    name: {{ $item0 | toJson }}
{{- end }}
{{- end }}
{{- if (include "data-platform.choosesUsers" (list $.Values.global.cluster)) }}
initContainers:
  -
    name: "names-user"
    image: {{ (include "data-platform.mirrored" (list $.Values.airflow.image $.Values.global.imageRegistry)) | toJson }}
    imagePullPolicy: {{ $.Values.global.imagePullPolicy | toJson }}
    command:
      - "sh"
      - "-eu"
      - "-c"
      - |-
        me=$(id -u)
        grep -v "^[^:]*:[^:]*:$me:" /etc/passwd > /accounts/passwd
        echo "$1:x:$me:0::/tmp:/sbin/nologin" >> /accounts/passwd
      - "sh"
      - "airflow"
{{- if $.Values.airflow.env }}
    env:{{ if not $.Values.airflow.env }} []{{ end }}
{{- range $name65, $value65 := $.Values.airflow.env }}
      -
        name: {{ $name65 | toJson }}
{{- if (include "data-platform.isText" (list $value65)) }}
        value: {{ $value65 | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list $value65))))) }}
        valueFrom: {{ $value65 | toJson }}
{{- end }}
{{- end }}
{{- end }}
{{- if $.Values.airflow.envFrom }}
    envFrom:{{ if not $.Values.airflow.envFrom }} []{{ end }}
{{- range $item66 := $.Values.airflow.envFrom }}
      - {{ $item66 | toJson }}
{{- end }}
{{- end }}
    resources:
      requests:
        cpu: "5m"
        memory: "16Mi"
        ephemeral-storage: "64Mi"
      limits:
        memory: "32Mi"
        ephemeral-storage: "512Mi"
    volumeMounts:
      -
        name: "names-user"
        mountPath: "/accounts"
    terminationMessagePolicy: "FallbackToLogsOnError"
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop:
          - "ALL"
{{- end }}
containers:
  -
    name: "airflow"
    image: {{ (include "data-platform.mirrored" (list $.Values.airflow.image $.Values.global.imageRegistry)) | toJson }}
    imagePullPolicy: {{ $.Values.global.imagePullPolicy | toJson }}
    command:
      - "python"
      - "/opt/setup/setup.py"
    env:
      -
        name: "DATABASE_USERNAME"
        valueFrom:
          secretKeyRef:
            name: "postgresql-user-airflow"
            key: "username"
      -
        name: "DATABASE_PASSWORD"
        valueFrom:
          secretKeyRef:
            name: "postgresql-user-airflow"
            key: "password"
      -
        name: "QUEUE_PASSWORD"
        valueFrom:
          secretKeyRef:
            name: {{ (include "data-platform.text-b978f514" $) | toJson }}
            key: "password"
      -
        name: "LOGS_ACCESS_KEY"
        valueFrom:
          secretKeyRef:
            name: "minio-platform"
            key: "access-key"
      -
        name: "LOGS_SECRET_KEY"
        valueFrom:
          secretKeyRef:
            name: "minio-platform"
            key: "secret-key"
      -
        name: "AIRFLOW__CORE__FERNET_KEY"
        valueFrom:
          secretKeyRef:
            name: "airflow-keys"
            key: "fernet-key"
      -
        name: "AIRFLOW__API_AUTH__JWT_SECRET"
        valueFrom:
          secretKeyRef:
            name: "airflow-keys"
            key: "jwt-secret"
      -
        name: "AIRFLOW__API__SECRET_KEY"
        valueFrom:
          secretKeyRef:
            name: "airflow-keys"
            key: "secret-key"
      -
        name: "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
        value: {{ (printf "postgresql+psycopg2://$(DATABASE_USERNAME):$(DATABASE_PASSWORD)@postgresql.%v.svc:5432/airflow" (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name))) | toJson }}
      -
        name: "AIRFLOW__CELERY__RESULT_BACKEND"
        value: {{ (printf "db+postgresql+psycopg2://$(DATABASE_USERNAME):$(DATABASE_PASSWORD)@postgresql.%v.svc:5432/airflow" (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name))) | toJson }}
      -
        name: "AIRFLOW__CELERY__BROKER_URL_CMD"
        value: "python /opt/airflow/config/queue_address.py"
      -
        name: "AIRFLOW_CONN_MINIO"
        value: {{ (printf "{\"conn_type\":\"aws\",\"login\":\"$(LOGS_ACCESS_KEY)\",\"password\":\"$(LOGS_SECRET_KEY)\",\"extra\":{\"endpoint_url\":\"http://minio.%v.svc:9000\",\"region_name\":\"us-east-1\"}}" (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name))) | toJson }}
      -
        name: "POD_IP"
        valueFrom:
          fieldRef:
            fieldPath: "status.podIP"
      -
        name: "PYTHONPATH"
        value: "/opt/airflow/config"
      -
        name: "AIRFLOW_HOME"
        value: "/opt/airflow"
      -
        name: "AIRFLOW_CONFIG"
        value: "/opt/airflow/config/airflow.cfg"
      -
        name: "HOME"
        value: "/tmp"
      -
        name: "AIRFLOW__CORE__DEFAULT_POOL_TASK_SLOT_COUNT"
        value: {{ (toString (int64 (include "data-platform.product" (list (int64 $.Values.airflow.worker.replicas) (int64 $.Values.airflow.worker.concurrency) 128)))) | toJson }}
      -
        name: "SET_UP_HOST"
        value: {{ (printf "postgresql.%v.svc" (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name))) | toJson }}
      -
        name: "SET_UP_PORT"
        value: "5432"
      -
        name: "SET_UP_DATABASE"
        value: "airflow"
      -
        name: "SET_UP_USER"
        valueFrom:
          secretKeyRef:
            name: "postgresql-user-airflow"
            key: "username"
      -
        name: "SET_UP_PASSWORD"
        valueFrom:
          secretKeyRef:
            name: "postgresql-user-airflow"
            key: "password"
      -
        name: "SET_UP_JOB"
        value: "airflow-setup"
      -
        name: "SET_UP_VERSION"
        value: {{ (include "data-platform.mirrored" (list $.Values.airflow.image $.Values.global.imageRegistry)) | toJson }}
      -
        name: "ADMIN_PASSWORD"
        valueFrom:
          secretKeyRef:
            name: {{ (include "data-platform.text-835da832" $) | toJson }}
            key: "password"
{{- range $name65, $value65 := $.Values.airflow.env }}
      -
        name: {{ $name65 | toJson }}
{{- if (include "data-platform.isText" (list $value65)) }}
        value: {{ $value65 | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list $value65))))) }}
        valueFrom: {{ $value65 | toJson }}
{{- end }}
{{- end }}
{{- if $.Values.airflow.envFrom }}
    envFrom:{{ if not $.Values.airflow.envFrom }} []{{ end }}
{{- range $item66 := $.Values.airflow.envFrom }}
      - {{ $item66 | toJson }}
{{- end }}
{{- end }}
    resources:
      requests:
        cpu: {{ (include "data-platform.text-64faf24d" $) | toJson }}
        memory: "256Mi"
        ephemeral-storage: {{ (printf "%vMi" (toString (int64 (include "data-platform.mebibytesPart" (list (include "data-platform.withScratch" (list "1536Mi" $.Values.airflow.scratch)) 8))))) | toJson }}
      limits:
        memory: "768Mi"
{{- if $.Values.airflow.apiServer.resources.limits.cpu }}
        cpu: {{ $.Values.airflow.apiServer.resources.limits.cpu | toJson }}
{{- end }}
        ephemeral-storage: {{ (include "data-platform.withScratch" (list "1536Mi" $.Values.airflow.scratch)) | toJson }}
    volumeMounts:
      -
        name: "config"
        mountPath: "/opt/airflow/config"
      -
        name: "logs"
        mountPath: "/opt/airflow/logs"
      -
        name: "tmp"
        mountPath: "/tmp"
      -
        name: "setup"
        mountPath: "/opt/setup"
{{- if (include "data-platform.choosesUsers" (list $.Values.global.cluster)) }}
      -
        name: "names-user"
        mountPath: "/etc/passwd"
        readOnly: true
        subPath: "passwd"
{{- end }}
    terminationMessagePolicy: "FallbackToLogsOnError"
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop:
          - "ALL"
volumes:
  -
    name: "config"
    configMap:
      name: "airflow-config"
  -
    name: "logs"
    emptyDir:
      sizeLimit: "1Gi"
  -
    name: "tmp"
    emptyDir:
      sizeLimit: {{ $.Values.airflow.scratch | toJson }}
  -
    name: "setup"
    configMap:
      name: "airflow-setup-script"
{{- if (include "data-platform.choosesUsers" (list $.Values.global.cluster)) }}
  -
    name: "names-user"
    emptyDir:
      sizeLimit: "1Mi"
      medium: "Memory"
{{- end }}
terminationGracePeriodSeconds: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.airflow.pods "setup" false)) | fromJson) "terminationGracePeriodSeconds" 30))) }}
restartPolicy: "OnFailure"
{{- range $name240, $value240 := ((include "data-platform.placementFields" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.airflow.pods "setup" false)) | fromJson) $.Release.Name $.Values.global.priorityClasses)) | fromJson) }}
{{ $name240 | toJson }}: {{ $value240 | toJson }}
{{- end }}
{{ end }}

{{- define "data-platform.work-django-name-migrate" -}}
{{- $name106 := $.name106 -}}
{{- $value106 := $.value106 -}}
serviceAccountName: {{ (coalesce $value106.serviceAccount.name (printf "django-%v" $name106)) | toJson }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
{{- if (include "data-platform.namesIds" (list ((include "data-platform.rolePods" (list $.Values.global.pods $value106.pods "migrate" false)) | fromJson) $.Values.global.cluster)) }}
  runAsUser: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $value106.pods "migrate" false)) | fromJson) "runAsUser" 1000))) }}
  runAsGroup: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $value106.pods "migrate" false)) | fromJson) "runAsGroup" 1000))) }}
  fsGroup: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $value106.pods "migrate" false)) | fromJson) "runAsGroup" 1000))) }}
{{- end }}
  fsGroupChangePolicy: "OnRootMismatch"
  seccompProfile:
    type: "RuntimeDefault"
{{- if $.Values.global.imagePullSecrets }}
imagePullSecrets:{{ if not $.Values.global.imagePullSecrets }} []{{ end }}
{{- range $item0 := $.Values.global.imagePullSecrets }}
  -
    name: {{ $item0 | toJson }}
{{- end }}
{{- end }}
containers:
  -
    name: "migrate"
    image: {{ (include "data-platform.mirrored" (list $value106.image $.Values.global.imageRegistry)) | toJson }}
    imagePullPolicy: {{ $.Values.global.imagePullPolicy | toJson }}
    command:
      - "sh"
      - "-eu"
      - "-c"
      - |-
        {{ if $value106.directory }}for folder in . {{ (include "data-platform.endsOf" (list $value106.directory)) }}; do test ! -f "$folder/manage.py" || { cd "$folder"; break; }; done
        {{ end }}python manage.py shell --verbosity 0 --command "$1"
        python manage.py migrate --noinput
        python manage.py shell --verbosity 0 --command "$ADMINISTRATOR"
      - "migrate"
      - |-
        def ready(connection):
            connection.ensure_connection()

        import signal
        import sys
        import time

        from django.db import InterfaceError, OperationalError, connection

        # The first process of a container ignores SIGTERM unless it handles it.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

        said = ""
        while True:
            try:
                waiting = ready(connection)
            except (InterfaceError, OperationalError) as problem:
                waiting = f"waiting for the database: {str(problem).strip()}"
            connection.close()
            if not waiting:
                break
            if waiting != said:
                print(waiting, flush=True)
            said = waiting
            time.sleep(2)
    env:
{{- if (hasKey $value106.env "POD_IP") }}
      -
        name: "POD_IP"
{{- if (include "data-platform.isText" (list (index $value106.env "POD_IP"))) }}
        value: {{ (index $value106.env "POD_IP") | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list (index $value106.env "POD_IP")))))) }}
        valueFrom: {{ (index $value106.env "POD_IP") | toJson }}
{{- end }}
{{- end }}
{{- if (not (hasKey $value106.env "POD_IP")) }}
      -
        name: "POD_IP"
        valueFrom:
          fieldRef:
            fieldPath: "status.podIP"
{{- end }}
{{- if (hasKey $value106.env "NODE_IP") }}
      -
        name: "NODE_IP"
{{- if (include "data-platform.isText" (list (index $value106.env "NODE_IP"))) }}
        value: {{ (index $value106.env "NODE_IP") | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list (index $value106.env "NODE_IP")))))) }}
        valueFrom: {{ (index $value106.env "NODE_IP") | toJson }}
{{- end }}
{{- end }}
{{- if (not (hasKey $value106.env "NODE_IP")) }}
      -
        name: "NODE_IP"
        valueFrom:
          fieldRef:
            fieldPath: "status.hostIP"
{{- end }}
{{- if (hasKey $value106.env "ALLOWED_HOSTS") }}
      -
        name: "ALLOWED_HOSTS"
{{- if (include "data-platform.isText" (list (index $value106.env "ALLOWED_HOSTS"))) }}
        value: {{ (index $value106.env "ALLOWED_HOSTS") | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list (index $value106.env "ALLOWED_HOSTS")))))) }}
        valueFrom: {{ (index $value106.env "ALLOWED_HOSTS") | toJson }}
{{- end }}
{{- end }}
{{- if (not (hasKey $value106.env "ALLOWED_HOSTS")) }}
      -
        name: "ALLOWED_HOSTS"
        value: {{ (include "data-platform.text-354da2bb" (dict "Values" $.Values "Release" $.Release "name106" $name106 "value106" $value106)) | toJson }}
{{- end }}
{{- if (include "data-platform.pageHost" (list $value106.ingress.host (printf "django-%v" $name106) $.Values.global.domain true)) }}
{{- if (hasKey $value106.env "CSRF_TRUSTED_ORIGINS") }}
      -
        name: "CSRF_TRUSTED_ORIGINS"
{{- if (include "data-platform.isText" (list (index $value106.env "CSRF_TRUSTED_ORIGINS"))) }}
        value: {{ (index $value106.env "CSRF_TRUSTED_ORIGINS") | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list (index $value106.env "CSRF_TRUSTED_ORIGINS")))))) }}
        valueFrom: {{ (index $value106.env "CSRF_TRUSTED_ORIGINS") | toJson }}
{{- end }}
{{- end }}
{{- if (not (hasKey $value106.env "CSRF_TRUSTED_ORIGINS")) }}
      -
        name: "CSRF_TRUSTED_ORIGINS"
        value: {{ (printf "http://%v,https://%v" (include "data-platform.pageHost" (list $value106.ingress.host (printf "django-%v" $name106) $.Values.global.domain true)) (include "data-platform.pageHost" (list $value106.ingress.host (printf "django-%v" $name106) $.Values.global.domain true))) | toJson }}
{{- end }}
{{- end }}
{{- if (hasKey $value106.env "SECRET_KEY") }}
      -
        name: "SECRET_KEY"
{{- if (include "data-platform.isText" (list (index $value106.env "SECRET_KEY"))) }}
        value: {{ (index $value106.env "SECRET_KEY") | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list (index $value106.env "SECRET_KEY")))))) }}
        valueFrom: {{ (index $value106.env "SECRET_KEY") | toJson }}
{{- end }}
{{- end }}
{{- if (not (hasKey $value106.env "SECRET_KEY")) }}
      -
        name: "SECRET_KEY"
        valueFrom:
          secretKeyRef:
            name: {{ (printf "django-%v-secret-key" $name106) | toJson }}
            key: "secret-key"
{{- end }}
{{- if (hasKey $value106.env "DATABASE_HOST") }}
      -
        name: "DATABASE_HOST"
{{- if (include "data-platform.isText" (list (index $value106.env "DATABASE_HOST"))) }}
        value: {{ (index $value106.env "DATABASE_HOST") | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list (index $value106.env "DATABASE_HOST")))))) }}
        valueFrom: {{ (index $value106.env "DATABASE_HOST") | toJson }}
{{- end }}
{{- end }}
{{- if (not (hasKey $value106.env "DATABASE_HOST")) }}
      -
        name: "DATABASE_HOST"
        value: {{ (printf "postgresql.%v.svc" (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name))) | toJson }}
{{- end }}
{{- if (hasKey $value106.env "DATABASE_PORT") }}
      -
        name: "DATABASE_PORT"
{{- if (include "data-platform.isText" (list (index $value106.env "DATABASE_PORT"))) }}
        value: {{ (index $value106.env "DATABASE_PORT") | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list (index $value106.env "DATABASE_PORT")))))) }}
        valueFrom: {{ (index $value106.env "DATABASE_PORT") | toJson }}
{{- end }}
{{- end }}
{{- if (not (hasKey $value106.env "DATABASE_PORT")) }}
      -
        name: "DATABASE_PORT"
        value: "5432"
{{- end }}
{{- if (hasKey $value106.env "DATABASE_NAME") }}
      -
        name: "DATABASE_NAME"
{{- if (include "data-platform.isText" (list (index $value106.env "DATABASE_NAME"))) }}
        value: {{ (index $value106.env "DATABASE_NAME") | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list (index $value106.env "DATABASE_NAME")))))) }}
        valueFrom: {{ (index $value106.env "DATABASE_NAME") | toJson }}
{{- end }}
{{- end }}
{{- if (not (hasKey $value106.env "DATABASE_NAME")) }}
      -
        name: "DATABASE_NAME"
        value: {{ (printf "django_%v" (include "data-platform.withUnderscores" (list $name106))) | toJson }}
{{- end }}
{{- if (hasKey $value106.env "DATABASE_USER") }}
      -
        name: "DATABASE_USER"
{{- if (include "data-platform.isText" (list (index $value106.env "DATABASE_USER"))) }}
        value: {{ (index $value106.env "DATABASE_USER") | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list (index $value106.env "DATABASE_USER")))))) }}
        valueFrom: {{ (index $value106.env "DATABASE_USER") | toJson }}
{{- end }}
{{- end }}
{{- if (not (hasKey $value106.env "DATABASE_USER")) }}
      -
        name: "DATABASE_USER"
        valueFrom:
          secretKeyRef:
            name: {{ (printf "postgresql-user-%v" (include "data-platform.withDashes" (list (printf "django_%v" (include "data-platform.withUnderscores" (list $name106)))))) | toJson }}
            key: "username"
{{- end }}
{{- if (hasKey $value106.env "DATABASE_PASSWORD") }}
      -
        name: "DATABASE_PASSWORD"
{{- if (include "data-platform.isText" (list (index $value106.env "DATABASE_PASSWORD"))) }}
        value: {{ (index $value106.env "DATABASE_PASSWORD") | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list (index $value106.env "DATABASE_PASSWORD")))))) }}
        valueFrom: {{ (index $value106.env "DATABASE_PASSWORD") | toJson }}
{{- end }}
{{- end }}
{{- if (not (hasKey $value106.env "DATABASE_PASSWORD")) }}
      -
        name: "DATABASE_PASSWORD"
        valueFrom:
          secretKeyRef:
            name: {{ (printf "postgresql-user-%v" (include "data-platform.withDashes" (list (printf "django_%v" (include "data-platform.withUnderscores" (list $name106)))))) | toJson }}
            key: "password"
{{- end }}
{{- if (hasKey $value106.env "HOME") }}
      -
        name: "HOME"
{{- if (include "data-platform.isText" (list (index $value106.env "HOME"))) }}
        value: {{ (index $value106.env "HOME") | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list (index $value106.env "HOME")))))) }}
        valueFrom: {{ (index $value106.env "HOME") | toJson }}
{{- end }}
{{- end }}
{{- if (not (hasKey $value106.env "HOME")) }}
      -
        name: "HOME"
        value: "/tmp"
{{- end }}
{{- if (hasKey $value106.env "DJANGO_SUPERUSER_USERNAME") }}
      -
        name: "DJANGO_SUPERUSER_USERNAME"
{{- if (include "data-platform.isText" (list (index $value106.env "DJANGO_SUPERUSER_USERNAME"))) }}
        value: {{ (index $value106.env "DJANGO_SUPERUSER_USERNAME") | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list (index $value106.env "DJANGO_SUPERUSER_USERNAME")))))) }}
        valueFrom: {{ (index $value106.env "DJANGO_SUPERUSER_USERNAME") | toJson }}
{{- end }}
{{- end }}
{{- if (not (hasKey $value106.env "DJANGO_SUPERUSER_USERNAME")) }}
      -
        name: "DJANGO_SUPERUSER_USERNAME"
        value: "admin"
{{- end }}
{{- if (hasKey $value106.env "DJANGO_SUPERUSER_EMAIL") }}
      -
        name: "DJANGO_SUPERUSER_EMAIL"
{{- if (include "data-platform.isText" (list (index $value106.env "DJANGO_SUPERUSER_EMAIL"))) }}
        value: {{ (index $value106.env "DJANGO_SUPERUSER_EMAIL") | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list (index $value106.env "DJANGO_SUPERUSER_EMAIL")))))) }}
        valueFrom: {{ (index $value106.env "DJANGO_SUPERUSER_EMAIL") | toJson }}
{{- end }}
{{- end }}
{{- if (not (hasKey $value106.env "DJANGO_SUPERUSER_EMAIL")) }}
      -
        name: "DJANGO_SUPERUSER_EMAIL"
        value: "admin@localhost"
{{- end }}
{{- if (hasKey $value106.env "DJANGO_SUPERUSER_PASSWORD") }}
      -
        name: "DJANGO_SUPERUSER_PASSWORD"
{{- if (include "data-platform.isText" (list (index $value106.env "DJANGO_SUPERUSER_PASSWORD"))) }}
        value: {{ (index $value106.env "DJANGO_SUPERUSER_PASSWORD") | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list (index $value106.env "DJANGO_SUPERUSER_PASSWORD")))))) }}
        valueFrom: {{ (index $value106.env "DJANGO_SUPERUSER_PASSWORD") | toJson }}
{{- end }}
{{- end }}
{{- if (not (hasKey $value106.env "DJANGO_SUPERUSER_PASSWORD")) }}
      -
        name: "DJANGO_SUPERUSER_PASSWORD"
        valueFrom:
          secretKeyRef:
            name: {{ (include "data-platform.text-0bab7910" (dict "Values" $.Values "Release" $.Release "name106" $name106 "value106" $value106)) | toJson }}
            key: "password"
{{- end }}
{{- if (hasKey $value106.env "ADMINISTRATOR") }}
      -
        name: "ADMINISTRATOR"
{{- if (include "data-platform.isText" (list (index $value106.env "ADMINISTRATOR"))) }}
        value: {{ (index $value106.env "ADMINISTRATOR") | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list (index $value106.env "ADMINISTRATOR")))))) }}
        valueFrom: {{ (index $value106.env "ADMINISTRATOR") | toJson }}
{{- end }}
{{- end }}
{{- if (not (hasKey $value106.env "ADMINISTRATOR")) }}
      -
        name: "ADMINISTRATOR"
        value: |-
          import os
          from django.apps import apps
          from django.core.management import call_command
          from django.db import InterfaceError, OperationalError

          def warn(reason):
              print("WARNING: there is no administrator:", reason)

          def administrate():
              from django.contrib.auth import get_user_model
              User = get_user_model()
              variables = ["DJANGO_SUPERUSER_" + field.upper() for field in (User.USERNAME_FIELD, *User.REQUIRED_FIELDS)]
              missing = [variable for variable in variables if not os.environ.get(variable)]
              if missing:
                  return warn("the user model requires " + ", ".join(missing) + "; set them in env, then deploy again")
              name = os.environ[variables[0]]
              user = User._default_manager.filter(**{User.USERNAME_FIELD: name}).first()
              password = os.environ["DJANGO_SUPERUSER_PASSWORD"].rstrip("\n")
              if not password.isprintable() or not password:
                  raise SystemExit("stack {{ $.Release.Name }}: Secret {{ if $value106.auth.existingSecret }}{{ $value106.auth.existingSecret }}{{ else }}django-{{ $name106 }}-admin{{ end }}, key password: expected a value of printable characters; found none, or a control character among them")
              os.environ["DJANGO_SUPERUSER_PASSWORD"] = password
              if user is None:
                  call_command("createsuperuser", interactive=False)
              elif not user.check_password(password):
                  user.set_password(password)
                  user.save()
                  print(name, "has a new password")

          if apps.is_installed("django.contrib.auth"):
              try:
                  administrate()
              except (InterfaceError, OperationalError):
                  raise
              except Exception as problem:
                  warn(f"{type(problem).__name__}: {problem}")
          else:
              print("the application has no users, so there is no administrator to make")
{{- end }}
{{- range $name337, $value337 := (omit $value106.env "POD_IP" "NODE_IP" "ALLOWED_HOSTS" "CSRF_TRUSTED_ORIGINS" "SECRET_KEY" "DATABASE_HOST" "DATABASE_PORT" "DATABASE_NAME" "DATABASE_USER" "DATABASE_PASSWORD" "HOME" "DJANGO_SUPERUSER_USERNAME" "DJANGO_SUPERUSER_EMAIL" "DJANGO_SUPERUSER_PASSWORD" "ADMINISTRATOR") }}
      -
        name: {{ $name337 | toJson }}
{{- if (include "data-platform.isText" (list $value337)) }}
        value: {{ $value337 | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list $value337))))) }}
        valueFrom: {{ $value337 | toJson }}
{{- end }}
{{- end }}
{{- if $value106.envFrom }}
    envFrom:{{ if not $value106.envFrom }} []{{ end }}
{{- range $item109 := $value106.envFrom }}
      - {{ $item109 | toJson }}
{{- end }}
{{- end }}
    resources:
      requests:
        cpu: {{ (include "data-platform.text-6c389103" (dict "Values" $.Values "Release" $.Release "name106" $name106 "value106" $value106)) | toJson }}
        memory: "96Mi"
        ephemeral-storage: "72Mi"
      limits:
        memory: "256Mi"
{{- if $value106.resources.limits.cpu }}
        cpu: {{ $value106.resources.limits.cpu | toJson }}
{{- end }}
        ephemeral-storage: "576Mi"
    volumeMounts:
      -
        name: "tmp"
        mountPath: "/tmp"
    terminationMessagePolicy: "FallbackToLogsOnError"
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop:
          - "ALL"
volumes:
  -
    name: "tmp"
    emptyDir:
      sizeLimit: "64Mi"
terminationGracePeriodSeconds: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $value106.pods "migrate" false)) | fromJson) "terminationGracePeriodSeconds" 30))) }}
restartPolicy: "Never"
{{- range $name342, $value342 := ((include "data-platform.placementFields" (list ((include "data-platform.rolePods" (list $.Values.global.pods $value106.pods "migrate" false)) | fromJson) $.Release.Name $.Values.global.priorityClasses)) | fromJson) }}
{{ $name342 | toJson }}: {{ $value342 | toJson }}
{{- end }}
{{ end }}

{{- define "data-platform.work-kafka-topics" -}}
serviceAccountName: {{ (coalesce $.Values.kafka.serviceAccount.name "kafka") | toJson }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
{{- if (include "data-platform.namesIds" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.kafka.pods "topics" false)) | fromJson) $.Values.global.cluster)) }}
  runAsUser: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.kafka.pods "topics" false)) | fromJson) "runAsUser" 1000))) }}
  runAsGroup: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.kafka.pods "topics" false)) | fromJson) "runAsGroup" 1000))) }}
  fsGroup: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.kafka.pods "topics" false)) | fromJson) "runAsGroup" 1000))) }}
{{- end }}
  fsGroupChangePolicy: "OnRootMismatch"
  seccompProfile:
    type: "RuntimeDefault"
{{- if $.Values.global.imagePullSecrets }}
imagePullSecrets:{{ if not $.Values.global.imagePullSecrets }} []{{ end }}
{{- range $item0 := $.Values.global.imagePullSecrets }}
  -
    name: {{ $item0 | toJson }}
{{- end }}
{{- end }}
containers:
  -
    name: "kafka"
    image: {{ (include "data-platform.mirrored" (list $.Values.kafka.image $.Values.global.imageRegistry)) | toJson }}
    imagePullPolicy: {{ $.Values.global.imagePullPolicy | toJson }}
    command:
      - "sh"
      - "-eu"
      - "-c"
      - |-
        for topic in $TOPICS; do
          /opt/kafka/bin/kafka-topics.sh --bootstrap-server "$SERVERS" --create --if-not-exists --topic "$topic" \
            --partitions 1 --replication-factor "$COPIES" \
            --config cleanup.policy=delete --config retention.ms=-1 --config retention.bytes=-1
        done
    env:
      -
        name: "LOG_DIR"
        value: "/tmp"
      -
        name: "KAFKA_HEAP_OPTS"
        value: "-Xmx64m"
      -
        name: "SERVERS"
        value: {{ (printf "kafka.%v.svc:9092" (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name))) | toJson }}
      -
        name: "COPIES"
        value: {{ (toString (int64 (include "data-platform.atMostThree" (list (int64 $.Values.kafka.replicas))))) | toJson }}
      -
        name: "TOPICS"
        value: "kafkasql-journal kafkasql-snapshots registry-events"
{{- range $name33, $value33 := $.Values.kafka.env }}
      -
        name: {{ $name33 | toJson }}
{{- if (include "data-platform.isText" (list $value33)) }}
        value: {{ $value33 | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list $value33))))) }}
        valueFrom: {{ $value33 | toJson }}
{{- end }}
{{- end }}
{{- if $.Values.kafka.envFrom }}
    envFrom:{{ if not $.Values.kafka.envFrom }} []{{ end }}
{{- range $item34 := $.Values.kafka.envFrom }}
      - {{ $item34 | toJson }}
{{- end }}
{{- end }}
    resources:
      requests:
        cpu: {{ (include "data-platform.text-1aec2242" $) | toJson }}
        memory: "128Mi"
        ephemeral-storage: "72Mi"
      limits:
        memory: "256Mi"
{{- if $.Values.kafka.resources.limits.cpu }}
        cpu: {{ $.Values.kafka.resources.limits.cpu | toJson }}
{{- end }}
        ephemeral-storage: "576Mi"
    volumeMounts:
      -
        name: "tmp"
        mountPath: "/tmp"
    terminationMessagePolicy: "FallbackToLogsOnError"
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop:
          - "ALL"
volumes:
  -
    name: "tmp"
    emptyDir:
      sizeLimit: "64Mi"
terminationGracePeriodSeconds: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.kafka.pods "topics" false)) | fromJson) "terminationGracePeriodSeconds" 30))) }}
restartPolicy: "OnFailure"
{{- range $name161, $value161 := ((include "data-platform.placementFields" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.kafka.pods "topics" false)) | fromJson) $.Release.Name $.Values.global.priorityClasses)) | fromJson) }}
{{ $name161 | toJson }}: {{ $value161 | toJson }}
{{- end }}
{{ end }}

{{- define "data-platform.work-minio-buckets" -}}
serviceAccountName: {{ (coalesce $.Values.minio.serviceAccount.name "minio") | toJson }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
{{- if (include "data-platform.namesIds" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.minio.pods "buckets" false)) | fromJson) $.Values.global.cluster)) }}
  runAsUser: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.minio.pods "buckets" false)) | fromJson) "runAsUser" 1000))) }}
  runAsGroup: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.minio.pods "buckets" false)) | fromJson) "runAsGroup" 1000))) }}
  fsGroup: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.minio.pods "buckets" false)) | fromJson) "runAsGroup" 1000))) }}
{{- end }}
  fsGroupChangePolicy: "OnRootMismatch"
  seccompProfile:
    type: "RuntimeDefault"
{{- if $.Values.global.imagePullSecrets }}
imagePullSecrets:{{ if not $.Values.global.imagePullSecrets }} []{{ end }}
{{- range $item0 := $.Values.global.imagePullSecrets }}
  -
    name: {{ $item0 | toJson }}
{{- end }}
{{- end }}
containers:
  -
    name: "mc"
    image: {{ (include "data-platform.mirrored" (list $.Values.minio.image $.Values.global.imageRegistry)) | toJson }}
    imagePullPolicy: {{ $.Values.global.imagePullPolicy | toJson }}
    command:
      - "sh"
      - "-eu"
      - "-c"
      - |-
        command -v mc >/dev/null || {
          echo "minio.image: this image has no mc, MinIO's client, which makes the buckets: see docs/minio.md" >&2
          exit 78
        }
        ROOT_USER="$(printf %s "$ROOT_USER")"
        if [ -z "$ROOT_USER" ] || [ "$(printf %s "$ROOT_USER" | tr -d '[:cntrl:]')" != "$ROOT_USER" ]; then
          echo "stack {{ $.Release.Name }}: Secret {{ if $.Values.minio.auth.existingSecret }}{{ $.Values.minio.auth.existingSecret }}{{ else }}minio-admin{{ end }}, key root-user: expected a value of printable characters; found none, or a control character among them" >&2
          exit 1
        fi
        case "$ROOT_USER" in " "* | *" ") echo "stack {{ $.Release.Name }}: Secret {{ if $.Values.minio.auth.existingSecret }}{{ $.Values.minio.auth.existingSecret }}{{ else }}minio-admin{{ end }}, key root-user: expected no space at its beginning or end" >&2; exit 1 ;; esac
        ROOT_PASSWORD="$(printf %s "$ROOT_PASSWORD")"
        if [ -z "$ROOT_PASSWORD" ] || [ "$(printf %s "$ROOT_PASSWORD" | tr -d '[:cntrl:]')" != "$ROOT_PASSWORD" ]; then
          echo "stack {{ $.Release.Name }}: Secret {{ if $.Values.minio.auth.existingSecret }}{{ $.Values.minio.auth.existingSecret }}{{ else }}minio-admin{{ end }}, key root-password: expected a value of printable characters; found none, or a control character among them" >&2
          exit 1
        fi
        case "$ROOT_PASSWORD" in " "* | *" ") echo "stack {{ $.Release.Name }}: Secret {{ if $.Values.minio.auth.existingSecret }}{{ $.Values.minio.auth.existingSecret }}{{ else }}minio-admin{{ end }}, key root-password: expected no space at its beginning or end" >&2; exit 1 ;; esac
        export MC_HOST_anybody=http://minio.{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}.svc:9000
        until mc ready anybody >/dev/null 2>&1; do echo "waiting for MinIO"; sleep 1; done
        # By standard input, as below. In the address that MC_HOST_server would be, a colon of the password begins a token.
        printf '%s\n%s\n' "$ROOT_USER" "$ROOT_PASSWORD" | mc alias set server http://minio.{{ (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) }}.svc:9000
        for bucket in $BUCKETS; do mc mb --ignore-existing "server/$bucket"; done
        mc admin policy create server platform /etc/minio/policy.json
        # By standard input: as arguments every process could read them. A user who is there gets the new key.
        printf '%s\n%s\n' "$ACCESS_KEY" "$SECRET_KEY" | mc admin user add server
        attached="$(mc admin policy attach server platform --user "$ACCESS_KEY" 2>&1)" ||
          case "$attached" in
            *"already in effect"*) ;;
            *) echo "$attached" >&2; exit 1 ;;
          esac
    env:
      -
        name: "ROOT_USER"
        valueFrom:
          secretKeyRef:
            name: {{ (include "data-platform.text-e490e40a" $) | toJson }}
            key: "root-user"
      -
        name: "ROOT_PASSWORD"
        valueFrom:
          secretKeyRef:
            name: {{ (include "data-platform.text-e490e40a" $) | toJson }}
            key: "root-password"
      -
        name: "MC_CONFIG_DIR"
        value: "/tmp/mc"
      -
        name: "ACCESS_KEY"
        valueFrom:
          secretKeyRef:
            name: "minio-platform"
            key: "access-key"
      -
        name: "SECRET_KEY"
        valueFrom:
          secretKeyRef:
            name: "minio-platform"
            key: "secret-key"
      -
        name: "BUCKETS"
        value: {{ (include "data-platform.joined-9f797598" $) | toJson }}
{{- range $name23, $value23 := $.Values.minio.env }}
      -
        name: {{ $name23 | toJson }}
{{- if (include "data-platform.isText" (list $value23)) }}
        value: {{ $value23 | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list $value23))))) }}
        valueFrom: {{ $value23 | toJson }}
{{- end }}
{{- end }}
{{- if $.Values.minio.envFrom }}
    envFrom:{{ if not $.Values.minio.envFrom }} []{{ end }}
{{- range $item24 := $.Values.minio.envFrom }}
      - {{ $item24 | toJson }}
{{- end }}
{{- end }}
    resources:
      requests:
        cpu: {{ (include "data-platform.text-b7704b87" $) | toJson }}
        memory: "64Mi"
        ephemeral-storage: "64Mi"
      limits:
        memory: "256Mi"
{{- if $.Values.minio.resources.limits.cpu }}
        cpu: {{ $.Values.minio.resources.limits.cpu | toJson }}
{{- end }}
        ephemeral-storage: "512Mi"
    volumeMounts:
      -
        name: "policy"
        mountPath: "/etc/minio"
      -
        name: "tmp"
        mountPath: "/tmp"
    terminationMessagePolicy: "FallbackToLogsOnError"
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop:
          - "ALL"
volumes:
  -
    name: "policy"
    configMap:
      name: "minio-policy"
  -
    name: "tmp"
    emptyDir:
      sizeLimit: "16Mi"
terminationGracePeriodSeconds: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.minio.pods "buckets" false)) | fromJson) "terminationGracePeriodSeconds" 30))) }}
restartPolicy: "Never"
{{- range $name141, $value141 := ((include "data-platform.placementFields" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.minio.pods "buckets" false)) | fromJson) $.Release.Name $.Values.global.priorityClasses)) | fromJson) }}
{{ $name141 | toJson }}: {{ $value141 | toJson }}
{{- end }}
{{ end }}

{{- define "data-platform.work-noetl-schema" -}}
serviceAccountName: {{ (coalesce $.Values.noetl.serviceAccount.name "noetl") | toJson }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
{{- if (include "data-platform.namesIds" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.noetl.pods "schema" false)) | fromJson) $.Values.global.cluster)) }}
  runAsUser: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.noetl.pods "schema" false)) | fromJson) "runAsUser" 1000))) }}
  runAsGroup: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.noetl.pods "schema" false)) | fromJson) "runAsGroup" 1000))) }}
  fsGroup: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.noetl.pods "schema" false)) | fromJson) "runAsGroup" 1000))) }}
{{- end }}
  fsGroupChangePolicy: "OnRootMismatch"
  seccompProfile:
    type: "RuntimeDefault"
{{- if $.Values.global.imagePullSecrets }}
imagePullSecrets:{{ if not $.Values.global.imagePullSecrets }} []{{ end }}
{{- range $item0 := $.Values.global.imagePullSecrets }}
  -
    name: {{ $item0 | toJson }}
{{- end }}
{{- end }}
initContainers:
  -
    name: "install"
    image: {{ (include "data-platform.mirrored" (list (include "data-platform.text-cd7e553a" $) $.Values.global.imageRegistry)) | toJson }}
    imagePullPolicy: {{ $.Values.global.imagePullPolicy | toJson }}
    command:
      - "sh"
      - "-eu"
      - "-c"
      - |-
        python -m venv --clear --without-pip --system-site-packages /opt/noetl/venv
        /opt/noetl/venv/bin/python -m pip install --quiet --no-build-isolation {{ if $.Values.noetl.packageIndex }}{{ else }}--no-deps {{ end }}noetl==4.26.0
    env:
{{- if $.Values.noetl.packageIndex }}
      -
        name: "PIP_INDEX_URL"
        value: {{ $.Values.noetl.packageIndex | toJson }}
{{- end }}
{{- if (not (not (not $.Values.noetl.packageIndex))) }}
      -
        name: "PIP_NO_INDEX"
        value: "1"
{{- end }}
      -
        name: "PIP_NO_CACHE_DIR"
        value: "1"
      -
        name: "PIP_DISABLE_PIP_VERSION_CHECK"
        value: "1"
      -
        name: "HOME"
        value: "/tmp"
{{- range $name76, $value76 := $.Values.noetl.env }}
      -
        name: {{ $name76 | toJson }}
{{- if (include "data-platform.isText" (list $value76)) }}
        value: {{ $value76 | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list $value76))))) }}
        valueFrom: {{ $value76 | toJson }}
{{- end }}
{{- end }}
{{- if $.Values.noetl.envFrom }}
    envFrom:{{ if not $.Values.noetl.envFrom }} []{{ end }}
{{- range $item77 := $.Values.noetl.envFrom }}
      - {{ $item77 | toJson }}
{{- end }}
{{- end }}
    resources:
      requests:
        cpu: {{ (include "data-platform.text-9bb429d4" $) | toJson }}
        memory: "64Mi"
        ephemeral-storage: "448Mi"
      limits:
        memory: "512Mi"
{{- if $.Values.noetl.server.resources.limits.cpu }}
        cpu: {{ $.Values.noetl.server.resources.limits.cpu | toJson }}
{{- end }}
        ephemeral-storage: "3584Mi"
    volumeMounts:
      -
        name: "venv"
        mountPath: "/opt/noetl/venv"
      -
        name: "tmp"
        mountPath: "/tmp"
      -
        name: "scripts"
        mountPath: "/etc/noetl"
      -
        name: "source"
        mountPath: "/source"
        readOnly: true
    terminationMessagePolicy: "FallbackToLogsOnError"
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop:
          - "ALL"
containers:
  -
    name: "schema"
    image: {{ (include "data-platform.mirrored" (list (include "data-platform.text-cd7e553a" $) $.Values.global.imageRegistry)) | toJson }}
    imagePullPolicy: {{ $.Values.global.imagePullPolicy | toJson }}
    command:
      - "/opt/noetl/venv/bin/python"
      - "/etc/noetl/apply_schema.py"
    env:
      -
        name: "PGHOST"
        value: {{ (printf "postgresql.%v.svc" (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name))) | toJson }}
      -
        name: "PGPORT"
        value: "5432"
      -
        name: "PGDATABASE"
        value: "noetl"
      -
        name: "PGUSER"
        valueFrom:
          secretKeyRef:
            name: "postgresql-user-noetl"
            key: "username"
      -
        name: "PGPASSWORD"
        valueFrom:
          secretKeyRef:
            name: "postgresql-user-noetl"
            key: "password"
      -
        name: "SET_UP_HOST"
        value: {{ (printf "postgresql.%v.svc" (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name))) | toJson }}
      -
        name: "SET_UP_PORT"
        value: "5432"
      -
        name: "SET_UP_DATABASE"
        value: "noetl"
      -
        name: "SET_UP_USER"
        valueFrom:
          secretKeyRef:
            name: "postgresql-user-noetl"
            key: "username"
      -
        name: "SET_UP_PASSWORD"
        valueFrom:
          secretKeyRef:
            name: "postgresql-user-noetl"
            key: "password"
      -
        name: "SET_UP_JOB"
        value: "noetl-schema"
      -
        name: "SET_UP_VERSION"
        value: "4.26.0"
{{- range $name76, $value76 := $.Values.noetl.env }}
      -
        name: {{ $name76 | toJson }}
{{- if (include "data-platform.isText" (list $value76)) }}
        value: {{ $value76 | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list $value76))))) }}
        valueFrom: {{ $value76 | toJson }}
{{- end }}
{{- end }}
{{- if $.Values.noetl.envFrom }}
    envFrom:{{ if not $.Values.noetl.envFrom }} []{{ end }}
{{- range $item77 := $.Values.noetl.envFrom }}
      - {{ $item77 | toJson }}
{{- end }}
{{- end }}
    resources:
      requests:
        cpu: {{ (include "data-platform.text-9bb429d4" $) | toJson }}
        memory: "64Mi"
        ephemeral-storage: "456Mi"
      limits:
        memory: "128Mi"
{{- if $.Values.noetl.server.resources.limits.cpu }}
        cpu: {{ $.Values.noetl.server.resources.limits.cpu | toJson }}
{{- end }}
        ephemeral-storage: "3648Mi"
    volumeMounts:
      -
        name: "venv"
        mountPath: "/opt/noetl/venv"
      -
        name: "scripts"
        mountPath: "/etc/noetl"
      -
        name: "source"
        mountPath: "/source"
    terminationMessagePolicy: "FallbackToLogsOnError"
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop:
          - "ALL"
volumes:
  -
    name: "venv"
    emptyDir:
      sizeLimit: "2Gi"
  -
    name: "home"
    emptyDir:
      sizeLimit: "64Mi"
  -
    name: "tmp"
    emptyDir:
      sizeLimit: "1Gi"
  -
    name: "scripts"
    configMap:
      name: "noetl-scripts"
  -
    name: "source"
    emptyDir:
      sizeLimit: "1Mi"
terminationGracePeriodSeconds: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.noetl.pods "schema" false)) | fromJson) "terminationGracePeriodSeconds" 30))) }}
restartPolicy: "OnFailure"
{{- range $name310, $value310 := ((include "data-platform.placementFields" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.noetl.pods "schema" false)) | fromJson) $.Release.Name $.Values.global.priorityClasses)) | fromJson) }}
{{ $name310 | toJson }}: {{ $value310 | toJson }}
{{- end }}
{{ end }}

{{- define "data-platform.work-polls-migrate" -}}
serviceAccountName: {{ (coalesce $.Values.polls.serviceAccount.name "polls") | toJson }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
{{- if (include "data-platform.namesIds" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.polls.pods "migrate" false)) | fromJson) $.Values.global.cluster)) }}
  runAsUser: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.polls.pods "migrate" false)) | fromJson) "runAsUser" 1000))) }}
  runAsGroup: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.polls.pods "migrate" false)) | fromJson) "runAsGroup" 1000))) }}
  fsGroup: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.polls.pods "migrate" false)) | fromJson) "runAsGroup" 1000))) }}
{{- end }}
  fsGroupChangePolicy: "OnRootMismatch"
  seccompProfile:
    type: "RuntimeDefault"
{{- if $.Values.global.imagePullSecrets }}
imagePullSecrets:{{ if not $.Values.global.imagePullSecrets }} []{{ end }}
{{- range $item0 := $.Values.global.imagePullSecrets }}
  -
    name: {{ $item0 | toJson }}
{{- end }}
{{- end }}
containers:
  -
    name: "migrate"
    image: {{ (include "data-platform.mirrored" (list $.Values.polls.image $.Values.global.imageRegistry)) | toJson }}
    imagePullPolicy: {{ $.Values.global.imagePullPolicy | toJson }}
    command:
      - "sh"
      - "-eu"
      - "-c"
      - |-
        python manage.py shell --verbosity 0 --command "$1"
        python manage.py migrate --noinput
        python manage.py shell --verbosity 0 --command "$ADMINISTRATOR"
      - "migrate"
      - |-
        def ready(connection):
            connection.ensure_connection()

        import signal
        import sys
        import time

        from django.db import InterfaceError, OperationalError, connection

        # The first process of a container ignores SIGTERM unless it handles it.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

        said = ""
        while True:
            try:
                waiting = ready(connection)
            except (InterfaceError, OperationalError) as problem:
                waiting = f"waiting for the database: {str(problem).strip()}"
            connection.close()
            if not waiting:
                break
            if waiting != said:
                print(waiting, flush=True)
            said = waiting
            time.sleep(2)
    env:
{{- if (hasKey $.Values.polls.env "POD_IP") }}
      -
        name: "POD_IP"
{{- if (include "data-platform.isText" (list (index $.Values.polls.env "POD_IP"))) }}
        value: {{ (index $.Values.polls.env "POD_IP") | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list (index $.Values.polls.env "POD_IP")))))) }}
        valueFrom: {{ (index $.Values.polls.env "POD_IP") | toJson }}
{{- end }}
{{- end }}
{{- if (not (hasKey $.Values.polls.env "POD_IP")) }}
      -
        name: "POD_IP"
        valueFrom:
          fieldRef:
            fieldPath: "status.podIP"
{{- end }}
{{- if (hasKey $.Values.polls.env "NODE_IP") }}
      -
        name: "NODE_IP"
{{- if (include "data-platform.isText" (list (index $.Values.polls.env "NODE_IP"))) }}
        value: {{ (index $.Values.polls.env "NODE_IP") | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list (index $.Values.polls.env "NODE_IP")))))) }}
        valueFrom: {{ (index $.Values.polls.env "NODE_IP") | toJson }}
{{- end }}
{{- end }}
{{- if (not (hasKey $.Values.polls.env "NODE_IP")) }}
      -
        name: "NODE_IP"
        valueFrom:
          fieldRef:
            fieldPath: "status.hostIP"
{{- end }}
{{- if (hasKey $.Values.polls.env "ALLOWED_HOSTS") }}
      -
        name: "ALLOWED_HOSTS"
{{- if (include "data-platform.isText" (list (index $.Values.polls.env "ALLOWED_HOSTS"))) }}
        value: {{ (index $.Values.polls.env "ALLOWED_HOSTS") | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list (index $.Values.polls.env "ALLOWED_HOSTS")))))) }}
        valueFrom: {{ (index $.Values.polls.env "ALLOWED_HOSTS") | toJson }}
{{- end }}
{{- end }}
{{- if (not (hasKey $.Values.polls.env "ALLOWED_HOSTS")) }}
      -
        name: "ALLOWED_HOSTS"
        value: {{ (include "data-platform.text-8465ecf8" $) | toJson }}
{{- end }}
{{- if (include "data-platform.pageHost" (list $.Values.polls.ingress.host "polls" $.Values.global.domain true)) }}
{{- if (hasKey $.Values.polls.env "CSRF_TRUSTED_ORIGINS") }}
      -
        name: "CSRF_TRUSTED_ORIGINS"
{{- if (include "data-platform.isText" (list (index $.Values.polls.env "CSRF_TRUSTED_ORIGINS"))) }}
        value: {{ (index $.Values.polls.env "CSRF_TRUSTED_ORIGINS") | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list (index $.Values.polls.env "CSRF_TRUSTED_ORIGINS")))))) }}
        valueFrom: {{ (index $.Values.polls.env "CSRF_TRUSTED_ORIGINS") | toJson }}
{{- end }}
{{- end }}
{{- if (not (hasKey $.Values.polls.env "CSRF_TRUSTED_ORIGINS")) }}
      -
        name: "CSRF_TRUSTED_ORIGINS"
        value: {{ (printf "http://%v,https://%v" (include "data-platform.pageHost" (list $.Values.polls.ingress.host "polls" $.Values.global.domain true)) (include "data-platform.pageHost" (list $.Values.polls.ingress.host "polls" $.Values.global.domain true))) | toJson }}
{{- end }}
{{- end }}
{{- if (hasKey $.Values.polls.env "SECRET_KEY") }}
      -
        name: "SECRET_KEY"
{{- if (include "data-platform.isText" (list (index $.Values.polls.env "SECRET_KEY"))) }}
        value: {{ (index $.Values.polls.env "SECRET_KEY") | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list (index $.Values.polls.env "SECRET_KEY")))))) }}
        valueFrom: {{ (index $.Values.polls.env "SECRET_KEY") | toJson }}
{{- end }}
{{- end }}
{{- if (not (hasKey $.Values.polls.env "SECRET_KEY")) }}
      -
        name: "SECRET_KEY"
        valueFrom:
          secretKeyRef:
            name: "polls-secret-key"
            key: "secret-key"
{{- end }}
{{- if (hasKey $.Values.polls.env "DATABASE_HOST") }}
      -
        name: "DATABASE_HOST"
{{- if (include "data-platform.isText" (list (index $.Values.polls.env "DATABASE_HOST"))) }}
        value: {{ (index $.Values.polls.env "DATABASE_HOST") | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list (index $.Values.polls.env "DATABASE_HOST")))))) }}
        valueFrom: {{ (index $.Values.polls.env "DATABASE_HOST") | toJson }}
{{- end }}
{{- end }}
{{- if (not (hasKey $.Values.polls.env "DATABASE_HOST")) }}
      -
        name: "DATABASE_HOST"
        value: {{ (printf "postgresql.%v.svc" (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name))) | toJson }}
{{- end }}
{{- if (hasKey $.Values.polls.env "DATABASE_PORT") }}
      -
        name: "DATABASE_PORT"
{{- if (include "data-platform.isText" (list (index $.Values.polls.env "DATABASE_PORT"))) }}
        value: {{ (index $.Values.polls.env "DATABASE_PORT") | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list (index $.Values.polls.env "DATABASE_PORT")))))) }}
        valueFrom: {{ (index $.Values.polls.env "DATABASE_PORT") | toJson }}
{{- end }}
{{- end }}
{{- if (not (hasKey $.Values.polls.env "DATABASE_PORT")) }}
      -
        name: "DATABASE_PORT"
        value: "5432"
{{- end }}
{{- if (hasKey $.Values.polls.env "DATABASE_NAME") }}
      -
        name: "DATABASE_NAME"
{{- if (include "data-platform.isText" (list (index $.Values.polls.env "DATABASE_NAME"))) }}
        value: {{ (index $.Values.polls.env "DATABASE_NAME") | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list (index $.Values.polls.env "DATABASE_NAME")))))) }}
        valueFrom: {{ (index $.Values.polls.env "DATABASE_NAME") | toJson }}
{{- end }}
{{- end }}
{{- if (not (hasKey $.Values.polls.env "DATABASE_NAME")) }}
      -
        name: "DATABASE_NAME"
        value: "polls"
{{- end }}
{{- if (hasKey $.Values.polls.env "DATABASE_USER") }}
      -
        name: "DATABASE_USER"
{{- if (include "data-platform.isText" (list (index $.Values.polls.env "DATABASE_USER"))) }}
        value: {{ (index $.Values.polls.env "DATABASE_USER") | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list (index $.Values.polls.env "DATABASE_USER")))))) }}
        valueFrom: {{ (index $.Values.polls.env "DATABASE_USER") | toJson }}
{{- end }}
{{- end }}
{{- if (not (hasKey $.Values.polls.env "DATABASE_USER")) }}
      -
        name: "DATABASE_USER"
        valueFrom:
          secretKeyRef:
            name: "postgresql-user-polls"
            key: "username"
{{- end }}
{{- if (hasKey $.Values.polls.env "DATABASE_PASSWORD") }}
      -
        name: "DATABASE_PASSWORD"
{{- if (include "data-platform.isText" (list (index $.Values.polls.env "DATABASE_PASSWORD"))) }}
        value: {{ (index $.Values.polls.env "DATABASE_PASSWORD") | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list (index $.Values.polls.env "DATABASE_PASSWORD")))))) }}
        valueFrom: {{ (index $.Values.polls.env "DATABASE_PASSWORD") | toJson }}
{{- end }}
{{- end }}
{{- if (not (hasKey $.Values.polls.env "DATABASE_PASSWORD")) }}
      -
        name: "DATABASE_PASSWORD"
        valueFrom:
          secretKeyRef:
            name: "postgresql-user-polls"
            key: "password"
{{- end }}
{{- if (hasKey $.Values.polls.env "HOME") }}
      -
        name: "HOME"
{{- if (include "data-platform.isText" (list (index $.Values.polls.env "HOME"))) }}
        value: {{ (index $.Values.polls.env "HOME") | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list (index $.Values.polls.env "HOME")))))) }}
        valueFrom: {{ (index $.Values.polls.env "HOME") | toJson }}
{{- end }}
{{- end }}
{{- if (not (hasKey $.Values.polls.env "HOME")) }}
      -
        name: "HOME"
        value: "/tmp"
{{- end }}
{{- if (hasKey $.Values.polls.env "DJANGO_SUPERUSER_USERNAME") }}
      -
        name: "DJANGO_SUPERUSER_USERNAME"
{{- if (include "data-platform.isText" (list (index $.Values.polls.env "DJANGO_SUPERUSER_USERNAME"))) }}
        value: {{ (index $.Values.polls.env "DJANGO_SUPERUSER_USERNAME") | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list (index $.Values.polls.env "DJANGO_SUPERUSER_USERNAME")))))) }}
        valueFrom: {{ (index $.Values.polls.env "DJANGO_SUPERUSER_USERNAME") | toJson }}
{{- end }}
{{- end }}
{{- if (not (hasKey $.Values.polls.env "DJANGO_SUPERUSER_USERNAME")) }}
      -
        name: "DJANGO_SUPERUSER_USERNAME"
        value: "admin"
{{- end }}
{{- if (hasKey $.Values.polls.env "DJANGO_SUPERUSER_EMAIL") }}
      -
        name: "DJANGO_SUPERUSER_EMAIL"
{{- if (include "data-platform.isText" (list (index $.Values.polls.env "DJANGO_SUPERUSER_EMAIL"))) }}
        value: {{ (index $.Values.polls.env "DJANGO_SUPERUSER_EMAIL") | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list (index $.Values.polls.env "DJANGO_SUPERUSER_EMAIL")))))) }}
        valueFrom: {{ (index $.Values.polls.env "DJANGO_SUPERUSER_EMAIL") | toJson }}
{{- end }}
{{- end }}
{{- if (not (hasKey $.Values.polls.env "DJANGO_SUPERUSER_EMAIL")) }}
      -
        name: "DJANGO_SUPERUSER_EMAIL"
        value: "admin@localhost"
{{- end }}
{{- if (hasKey $.Values.polls.env "DJANGO_SUPERUSER_PASSWORD") }}
      -
        name: "DJANGO_SUPERUSER_PASSWORD"
{{- if (include "data-platform.isText" (list (index $.Values.polls.env "DJANGO_SUPERUSER_PASSWORD"))) }}
        value: {{ (index $.Values.polls.env "DJANGO_SUPERUSER_PASSWORD") | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list (index $.Values.polls.env "DJANGO_SUPERUSER_PASSWORD")))))) }}
        valueFrom: {{ (index $.Values.polls.env "DJANGO_SUPERUSER_PASSWORD") | toJson }}
{{- end }}
{{- end }}
{{- if (not (hasKey $.Values.polls.env "DJANGO_SUPERUSER_PASSWORD")) }}
      -
        name: "DJANGO_SUPERUSER_PASSWORD"
        valueFrom:
          secretKeyRef:
            name: {{ (include "data-platform.text-82dca094" $) | toJson }}
            key: "password"
{{- end }}
{{- if (hasKey $.Values.polls.env "ADMINISTRATOR") }}
      -
        name: "ADMINISTRATOR"
{{- if (include "data-platform.isText" (list (index $.Values.polls.env "ADMINISTRATOR"))) }}
        value: {{ (index $.Values.polls.env "ADMINISTRATOR") | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list (index $.Values.polls.env "ADMINISTRATOR")))))) }}
        valueFrom: {{ (index $.Values.polls.env "ADMINISTRATOR") | toJson }}
{{- end }}
{{- end }}
{{- if (not (hasKey $.Values.polls.env "ADMINISTRATOR")) }}
      -
        name: "ADMINISTRATOR"
        value: |-
          import os
          from django.apps import apps
          from django.core.management import call_command
          from django.db import InterfaceError, OperationalError

          def warn(reason):
              print("WARNING: there is no administrator:", reason)

          def administrate():
              from django.contrib.auth import get_user_model
              User = get_user_model()
              variables = ["DJANGO_SUPERUSER_" + field.upper() for field in (User.USERNAME_FIELD, *User.REQUIRED_FIELDS)]
              missing = [variable for variable in variables if not os.environ.get(variable)]
              if missing:
                  return warn("the user model requires " + ", ".join(missing) + "; set them in env, then deploy again")
              name = os.environ[variables[0]]
              user = User._default_manager.filter(**{User.USERNAME_FIELD: name}).first()
              password = os.environ["DJANGO_SUPERUSER_PASSWORD"].rstrip("\n")
              if not password.isprintable() or not password:
                  raise SystemExit("stack {{ $.Release.Name }}: Secret {{ if $.Values.polls.auth.existingSecret }}{{ $.Values.polls.auth.existingSecret }}{{ else }}polls-admin{{ end }}, key password: expected a value of printable characters; found none, or a control character among them")
              os.environ["DJANGO_SUPERUSER_PASSWORD"] = password
              if user is None:
                  call_command("createsuperuser", interactive=False)
              elif not user.check_password(password):
                  user.set_password(password)
                  user.save()
                  print(name, "has a new password")

          if apps.is_installed("django.contrib.auth"):
              try:
                  administrate()
              except (InterfaceError, OperationalError):
                  raise
              except Exception as problem:
                  warn(f"{type(problem).__name__}: {problem}")
          else:
              print("the application has no users, so there is no administrator to make")
{{- end }}
{{- range $name323, $value323 := (omit $.Values.polls.env "POD_IP" "NODE_IP" "ALLOWED_HOSTS" "CSRF_TRUSTED_ORIGINS" "SECRET_KEY" "DATABASE_HOST" "DATABASE_PORT" "DATABASE_NAME" "DATABASE_USER" "DATABASE_PASSWORD" "HOME" "DJANGO_SUPERUSER_USERNAME" "DJANGO_SUPERUSER_EMAIL" "DJANGO_SUPERUSER_PASSWORD" "ADMINISTRATOR") }}
      -
        name: {{ $name323 | toJson }}
{{- if (include "data-platform.isText" (list $value323)) }}
        value: {{ $value323 | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list $value323))))) }}
        valueFrom: {{ $value323 | toJson }}
{{- end }}
{{- end }}
{{- if $.Values.polls.envFrom }}
    envFrom:{{ if not $.Values.polls.envFrom }} []{{ end }}
{{- range $item81 := $.Values.polls.envFrom }}
      - {{ $item81 | toJson }}
{{- end }}
{{- end }}
    resources:
      requests:
        cpu: {{ (include "data-platform.text-2470eeea" $) | toJson }}
        memory: "96Mi"
        ephemeral-storage: "72Mi"
      limits:
        memory: "256Mi"
{{- if $.Values.polls.resources.limits.cpu }}
        cpu: {{ $.Values.polls.resources.limits.cpu | toJson }}
{{- end }}
        ephemeral-storage: "576Mi"
    volumeMounts:
      -
        name: "tmp"
        mountPath: "/tmp"
    terminationMessagePolicy: "FallbackToLogsOnError"
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop:
          - "ALL"
volumes:
  -
    name: "tmp"
    emptyDir:
      sizeLimit: "64Mi"
terminationGracePeriodSeconds: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.polls.pods "migrate" false)) | fromJson) "terminationGracePeriodSeconds" 30))) }}
restartPolicy: "Never"
{{- range $name328, $value328 := ((include "data-platform.placementFields" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.polls.pods "migrate" false)) | fromJson) $.Release.Name $.Values.global.priorityClasses)) | fromJson) }}
{{ $name328 | toJson }}: {{ $value328 | toJson }}
{{- end }}
{{ end }}

{{- define "data-platform.work-postgresql-users" -}}
serviceAccountName: {{ (coalesce $.Values.postgresql.serviceAccount.name "postgresql") | toJson }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
{{- if (include "data-platform.namesIds" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.postgresql.pods "users" false)) | fromJson) $.Values.global.cluster)) }}
  runAsUser: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.postgresql.pods "users" false)) | fromJson) "runAsUser" 999))) }}
  runAsGroup: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.postgresql.pods "users" false)) | fromJson) "runAsGroup" 999))) }}
  fsGroup: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.postgresql.pods "users" false)) | fromJson) "runAsGroup" 999))) }}
{{- end }}
  fsGroupChangePolicy: "OnRootMismatch"
  seccompProfile:
    type: "RuntimeDefault"
{{- if $.Values.global.imagePullSecrets }}
imagePullSecrets:{{ if not $.Values.global.imagePullSecrets }} []{{ end }}
{{- range $item0 := $.Values.global.imagePullSecrets }}
  -
    name: {{ $item0 | toJson }}
{{- end }}
{{- end }}
containers:
  -
    name: "psql"
    image: {{ (include "data-platform.mirrored" (list $.Values.postgresql.image $.Values.global.imageRegistry)) | toJson }}
    imagePullPolicy: {{ $.Values.global.imagePullPolicy | toJson }}
    command:
      - "sh"
      - "-eu"
      - "-c"
      - |-
        PGPASSWORD="$(printf %s "$PGPASSWORD")"
        if [ -z "$PGPASSWORD" ] || [ "$(printf %s "$PGPASSWORD" | tr -d '[:cntrl:]')" != "$PGPASSWORD" ]; then
          echo "stack {{ $.Release.Name }}: Secret {{ if $.Values.postgresql.auth.existingSecret }}{{ $.Values.postgresql.auth.existingSecret }}{{ else }}postgresql-admin{{ end }}, key password: expected a value of printable characters; found none, or a control character among them" >&2
          exit 1
        fi
        until pg_isready -q; do echo "waiting for $PGHOST"; sleep 1; done
        sql() { psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 "$@"; }
        sql <<'SQL'
        REVOKE CONNECT, TEMPORARY ON DATABASE postgres, template1 FROM PUBLIC;
        SQL
        for name in $DATABASES; do
          NEW_PASSWORD="$(cat "/run/users/$name")" sql --set name="$name" <<'SQL'
        -- A statement that fails is logged, and these hold passwords.
        SET log_min_error_statement = panic;
        \getenv password NEW_PASSWORD
        SELECT format('CREATE ROLE %I LOGIN', :'name') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'name') \gexec
        ALTER ROLE :"name" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'password';
        SELECT format('CREATE DATABASE %I', :'name') WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \gexec
        ALTER DATABASE :"name" OWNER TO :"name";
        REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
        SQL
          echo "$name has its user, database and password"
        done
        if [ -n "${MONITOR:-}" ]; then sql --set name="$MONITOR" <<'SQL'
        GRANT pg_monitor TO :"name";
        SQL
        fi
    env:
      -
        name: "PGHOST"
        value: {{ (printf "postgresql.%v.svc" (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name))) | toJson }}
      -
        name: "PGUSER"
        value: "postgres"
      -
        name: "PGPASSWORD"
        valueFrom:
          secretKeyRef:
            name: {{ (include "data-platform.text-9ed19ce2" $) | toJson }}
            key: "password"
      -
        name: "PGDATABASE"
        value: "postgres"
      -
        name: "DATABASES"
        value: {{ (include "data-platform.joined-dfcae79a" $) | toJson }}
{{- if $.Values.monitoring.enabled }}
      -
        name: "MONITOR"
        value: "monitoring"
{{- end }}
{{- range $name12, $value12 := $.Values.postgresql.env }}
      -
        name: {{ $name12 | toJson }}
{{- if (include "data-platform.isText" (list $value12)) }}
        value: {{ $value12 | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list $value12))))) }}
        valueFrom: {{ $value12 | toJson }}
{{- end }}
{{- end }}
{{- if $.Values.postgresql.envFrom }}
    envFrom:{{ if not $.Values.postgresql.envFrom }} []{{ end }}
{{- range $item13 := $.Values.postgresql.envFrom }}
      - {{ $item13 | toJson }}
{{- end }}
{{- end }}
    resources:
      requests:
        cpu: {{ (include "data-platform.text-a0d8de8f" $) | toJson }}
        memory: "32Mi"
        ephemeral-storage: "64Mi"
      limits:
        memory: "64Mi"
{{- if $.Values.postgresql.resources.limits.cpu }}
        cpu: {{ $.Values.postgresql.resources.limits.cpu | toJson }}
{{- end }}
        ephemeral-storage: "512Mi"
    volumeMounts:
      -
        name: "users"
        mountPath: "/run/users"
      -
        name: "tmp"
        mountPath: "/tmp"
    terminationMessagePolicy: "FallbackToLogsOnError"
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop:
          - "ALL"
volumes:
  -
    name: "users"
    projected:
      sources:
        -
          secret:
            name: "postgresql-user-nessie"
            items:
              -
                key: "password"
                path: "nessie"
        -
          secret:
            name: "postgresql-user-airflow"
            items:
              -
                key: "password"
                path: "airflow"
        -
          secret:
            name: "postgresql-user-superset"
            items:
              -
                key: "password"
                path: "superset"
        -
          secret:
            name: "postgresql-user-mlflow"
            items:
              -
                key: "password"
                path: "mlflow"
        -
          secret:
            name: "postgresql-user-trino"
            items:
              -
                key: "password"
                path: "trino"
        -
          secret:
            name: "postgresql-user-polls"
            items:
              -
                key: "password"
                path: "polls"
{{- if $.Values.noetl.enabled }}
        -
          secret:
            name: "postgresql-user-noetl"
            items:
              -
                key: "password"
                path: "noetl"
{{- end }}
{{- range $name106, $value106 := $.Values.djangoApps }}
{{- $value106 = mergeOverwrite (fromJson "{\"application\":\"mysite.wsgi\",\"interface\":\"wsgi\",\"healthPath\":\"/healthz\",\"replicas\":1,\"workers\":1,\"resources\":{\"requests\":{\"cpu\":\"5m\",\"memory\":\"96Mi\"},\"limits\":{\"memory\":\"256Mi\"}},\"pods\":{\"priority\":\"web\"},\"serviceAccount\":{},\"env\":{},\"envFrom\":[],\"service\":{},\"ingress\":{},\"auth\":{\"rotation\":1}}") $value106 }}
        -
          secret:
            name: {{ (printf "postgresql-user-%v" (include "data-platform.withDashes" (list (printf "django_%v" (include "data-platform.withUnderscores" (list $name106)))))) | toJson }}
            items:
              -
                key: "password"
                path: {{ (printf "django_%v" (include "data-platform.withUnderscores" (list $name106))) | toJson }}
{{- end }}
{{- if $.Values.monitoring.enabled }}
        -
          secret:
            name: "postgresql-user-monitoring"
            items:
              -
                key: "password"
                path: "monitoring"
{{- end }}
{{- range $other111 := (without (uniq $.Values.postgresql.databases) "nessie" "airflow" "superset" "mlflow" "trino" "polls" "noetl" "monitoring") }}
        -
          secret:
            name: {{ (printf "postgresql-user-%v" (include "data-platform.withDashes" (list $other111))) | toJson }}
            items:
              -
                key: "password"
                path: {{ $other111 | toJson }}
{{- end }}
  -
    name: "tmp"
    emptyDir:
      sizeLimit: "16Mi"
terminationGracePeriodSeconds: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.postgresql.pods "users" false)) | fromJson) "terminationGracePeriodSeconds" 30))) }}
restartPolicy: "OnFailure"
{{- range $name122, $value122 := ((include "data-platform.placementFields" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.postgresql.pods "users" false)) | fromJson) $.Release.Name $.Values.global.priorityClasses)) | fromJson) }}
{{ $name122 | toJson }}: {{ $value122 | toJson }}
{{- end }}
{{ end }}

{{- define "data-platform.work-superset-databases" -}}
serviceAccountName: {{ (coalesce $.Values.superset.serviceAccount.name "superset") | toJson }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
{{- if (include "data-platform.namesIds" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.superset.pods "databases" false)) | fromJson) $.Values.global.cluster)) }}
  runAsUser: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.superset.pods "databases" false)) | fromJson) "runAsUser" 1000))) }}
  runAsGroup: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.superset.pods "databases" false)) | fromJson) "runAsGroup" 1000))) }}
  fsGroup: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.superset.pods "databases" false)) | fromJson) "runAsGroup" 1000))) }}
{{- end }}
  fsGroupChangePolicy: "OnRootMismatch"
  seccompProfile:
    type: "RuntimeDefault"
{{- if $.Values.global.imagePullSecrets }}
imagePullSecrets:{{ if not $.Values.global.imagePullSecrets }} []{{ end }}
{{- range $item0 := $.Values.global.imagePullSecrets }}
  -
    name: {{ $item0 | toJson }}
{{- end }}
{{- end }}
initContainers:
  -
    name: "wait-for-setup"
    image: {{ (include "data-platform.mirrored" (list $.Values.superset.image $.Values.global.imageRegistry)) | toJson }}
    imagePullPolicy: {{ $.Values.global.imagePullPolicy | toJson }}
    command:
      - "/app/.venv/bin/python"
      - "/app/pythonpath/set_up.py"
      - "wait"
    env:
      -
        name: "SET_UP_HOST"
        value: {{ (printf "postgresql.%v.svc" (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name))) | toJson }}
      -
        name: "SET_UP_PORT"
        value: "5432"
      -
        name: "SET_UP_DATABASE"
        value: "superset"
      -
        name: "SET_UP_USER"
        valueFrom:
          secretKeyRef:
            name: "postgresql-user-superset"
            key: "username"
      -
        name: "SET_UP_PASSWORD"
        valueFrom:
          secretKeyRef:
            name: "postgresql-user-superset"
            key: "password"
      -
        name: "SET_UP_JOB"
        value: "superset-setup"
      -
        name: "SET_UP_VERSION"
        value: {{ (include "data-platform.mirrored" (list $.Values.superset.image $.Values.global.imageRegistry)) | toJson }}
{{- range $name69, $value69 := $.Values.superset.env }}
      -
        name: {{ $name69 | toJson }}
{{- if (include "data-platform.isText" (list $value69)) }}
        value: {{ $value69 | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list $value69))))) }}
        valueFrom: {{ $value69 | toJson }}
{{- end }}
{{- end }}
{{- if $.Values.superset.envFrom }}
    envFrom:{{ if not $.Values.superset.envFrom }} []{{ end }}
{{- range $item70 := $.Values.superset.envFrom }}
      - {{ $item70 | toJson }}
{{- end }}
{{- end }}
    resources:
      requests:
        cpu: {{ (include "data-platform.text-e6299db5" $) | toJson }}
        memory: "32Mi"
        ephemeral-storage: "64Mi"
      limits:
        memory: "128Mi"
{{- if $.Values.superset.web.resources.limits.cpu }}
        cpu: {{ $.Values.superset.web.resources.limits.cpu | toJson }}
{{- end }}
        ephemeral-storage: "512Mi"
    volumeMounts:
      -
        name: "config"
        mountPath: "/app/pythonpath"
    terminationMessagePolicy: "FallbackToLogsOnError"
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop:
          - "ALL"
containers:
  -
    name: "register"
    image: {{ (include "data-platform.mirrored" (list $.Values.superset.image $.Values.global.imageRegistry)) | toJson }}
    imagePullPolicy: {{ $.Values.global.imagePullPolicy | toJson }}
    command:
      - "/app/.venv/bin/python"
      - "/etc/superset/register.py"
    env:
      -
        name: "SUPERSET_SECRET_KEY"
        valueFrom:
          secretKeyRef:
            name: "superset-secret-key"
            key: "secret-key"
      -
        name: "DATABASE_USERNAME"
        valueFrom:
          secretKeyRef:
            name: "postgresql-user-superset"
            key: "username"
      -
        name: "DATABASE_PASSWORD"
        valueFrom:
          secretKeyRef:
            name: "postgresql-user-superset"
            key: "password"
      -
        name: "CACHE_PASSWORD"
        valueFrom:
          secretKeyRef:
            name: {{ (include "data-platform.text-b978f514" $) | toJson }}
            key: "password"
      -
        name: "QUEUE_PASSWORD"
        valueFrom:
          secretKeyRef:
            name: {{ (include "data-platform.text-b978f514" $) | toJson }}
            key: "password"
{{- if $.Values.monitoring.enabled }}
      -
        name: "POD_IP"
        valueFrom:
          fieldRef:
            fieldPath: "status.podIP"
{{- end }}
      -
        name: "PYTHONPATH"
        value: "/app/pythonpath"
      -
        name: "FLASK_APP"
        value: "superset.app:create_app()"
      -
        name: "SUPERSET_HOME"
        value: "/app/superset_home"
      -
        name: "HOME"
        value: "/app/superset_home"
      -
        name: "SUPERSET_ENV"
        value: "production"
      -
        name: "SCARF_ANALYTICS"
        value: "false"
      -
        name: "POSTGRESQL_USERNAME"
        valueFrom:
          secretKeyRef:
            name: "postgresql-user-trino"
            key: "username"
      -
        name: "POSTGRESQL_PASSWORD"
        valueFrom:
          secretKeyRef:
            name: "postgresql-user-trino"
            key: "password"
{{- if $.Values.clickhouse.enabled }}
      -
        name: "CLICKHOUSE_USERNAME"
        valueFrom:
          secretKeyRef:
            name: {{ (include "data-platform.text-2fae80e1" $) | toJson }}
            key: "username"
      -
        name: "CLICKHOUSE_PASSWORD"
        valueFrom:
          secretKeyRef:
            name: {{ (include "data-platform.text-2fae80e1" $) | toJson }}
            key: "password"
{{- end }}
{{- range $name69, $value69 := $.Values.superset.env }}
      -
        name: {{ $name69 | toJson }}
{{- if (include "data-platform.isText" (list $value69)) }}
        value: {{ $value69 | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list $value69))))) }}
        valueFrom: {{ $value69 | toJson }}
{{- end }}
{{- end }}
{{- if $.Values.superset.envFrom }}
    envFrom:{{ if not $.Values.superset.envFrom }} []{{ end }}
{{- range $item70 := $.Values.superset.envFrom }}
      - {{ $item70 | toJson }}
{{- end }}
{{- end }}
    resources:
      requests:
        cpu: {{ (include "data-platform.text-d81a30b7" $) | toJson }}
        memory: "256Mi"
        ephemeral-storage: "200Mi"
      limits:
        memory: "512Mi"
{{- if $.Values.superset.web.resources.limits.cpu }}
        cpu: {{ $.Values.superset.web.resources.limits.cpu | toJson }}
{{- end }}
        ephemeral-storage: "1600Mi"
    volumeMounts:
      -
        name: "config"
        mountPath: "/app/pythonpath"
      -
        name: "home"
        mountPath: "/app/superset_home"
      -
        name: "tmp"
        mountPath: "/tmp"
      -
        name: "databases"
        mountPath: "/etc/superset"
    terminationMessagePolicy: "FallbackToLogsOnError"
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop:
          - "ALL"
volumes:
  -
    name: "config"
    configMap:
      name: "superset-config"
  -
    name: "home"
    emptyDir:
      sizeLimit: "64Mi"
  -
    name: "tmp"
    emptyDir:
      sizeLimit: "1Gi"
  -
    name: "databases"
    configMap:
      name: "superset-databases"
terminationGracePeriodSeconds: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.superset.pods "databases" false)) | fromJson) "terminationGracePeriodSeconds" 30))) }}
restartPolicy: "OnFailure"
{{- range $name281, $value281 := ((include "data-platform.placementFields" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.superset.pods "databases" false)) | fromJson) $.Release.Name $.Values.global.priorityClasses)) | fromJson) }}
{{ $name281 | toJson }}: {{ $value281 | toJson }}
{{- end }}
{{ end }}

{{- define "data-platform.work-superset-setup" -}}
serviceAccountName: {{ (coalesce $.Values.superset.serviceAccount.name "superset") | toJson }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
{{- if (include "data-platform.namesIds" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.superset.pods "setup" false)) | fromJson) $.Values.global.cluster)) }}
  runAsUser: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.superset.pods "setup" false)) | fromJson) "runAsUser" 1000))) }}
  runAsGroup: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.superset.pods "setup" false)) | fromJson) "runAsGroup" 1000))) }}
  fsGroup: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.superset.pods "setup" false)) | fromJson) "runAsGroup" 1000))) }}
{{- end }}
  fsGroupChangePolicy: "OnRootMismatch"
  seccompProfile:
    type: "RuntimeDefault"
{{- if $.Values.global.imagePullSecrets }}
imagePullSecrets:{{ if not $.Values.global.imagePullSecrets }} []{{ end }}
{{- range $item0 := $.Values.global.imagePullSecrets }}
  -
    name: {{ $item0 | toJson }}
{{- end }}
{{- end }}
containers:
  -
    name: "setup"
    image: {{ (include "data-platform.mirrored" (list $.Values.superset.image $.Values.global.imageRegistry)) | toJson }}
    imagePullPolicy: {{ $.Values.global.imagePullPolicy | toJson }}
    command:
      - "sh"
      - "-eu"
      - "-c"
      - |-
        /app/.venv/bin/python /app/pythonpath/set_up.py database
        /app/.venv/bin/superset db upgrade
        /app/.venv/bin/superset init
        /app/.venv/bin/python /etc/superset/setup.py
        /app/.venv/bin/python /app/pythonpath/set_up.py record
    env:
      -
        name: "SUPERSET_SECRET_KEY"
        valueFrom:
          secretKeyRef:
            name: "superset-secret-key"
            key: "secret-key"
      -
        name: "DATABASE_USERNAME"
        valueFrom:
          secretKeyRef:
            name: "postgresql-user-superset"
            key: "username"
      -
        name: "DATABASE_PASSWORD"
        valueFrom:
          secretKeyRef:
            name: "postgresql-user-superset"
            key: "password"
      -
        name: "CACHE_PASSWORD"
        valueFrom:
          secretKeyRef:
            name: {{ (include "data-platform.text-b978f514" $) | toJson }}
            key: "password"
      -
        name: "QUEUE_PASSWORD"
        valueFrom:
          secretKeyRef:
            name: {{ (include "data-platform.text-b978f514" $) | toJson }}
            key: "password"
{{- if $.Values.monitoring.enabled }}
      -
        name: "POD_IP"
        valueFrom:
          fieldRef:
            fieldPath: "status.podIP"
{{- end }}
      -
        name: "PYTHONPATH"
        value: "/app/pythonpath"
      -
        name: "FLASK_APP"
        value: "superset.app:create_app()"
      -
        name: "SUPERSET_HOME"
        value: "/app/superset_home"
      -
        name: "HOME"
        value: "/app/superset_home"
      -
        name: "SUPERSET_ENV"
        value: "production"
      -
        name: "SCARF_ANALYTICS"
        value: "false"
      -
        name: "SET_UP_HOST"
        value: {{ (printf "postgresql.%v.svc" (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name))) | toJson }}
      -
        name: "SET_UP_PORT"
        value: "5432"
      -
        name: "SET_UP_DATABASE"
        value: "superset"
      -
        name: "SET_UP_USER"
        valueFrom:
          secretKeyRef:
            name: "postgresql-user-superset"
            key: "username"
      -
        name: "SET_UP_PASSWORD"
        valueFrom:
          secretKeyRef:
            name: "postgresql-user-superset"
            key: "password"
      -
        name: "SET_UP_JOB"
        value: "superset-setup"
      -
        name: "SET_UP_VERSION"
        value: {{ (include "data-platform.mirrored" (list $.Values.superset.image $.Values.global.imageRegistry)) | toJson }}
      -
        name: "ADMIN_PASSWORD"
        valueFrom:
          secretKeyRef:
            name: {{ (include "data-platform.text-14bdc23b" $) | toJson }}
            key: "password"
{{- range $name69, $value69 := $.Values.superset.env }}
      -
        name: {{ $name69 | toJson }}
{{- if (include "data-platform.isText" (list $value69)) }}
        value: {{ $value69 | toJson }}
{{- end }}
{{- if (not (not (not (include "data-platform.isText" (list $value69))))) }}
        valueFrom: {{ $value69 | toJson }}
{{- end }}
{{- end }}
{{- if $.Values.superset.envFrom }}
    envFrom:{{ if not $.Values.superset.envFrom }} []{{ end }}
{{- range $item70 := $.Values.superset.envFrom }}
      - {{ $item70 | toJson }}
{{- end }}
{{- end }}
    resources:
      requests:
        cpu: {{ (include "data-platform.text-d81a30b7" $) | toJson }}
        memory: "256Mi"
        ephemeral-storage: "200Mi"
      limits:
        memory: "512Mi"
{{- if $.Values.superset.web.resources.limits.cpu }}
        cpu: {{ $.Values.superset.web.resources.limits.cpu | toJson }}
{{- end }}
        ephemeral-storage: "1600Mi"
    volumeMounts:
      -
        name: "config"
        mountPath: "/app/pythonpath"
      -
        name: "home"
        mountPath: "/app/superset_home"
      -
        name: "tmp"
        mountPath: "/tmp"
      -
        name: "setup"
        mountPath: "/etc/superset"
    terminationMessagePolicy: "FallbackToLogsOnError"
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop:
          - "ALL"
volumes:
  -
    name: "config"
    configMap:
      name: "superset-config"
  -
    name: "home"
    emptyDir:
      sizeLimit: "64Mi"
  -
    name: "tmp"
    emptyDir:
      sizeLimit: "1Gi"
  -
    name: "setup"
    configMap:
      name: "superset-setup"
terminationGracePeriodSeconds: {{ (int64 (include "data-platform.numberOf" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.superset.pods "setup" false)) | fromJson) "terminationGracePeriodSeconds" 30))) }}
restartPolicy: "OnFailure"
{{- range $name276, $value276 := ((include "data-platform.placementFields" (list ((include "data-platform.rolePods" (list $.Values.global.pods $.Values.superset.pods "setup" false)) | fromJson) $.Release.Name $.Values.global.priorityClasses)) | fromJson) }}
{{ $name276 | toJson }}: {{ $value276 | toJson }}
{{- end }}
{{ end }}
