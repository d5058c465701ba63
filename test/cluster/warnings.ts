/**
 * What the parts' software says at its start that sounds like trouble and is none, each with its reason. Anything else
 * fails the test.
 */
export const expectedWarnings: Record<string, RegExp[]> = {
  // One server on one volume is what the stack asks for; prod has four.
  minio: [/Host local has more than \d+ drives? of set/],
  // Airflow asks whether its tables are there before it makes them; the server's own probe asks while it starts.
  postgresql: [/ERROR: {2}relation "\w+" does not exist/, /FATAL: {2}the database system is starting up/],
  // docs/nessie.md: the catalog asks nobody for a password. The other as for the Schema Registry.
  nessie: [/Both authentication \(AuthN\) and authorization \(AuthZ\) are disabled/, /vertx-blocked-thread-checker/],
  // The controller says so at every start; the other where the machine is busy.
  kafka: [/Performing controller activation/, /Exceptionally slow controller event/],
  // Keys that Apicurio's own defaults hold, not ours; consumers that read nothing for a while leave their group.
  "schema-registry": [
    /quarkus\.log\.console\.(color|json)/,
    /quarkus\.otel\.instrument\.kafka/,
    /ConsumerCoordinator|consumer poll timeout/,
    // Where everything starts at once on two processors.
    /vertx-blocked-thread-checker/,
  ],
  // Workers and coordinator start at the same time and ask for each other until both are there, and have the time.
  trino: [/has not returned in/, /Cannot connect to discovery server/, /Error fetching (node state|memory info)/],
  // docs/monitoring.md: a file that is optional, and two rules that begin alike.
  exporters: [/postgres_exporter\.yml: no such file/, /backtracking required because of match/],
  // docs/noetl.md: a server waits for its first worker, which comes after it.
  noetl: [/\/auto_resume\.py:/],
  // docs/flink.md: of Hadoop's client, which Iceberg has for its classes alone.
  flink: [/Unable to load native-hadoop library/, /Could not find Hadoop configuration/],
  // Of Spark's own scripts and of a library that the image does not have; a worker asks twice where the master is slow.
  spark: [/Using incubator modules/, /Unable to load native-hadoop library/, /Duplicate registration at master/],
};
