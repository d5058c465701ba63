/**
 * Warnings and errors that the components log at their start without a problem, each with its reason. Any other one
 * fails the test.
 */
export const expectedWarnings: Record<string, RegExp[]> = {
  // The stack has one server with one volume on purpose; prod has four.
  minio: [/Host local has more than \d+ drives? of set/],
  // Airflow looks for its tables before it creates them; the server's own probe connects while it starts.
  postgresql: [/ERROR: {2}relation "\w+" does not exist/, /FATAL: {2}the database system is starting up/],
  // docs/nessie.md: the catalog has no authentication. The second as for the Schema Registry.
  nessie: [/Both authentication \(AuthN\) and authorization \(AuthZ\) are disabled/, /vertx-blocked-thread-checker/],
  // The controller logs the first at every start, and the second on a busy machine.
  kafka: [/Performing controller activation/, /Exceptionally slow controller event/],
  // Keys of Apicurio's defaults; idle consumers leave their group.
  "schema-registry": [
    /quarkus\.log\.console\.(color|json)/,
    /quarkus\.otel\.instrument\.kafka/,
    /ConsumerCoordinator|consumer poll timeout/,
    // When everything starts at once on two processors.
    /vertx-blocked-thread-checker/,
  ],
  // Workers and coordinator start together and retry until both are up.
  trino: [
    /has not returned in/,
    /Cannot connect to discovery server/,
    /Error fetching (node state|memory info)/,
    // A probe or a node that asked did not wait for the answer, on a busy machine.
    /Could not write to output: EofException/,
  ],
  // docs/monitoring.md: Spark's worker opens its page before it adds its metrics, and a scrape can come in between.
  prometheus: [/Failed to determine correct type of scrape target.*scrape_pool=spark-worker/],
  // docs/monitoring.md: an optional file, and two rules with the same start.
  exporters: [/postgres_exporter\.yml: no such file/, /backtracking required because of match/],
  // docs/noetl.md: a server waits for its first worker, which starts after it.
  noetl: [/\/auto_resume\.py:/],
  // docs/flink.md: from Hadoop's client, which Iceberg needs only for its classes.
  flink: [
    /Unable to load native-hadoop library/,
    /Could not find Hadoop configuration/,
    // A TaskManager that starts before the JobManager tries again.
    /ReliableDeliverySupervisor .*jobmanager\S* has failed, address is now gated/,
  ],
  // From Spark's scripts and a library that the image lacks; a worker retries if the master is slow.
  spark: [/Using incubator modules/, /Unable to load native-hadoop library/, /Duplicate registration at master/],
};
