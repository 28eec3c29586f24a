import { join } from "node:path";
import { startDebezium } from "../../demo/local/debezium-server.ts";
import { insertLoad } from "../loads/insert.ts";
import { step } from "../progress.ts";
import { preparePlainDatabase } from "../sluice-database.ts";
import { freshDatabase, type Stage } from "../stage.ts";
import { measureDrain, preparePrimary, type Drain } from "../through-debezium.ts";

/** Debezium Server's own way into a database, without Redis: source and JDBC sink in one process. */
export async function measureJdbcSink(stage: Stage): Promise<Drain> {
  const name = "debezium_jdbc";
  const primaryUrl = await preparePrimary(stage, name);
  const template = await preparePlainDatabase(stage, { ...insertLoad(0), name });
  const targetUrl = await freshDatabase(stage.target, template);
  const debezium = await startDebezium({
    folder: join(stage.folder, name),
    primary: primaryUrl,
    redis: new URL(stage.redisUrl).host,
    environment: {
      SLOT_NAME: name,
      JAVA_TOOL_OPTIONS: javaOptions(targetUrl, join(stage.folder, "offsets")),
    },
  });
  try {
    await debezium.waitUntilStreaming();
    return await step("Debezium Server's JDBC sink", () => measureDrain(primaryUrl, targetUrl));
  } finally {
    await debezium.stop();
  }
}

/** System properties, since the sink does not see properties of the environment. */
function javaOptions(targetUrl: string, offsetFile: string): string {
  const url = new URL(targetUrl);
  const properties = {
    "debezium.sink.type": "jdbc",
    "debezium.sink.jdbc.connection.url": `jdbc:postgresql://${url.host}${url.pathname}`,
    "debezium.sink.jdbc.connection.username": url.username,
    "debezium.sink.jdbc.connection.password": "unused",
    "debezium.sink.jdbc.insert.mode": "upsert",
    "debezium.sink.jdbc.delete.enabled": "true",
    "debezium.sink.jdbc.primary.key.mode": "record_key",
    "debezium.sink.jdbc.schema.evolution": "none",
    "debezium.sink.jdbc.batch.size": "2048",
    "debezium.source.offset.storage": "org.apache.kafka.connect.storage.FileOffsetBackingStore",
    "debezium.source.offset.storage.file.filename": offsetFile,
    // The sink would look for a table of heartbeats.
    "debezium.source.heartbeat.interval.ms": "0",
    "debezium.source.decimal.handling.mode": "precise",
    // In the place of the routing by shards: every change goes to the one table.
    "debezium.transforms.shard.type": "org.apache.kafka.connect.transforms.RegexRouter",
    "debezium.transforms.shard.regex": ".*orders",
    "debezium.transforms.shard.replacement": "orders",
  };
  return Object.entries(properties)
    .map(([name, value]) => `-D${name}=${value}`)
    .join(" ");
}
