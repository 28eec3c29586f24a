package dev.sluice.router;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import org.apache.kafka.common.config.ConfigException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ShardColumnsTest {
    @Test
    void tables_and_columns_are_read() {
        assertEquals(
                Map.of("public", Map.of("orders", List.of("user_id"), "users", List.of("tenant", "id"))),
                ShardColumns.parse(" public.orders:user_id , public.users : tenant + id "));
        assertTrue(ShardColumns.parse("").isEmpty());
        assertTrue(ShardColumns.parse(null).isEmpty());
    }

    @Test
    void odd_names_go_in_double_quotes() {
        assertEquals(
                Map.of("Odd.s", Map.of("a b", List.of("x+y", "say \"hi\""))),
                ShardColumns.parse("\"Odd.s\".a b:\"x+y\"+\"say \"\"hi\"\"\""));
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "orders:user_id", "public.orders", "public.orders:", "public.orders:a,", "public.orders:a:b", "a.b.c:d",
        "public.orders:a,public.orders:b", "public.\"orders:a", "public.\"orders\"x:a"
    })
    void nonsense_is_refused(String text) {
        assertThrows(ConfigException.class, () -> ShardColumns.parse(text));
    }
}
