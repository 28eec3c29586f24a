package dev.sluice.router;

import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.ConfigDef.Importance;
import org.apache.kafka.common.config.ConfigDef.NonEmptyString;
import org.apache.kafka.common.config.ConfigDef.Range;
import org.apache.kafka.common.config.ConfigDef.Type;
import org.apache.kafka.connect.connector.ConnectRecord;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.errors.DataException;
import org.apache.kafka.connect.transforms.Transformation;

/**
 * Sends each change of a table to one of {@code shards} topics, {@code <prefix>0} to {@code <prefix>N-1}.
 *
 * <p>All changes of one key go to the same topic, whichever process routes them: the consumer keeps order inside a
 * topic only. By default the table and the primary key choose; for a table named in {@code columns} the values of
 * those columns alone choose, so that related rows of several tables share a topic. A truncate and the changes of a
 * table without a key go where the table's name says.
 *
 * <p>Whatever is not a change of a table (heartbeat, transaction boundary, schema change, logical message,
 * notification, tombstone) keeps its topic. Key, value and headers are never touched. A change whose shard cannot be
 * known stops the connector: a guess would break the order of that key for good.
 */
public final class ShardRouter<R extends ConnectRecord<R>> implements Transformation<R> {
    private static final ConfigDef OPTIONS = new ConfigDef()
            .define("shards", Type.INT, 8, Range.between(1, 1 << 16), Importance.HIGH,
                    "Number of topics. Changing it moves keys: change the prefix too.")
            .define("prefix", Type.STRING, "cdc.", new NonEmptyString(), Importance.HIGH,
                    "What comes before the shard's number in a topic's name.")
            .define(ShardColumns.OPTION, Type.STRING, "", Importance.MEDIUM,
                    "Tables routed by other columns than table and key: schema.table:column+column,schema.table:column");

    /** What never changes about a table: the hash of its name, and its shard columns (null: the key chooses). */
    private record Table(String name, int hash, List<String> columns) {}

    private String[] topics = new String[0];
    private Map<String, Map<String, List<String>>> columns = Map.of();
    private final Map<String, Map<String, Table>> tables = new ConcurrentHashMap<>();

    @Override
    public ConfigDef config() {
        return OPTIONS;
    }

    @Override
    public void configure(Map<String, ?> options) {
        Map<String, Object> parsed = OPTIONS.parse(options);
        columns = ShardColumns.parse((String) parsed.get(ShardColumns.OPTION));
        tables.clear();
        String[] names = new String[(Integer) parsed.get("shards")];
        for (int n = 0; n < names.length; n++) {
            names[n] = (String) parsed.get("prefix") + n;
        }
        topics = names;
    }

    @Override
    public R apply(R record) {
        if (!(record.value() instanceof Struct envelope)) {
            return record;
        }
        Field opField = envelope.schema().field("op");
        Field sourceField = envelope.schema().field("source");
        if (opField == null || sourceField == null || !(envelope.get(sourceField) instanceof Struct source)) {
            return record;
        }
        String op = String.valueOf(envelope.get(opField));
        if (!isTableChange(op)) {
            return record;
        }
        String topic = topics[ShardHash.shard(hash(record, envelope, table(source), op), topics.length)];
        return record.newRecord(topic, record.kafkaPartition(), record.keySchema(), record.key(),
                record.valueSchema(), record.value(), record.timestamp(), record.headers());
    }

    @Override
    public void close() {
        tables.clear();
    }

    private static boolean isTableChange(String op) {
        return switch (op) {
            case "c", "u", "d", "r", "t" -> true;
            case "m" -> false;
            default -> throw new DataException("Unknown operation '" + op + "' in a change event. "
                    + "This router knows c, u, d, r, t and m: use the one made for your release of Debezium.");
        };
    }

    private int hash(R record, Struct envelope, Table table, String op) {
        if (op.equals("t")) {
            return table.hash();
        }
        if (table.columns() != null) {
            return columnHash(record.key(), new Row(envelope, op), table);
        }
        if (record.key() instanceof Struct key) {
            int hash = table.hash();
            for (Field field : key.schema().fields()) {
                hash = ShardHash.part(hash, ShardHash.canonical(key.getWithoutDefault(field.name())));
            }
            return hash;
        }
        return record.key() == null ? table.hash() : ShardHash.part(table.hash(), ShardHash.canonical(record.key()));
    }

    private static int columnHash(Object recordKey, Row row, Table table) {
        Struct key = recordKey instanceof Struct struct ? struct : null;
        int hash = ShardHash.START;
        for (String column : table.columns()) {
            boolean inKey = key != null && key.schema().field(column) != null;
            Object value = inKey ? key.getWithoutDefault(column) : row.value(column, key, table.name());
            hash = ShardHash.part(hash, ShardHash.canonical(value));
        }
        return hash;
    }

    private Table table(Struct source) {
        String schema = name(source, "schema");
        String name = name(source, "table");
        Map<String, Table> inSchema = tables.get(schema);
        if (inSchema == null) {
            inSchema = tables.computeIfAbsent(schema, any -> new ConcurrentHashMap<>());
        }
        Table table = inSchema.get(name);
        if (table == null) {
            int hash = ShardHash.part(ShardHash.part(ShardHash.START, schema), name);
            List<String> chosen = columns.getOrDefault(schema, Map.of()).get(name);
            table = new Table(schema + "." + name, hash, chosen);
            inSchema.put(name, table);
        }
        return table;
    }

    private static String name(Struct source, String part) {
        Field field = source.schema().field(part);
        if (field == null || !(source.get(field) instanceof String text)) {
            throw new DataException("A change event does not say its " + part + " (source." + part + "). "
                    + "The router needs PostgreSQL's source block whole: do not let another transformation "
                    + "remove it, and put the router first.");
        }
        return text;
    }

    /** The row image that a change carries besides its key. */
    private record Row(Struct envelope, String op) {
        Object value(String column, Struct key, String table) {
            boolean delete = op.equals("d");
            String side = delete ? "before" : "after";
            Schema schema = envelope.schema().field(side) == null ? null : envelope.schema().field(side).schema();
            Struct image = schema == null ? null : envelope.getStruct(side);
            if (image == null || image.schema().field(column) == null) {
                throw new DataException("Table " + table + " is routed by column " + column + ", but a change (op "
                        + op + ") carries it neither in the key nor in '" + side + "'. Correct the router's option '"
                        + ShardColumns.OPTION + "'" + (delete ? remedy(table) : "."));
            }
            Object value = image.getWithoutDefault(column);
            if (Invented.isPlaceholder(value) || delete && Invented.isKeyOnly(image, column, key)) {
                throw new DataException("Table " + table + " is routed by column " + column + ", but a change (op "
                        + op + ") does not carry its value. Make the column part of the primary key" + remedy(table));
            }
            return value;
        }

        private static String remedy(String table) {
            return ", or run: ALTER TABLE " + table + " REPLICA IDENTITY FULL";
        }
    }
}
