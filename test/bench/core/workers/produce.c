/* Contender `produce <broker> <topic> <batch> <values>`: the work of produce.ts through librdkafka's C interface, built against the library
   that confluent-kafka brings. It comes without headers, so the few calls used are declared here as librdkafka's rdkafka.h does. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

typedef struct rd_kafka_s rd_kafka_t;
typedef struct rd_kafka_topic_s rd_kafka_topic_t;
typedef struct rd_kafka_conf_s rd_kafka_conf_t;
typedef struct rd_kafka_topic_conf_s rd_kafka_topic_conf_t;
enum { RD_KAFKA_PRODUCER = 0, RD_KAFKA_CONF_OK = 0, RD_KAFKA_PARTITION_UA = -1, RD_KAFKA_MSG_F_COPY = 2 };
rd_kafka_conf_t *rd_kafka_conf_new(void);
int rd_kafka_conf_set(rd_kafka_conf_t *, const char *name, const char *value, char *error, size_t error_size);
typedef struct { int error; } rd_kafka_message_t; /* its first field, the only one read here */
void rd_kafka_conf_set_dr_msg_cb(rd_kafka_conf_t *, void (*)(rd_kafka_t *, const rd_kafka_message_t *, void *));
rd_kafka_t *rd_kafka_new(int type, rd_kafka_conf_t *, char *error, size_t error_size);
rd_kafka_topic_t *rd_kafka_topic_new(rd_kafka_t *, const char *topic, rd_kafka_topic_conf_t *);
int rd_kafka_produce(rd_kafka_topic_t *, int partition, int flags, void *value, size_t value_size, const void *key, size_t key_size, void *opaque);
int rd_kafka_poll(rd_kafka_t *, int timeout_ms);
const char *rd_kafka_version_str(void);
void rd_kafka_topic_destroy(rd_kafka_topic_t *);
void rd_kafka_destroy(rd_kafka_t *);

enum { VALUES = 997, VALUE_BYTES = 100, KEYS = 256 };

static void fail(const char *what) {
  fprintf(stderr, "%s\n", what);
  exit(1);
}

static double cpu_us(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

static double wall_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static rd_kafka_t *producer;
static rd_kafka_topic_t *topic;
static char values[VALUES * VALUE_BYTES];
static char keys[KEYS][16];
static int batch;
static int outstanding;

static void on_delivery(rd_kafka_t *from, const rd_kafka_message_t *message, void *unused) {
  (void)from, (void)unused;
  if (message->error != 0) fail("a record was not acknowledged");
  outstanding--;
}

static void send_batch(void) {
  for (int i = 0; i < batch; i++) {
    const char *key = keys[i % KEYS];
    if (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, values + (i % VALUES) * VALUE_BYTES, VALUE_BYTES, key, strlen(key), NULL) != 0)
      fail("a record was refused");
  }
  outstanding += batch;
  while (outstanding > 0)
    if (rd_kafka_poll(producer, 30000) == 0 && outstanding > 0) fail("not acknowledged within 30 s");
}

int main(int argc, char **argv) {
  if (argc != 5) fail("expected broker, topic, batch, values");
  batch = atoi(argv[3]);
  FILE *file = fopen(argv[4], "rb");
  if (file == NULL || fread(values, 1, sizeof values, file) != sizeof values) fail("the file of values cannot be read");
  fclose(file);
  for (int i = 0; i < KEYS; i++) snprintf(keys[i], sizeof keys[i], "asset-%d", 1000 + i);

  char error[512];
  const char *settings[][2] = {{"bootstrap.servers", argv[1]}, {"enable.idempotence", "true"}, {"acks", "all"},
                               {"max.in.flight.requests.per.connection", "1"}, {"batch.num.messages", argv[3]}, {"linger.ms", "1000"},
                               {"compression.type", "none"}, {"partitioner", "murmur2_random"}};
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
    if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], error, sizeof error) != RD_KAFKA_CONF_OK) fail(error);
  rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
  producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
  if (producer == NULL) fail(error);
  topic = rd_kafka_topic_new(producer, argv[2], NULL);

  send_batch();
  printf("ready {\"librdkafka\":\"%s\"}\n", rd_kafka_version_str());
  fflush(stdout);
  char line[64];
  while (fgets(line, sizeof line, stdin) != NULL) {
    int rounds = atoi(line);
    double cpu = cpu_us(), wall = wall_ms();
    for (int i = 0; i < rounds; i++) send_batch();
    printf("{\"work\":%d,\"wallMs\":%.3f,\"cpuUs\":%.0f}\n", rounds * batch, wall_ms() - wall, cpu_us() - cpu);
    fflush(stdout);
  }
  rd_kafka_topic_destroy(topic);
  rd_kafka_destroy(producer);
  return 0;
}
