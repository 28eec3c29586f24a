package dev.sluice.router;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.apache.kafka.common.config.ConfigException;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.errors.DataException;
import org.apache.kafka.connect.source.SourceRecord;
import org.junit.jupiter.api.Test;

class ShardRouterTest {
    private static final Schema SOURCE = SchemaBuilder.struct()
            .field("schema", Schema.STRING_SCHEMA).field("table", Schema.STRING_SCHEMA).build();
    private static final Schema ORDER = SchemaBuilder.struct().optional()
            .field("id", Schema.INT64_SCHEMA).field("user_id", Schema.INT64_SCHEMA)
            .field("note", Schema.OPTIONAL_STRING_SCHEMA).build();
    private static final Schema USER = SchemaBuilder.struct().optional()
            .field("id", Schema.INT32_SCHEMA).field("note", Schema.OPTIONAL_STRING_SCHEMA).build();
    private static final Schema ORDER_KEY = SchemaBuilder.struct().field("id", Schema.INT64_SCHEMA).build();
    private static final Schema USER_KEY = SchemaBuilder.struct().field("id", Schema.INT32_SCHEMA).build();
    private static final String BY_USER = "public.orders:user_id,public.users:id";

    private static ShardRouter<SourceRecord> router(String columns) {
        ShardRouter<SourceRecord> router = new ShardRouter<>();
        router.configure(Map.of("shards", "8", "prefix", "cdc.", "columns", columns));
        return router;
    }

    private static SourceRecord change(String op, String table, Struct key, Schema row, Struct before, Struct after) {
        Schema schema = SchemaBuilder.struct().field("before", row).field("after", row)
                .field("source", SOURCE).field("op", Schema.STRING_SCHEMA).build();
        Struct value = new Struct(schema).put("before", before).put("after", after).put("op", op)
                .put("source", new Struct(SOURCE).put("schema", "public").put("table", table));
        return new SourceRecord(Map.of("p", 1), Map.of("o", 2), "app.public.whatever", null,
                key == null ? null : key.schema(), key, schema, value, 5L, null);
    }

    private static Struct order(long id, Long user, String note) {
        return new Struct(ORDER).put("id", id).put("user_id", user).put("note", note);
    }

    private static SourceRecord orderChange(String op, long id, Struct before, Struct after) {
        return change(op, "orders", new Struct(ORDER_KEY).put("id", id), ORDER, before, after);
    }

    private static SourceRecord userChange(String op, int id) {
        Struct row = new Struct(USER).put("id", id);
        return change(op, "users", new Struct(USER_KEY).put("id", id), USER,
                op.equals("d") ? row : null, op.equals("d") ? null : row);
    }

    private static String topic(int hash) {
        return "cdc." + ShardHash.shard(hash, 8);
    }

    private static int hash(String... parts) {
        int hash = ShardHash.START;
        for (String part : parts) {
            hash = ShardHash.part(hash, part);
        }
        return hash;
    }

    @Test
    void every_change_of_a_key_goes_to_the_shard_of_table_and_key() {
        ShardRouter<SourceRecord> router = router("");
        for (long id = 0; id < 100; id++) {
            String expected = topic(hash("public", "orders", Long.toString(id)));
            for (String op : new String[] {"c", "u", "r"}) {
                assertEquals(expected, router.apply(orderChange(op, id, null, order(id, id % 7, "n"))).topic());
            }
            assertEquals(expected, router.apply(orderChange("d", id, order(id, 0L, null), null)).topic());
        }
    }

    @Test
    void one_users_rows_share_a_shard_across_tables_and_integer_widths() {
        ShardRouter<SourceRecord> router = router(BY_USER);
        for (int user = 1; user < 200; user++) {
            String expected = topic(hash(Integer.toString(user)));
            assertEquals(expected, router.apply(userChange("c", user)).topic());
            assertEquals(expected, router.apply(userChange("d", user)).topic());
            assertEquals(expected, router.apply(orderChange("c", 1000 - user, null, order(1000 - user, (long) user, null))).topic());
            assertEquals(expected, router.apply(orderChange("d", 1000 - user, order(1000 - user, (long) user, null), null)).topic());
        }
    }

    @Test
    void only_the_topic_changes() {
        SourceRecord record = orderChange("c", 1, null, order(1, 2L, "n"));
        record.headers().addString("__debezium.oldkey", "x");
        SourceRecord routed = router("").apply(record);
        assertSame(record.key(), routed.key());
        assertSame(record.keySchema(), routed.keySchema());
        assertSame(record.value(), routed.value());
        assertSame(record.valueSchema(), routed.valueSchema());
        assertEquals(record.headers(), routed.headers());
        assertEquals(record.timestamp(), routed.timestamp());
        assertEquals(record.sourceOffset(), routed.sourceOffset());
        assertEquals(record.sourcePartition(), routed.sourcePartition());
    }

    @Test
    void a_truncate_and_a_table_without_key_go_where_the_tables_name_says() {
        String expected = topic(hash("public", "orders"));
        assertEquals(expected, router("").apply(change("t", "orders", null, ORDER, null, null)).topic());
        assertEquals(expected, router(BY_USER).apply(change("t", "orders", null, ORDER, null, null)).topic());
        for (long id = 0; id < 20; id++) {
            SourceRecord keyless = change("c", "orders", null, ORDER, null, order(id, id, null));
            assertEquals(expected, router("").apply(keyless).topic());
        }
    }

    @Test
    void shard_columns_serve_a_table_without_key_too() {
        SourceRecord keyless = change("c", "orders", null, ORDER, null, order(1, 42L, null));
        assertEquals(topic(hash("42")), router(BY_USER).apply(keyless).topic());
    }

    @Test
    void several_columns_hash_in_the_order_of_the_option() {
        SourceRecord record = orderChange("c", 5, null, order(5, 42L, "n"));
        assertEquals(topic(hash("42", "5")), router("public.orders:user_id+id").apply(record).topic());
        assertEquals(topic(hash("5", "42")), router("public.orders:id+user_id").apply(record).topic());
        assertNotEquals(hash("42", "5"), hash("5", "42"));
    }

    @Test
    void a_null_in_a_shard_column_is_a_value() {
        SourceRecord record = orderChange("c", 5, null, order(5, 42L, null));
        assertEquals(topic(hash((String) null)), router("public.orders:note").apply(record).topic());
    }

    @Test
    void a_delete_that_carries_invented_values_stops_with_the_remedy() {
        for (String columns : new String[] {BY_USER, "public.orders:note"}) {
            DataException error = assertThrows(DataException.class,
                    () -> router(columns).apply(orderChange("d", 7, order(7, 0L, null), null)));
            assertTrue(error.getMessage().contains("ALTER TABLE public.orders REPLICA IDENTITY FULL"), error.getMessage());
        }
    }

    /** The fillings that Debezium 3.6.1 wrote for columns that forbid null and have a default or none. */
    @Test
    void every_filling_seen_in_a_key_only_image_is_known() {
        Schema point = SchemaBuilder.struct().field("x", Schema.FLOAT64_SCHEMA).build();
        Schema list = SchemaBuilder.array(Schema.INT32_SCHEMA).build();
        Schema withDefault = SchemaBuilder.string().defaultValue("x").build();
        Schema row = SchemaBuilder.struct().optional().field("user_id", Schema.INT64_SCHEMA)
                .field("price", Schema.STRING_SCHEMA).field("at", Schema.STRING_SCHEMA).field("span", Schema.STRING_SCHEMA)
                .field("time", Schema.STRING_SCHEMA).field("ratio", Schema.FLOAT64_SCHEMA).field("flag", Schema.BOOLEAN_SCHEMA)
                .field("raw", Schema.BYTES_SCHEMA).field("tags", Schema.STRING_SCHEMA).field("place", point).field("list", list).field("text", withDefault)
                .build();
        Struct before = new Struct(row).put("user_id", 0L).put("price", "0.00").put("at", "1970-01-01T00:00:00.000000Z")
                .put("span", "P0Y0M0DT0H0M0S").put("time", "00:00:00Z").put("ratio", 0.0d).put("flag", false)
                .put("raw", ByteBuffer.allocate(0)).put("tags", "{}").put("place", new Struct(point).put("x", 0.0d)).put("list", List.of())
                .put("text", "x");
        SourceRecord delete = change("d", "orders", new Struct(ORDER_KEY).put("id", 1L), row, before, null);
        assertThrows(DataException.class, () -> router(BY_USER).apply(delete));
        before.put("price", "0.01");
        assertEquals(topic(hash("0")), router(BY_USER).apply(delete).topic());
    }

    @Test
    void a_true_zero_in_a_whole_row_is_taken() {
        SourceRecord record = orderChange("d", 7, order(7, 0L, "the log carried this"), null);
        assertEquals(topic(hash("0")), router(BY_USER).apply(record).topic());
    }

    @Test
    void a_delete_without_row_or_a_column_that_does_not_exist_stops() {
        assertThrows(DataException.class, () -> router(BY_USER).apply(orderChange("d", 7, null, null)));
        SourceRecord insert = orderChange("c", 7, null, order(7, 1L, null));
        assertThrows(DataException.class, () -> router("public.orders:nope").apply(insert));
    }

    @Test
    void an_unchanged_large_value_in_a_shard_column_stops() {
        SourceRecord update = orderChange("u", 7, null, order(7, 1L, "__debezium_unavailable_value"));
        assertThrows(DataException.class, () -> router("public.orders:note").apply(update));
    }

    @Test
    void a_null_is_not_replaced_by_the_columns_default() {
        Schema row = SchemaBuilder.struct().optional()
                .field("owner", SchemaBuilder.int32().optional().defaultValue(9).build()).build();
        SourceRecord record = change("c", "orders", null, row, null, new Struct(row));
        assertEquals(topic(hash((String) null)), router("public.orders:owner").apply(record).topic());
    }

    @Test
    void what_is_not_a_change_of_a_table_keeps_its_topic() {
        Schema heartbeat = SchemaBuilder.struct().field("ts_ms", Schema.INT64_SCHEMA).build();
        Schema transaction = SchemaBuilder.struct().field("status", Schema.STRING_SCHEMA).field("id", Schema.STRING_SCHEMA).build();
        SourceRecord tombstone = new SourceRecord(null, null, "app.public.orders", ORDER_KEY, new Struct(ORDER_KEY).put("id", 1L), null, null);
        SourceRecord[] others = {
            tombstone,
            new SourceRecord(null, null, "__debezium-heartbeat.app", heartbeat, new Struct(heartbeat).put("ts_ms", 1L)),
            new SourceRecord(null, null, "app.transaction", transaction, new Struct(transaction).put("status", "BEGIN").put("id", "1")),
            new SourceRecord(null, null, "plain", Schema.STRING_SCHEMA, "text"),
            change("m", "", null, ORDER, null, null),
        };
        for (SourceRecord other : others) {
            assertSame(other, router(BY_USER).apply(other));
        }
    }

    @Test
    void an_unknown_operation_stops() {
        assertThrows(DataException.class, () -> router("").apply(change("x", "orders", null, ORDER, null, null)));
    }

    @Test
    void bad_options_are_refused() {
        ShardRouter<SourceRecord> router = new ShardRouter<>();
        assertThrows(ConfigException.class, () -> router.configure(Map.of("shards", "0")));
        assertThrows(ConfigException.class, () -> router.configure(Map.of("prefix", "")));
        assertThrows(ConfigException.class, () -> router.configure(Map.of("columns", "orders:user_id")));
    }

    @Test
    void threads_agree() {
        ShardRouter<SourceRecord> router = router("");
        IntStream.range(0, 20_000).parallel().forEach(id -> assertEquals(
                topic(hash("public", "t" + id % 50, Integer.toString(id))),
                router.apply(change("c", "t" + id % 50, new Struct(USER_KEY).put("id", id), USER, null,
                        new Struct(USER).put("id", id))).topic()));
    }
}
