#!/bin/sh
# Runs a class of Kafka's, with the environment that Kafka's own script of this name takes. Maven has no scripts.
home=/opt/kafka
: "${LOG_DIR:=$home/logs}"
: "${KAFKA_LOG4J_OPTS:=-Dlog4j2.configurationFile=$home/config/tools-log4j2.yaml}"
: "${KAFKA_JVM_PERFORMANCE_OPTS:=-server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -Djava.awt.headless=true}"
[ -d "$LOG_DIR" ] || mkdir -p "$LOG_DIR"

# The server's own two options; a log of garbage collection that cannot be written keeps it from starting, as there.
while :; do
  case ${1-} in
    -name) name=$2; shift 2 ;;
    -loggc)
      : "${KAFKA_GC_LOG_OPTS=-Xlog:gc*:file=$LOG_DIR/${name:-kafka}-gc.log:time,tags:filecount=10,filesize=100M}"
      shift
      ;;
    *) break ;;
  esac
done

if [ -n "${JMX_PORT-}" ]; then
  : "${KAFKA_JMX_OPTS:=-Dcom.sun.management.jmxremote -Dcom.sun.management.jmxremote.authenticate=false -Dcom.sun.management.jmxremote.ssl=false}"
  KAFKA_JMX_OPTS="$KAFKA_JMX_OPTS -Dcom.sun.management.jmxremote.port=$JMX_PORT"
fi

# Options are words, so they are split.
# shellcheck disable=SC2086
exec java ${KAFKA_HEAP_OPTS:--Xmx256M} $KAFKA_JVM_PERFORMANCE_OPTS ${KAFKA_GC_LOG_OPTS-} ${KAFKA_JMX_OPTS-} \
  -Dkafka.logs.dir="$LOG_DIR" $KAFKA_LOG4J_OPTS -cp "${CLASSPATH:+$CLASSPATH:}$home/libs/*" ${KAFKA_OPTS-} "$@"
