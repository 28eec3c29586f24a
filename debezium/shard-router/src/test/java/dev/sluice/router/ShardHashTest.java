package dev.sluice.router;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Date;
import java.util.List;
import java.util.Map;
import org.apache.kafka.connect.errors.DataException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ShardHashTest {
    private static int hash(Object... values) {
        int hash = ShardHash.START;
        for (Object value : values) {
            hash = ShardHash.part(hash, ShardHash.canonical(value));
        }
        return hash;
    }

    /** The page docs/reference/shard-routing.md shows the same table. Parts are separated by a bar, a null is (null). */
    @ParameterizedTest(name = "{0}")
    @CsvSource(quoteCharacter = '`', value = {
        "1, 6424c559, 5, 9",
        "2, 6124c0a0, 1, 5",
        "42, 8d27825b, 3, 7",
        "-1, 7a38ad93, 4, 8",
        "9223372036854775807, d8453585, 6, 10",
        "(null), 280c9438, 3, 3",
        "public|orders, 818c743d, 3, 11",
        "public|orders|1, 41033b11, 7, 3",
        "public|orders|2, 3e033658, 1, 5",
        "public|users|1, 2bde094d, 4, 4",
        "public|nokey, c65a36df, 6, 10",
        "public|comp|b|2, 841ed483, 3, 11",
        "public|comp|2|b, 07bb6a23, 1, 5",
        "public|ukey|6f0a4c1e-9a52-4d1b-8d6c-0f4b6a0e7c11, aa848136, 5, 5",
        "public|tkey|Zürich, dbb44e07, 6, 2",
        "public|tkey|naïve 日本 😀, 122cbd5d, 5, 9",
        "Odd.s|a b|7, 4a1b774a, 6, 10",
        "42|eu, 6f1afc85, 5, 1"
    })
    void the_vectors_of_the_reference_page_hold(String parts, String fnv, int of8, int of12) {
        Object[] values = Arrays.stream(parts.split("[|]")).map(part -> part.equals("(null)") ? null : part).toArray();
        int hash = hash(values);
        assertEquals(fnv, String.format("%08x", hash));
        assertEquals(of8, ShardHash.shard(hash, 8));
        assertEquals(of12, ShardHash.shard(hash, 12));
    }

    @Test
    void different_parts_never_run_together() {
        assertNotEquals(hash("ab", "c"), hash("a", "bc"));
        assertNotEquals(hash("a", null), hash("a", "-"));
        assertNotEquals(hash("a", null), hash("a"));
        assertNotEquals(hash("1:1", "1"), hash("1", "1:1"));
        assertNotEquals(hash(List.of("a", "b")), hash("a", "b"));
    }

    @Test
    void a_value_hashes_alike_whatever_the_width_of_its_type() {
        for (Object one : new Object[] {(byte) 1, (short) 1, 1, 1L, 1.0f, 1.0d, new BigDecimal("1.00"), "1"}) {
            assertEquals("1", ShardHash.canonical(one), one.getClass().getName());
        }
    }

    @Test
    void canonical_texts() {
        assertEquals("9223372036854775807", ShardHash.canonical(Long.MAX_VALUE));
        assertEquals("100", ShardHash.canonical(new BigDecimal("1E+2")));
        assertEquals("0", ShardHash.canonical(new BigDecimal("0.00")));
        assertEquals("0", ShardHash.canonical(-0.0d));
        assertEquals("0x3fe0000000000000", ShardHash.canonical(0.5d));
        assertEquals("0x7ff8000000000000", ShardHash.canonical(Double.NaN));
        assertEquals("0x7ff0000000000000", ShardHash.canonical(Double.POSITIVE_INFINITY));
        assertEquals("true", ShardHash.canonical(true));
        assertEquals("00ff", ShardHash.canonical(new byte[] {0, (byte) 0xff}));
        assertEquals("86400000", ShardHash.canonical(new Date(86_400_000)));
        assertEquals("1:1-2:é", ShardHash.canonical(Arrays.asList(1, null, "é")));
        assertThrows(DataException.class, () -> ShardHash.canonical(Map.of("a", "b")));
    }

    @Test
    void reading_a_buffer_leaves_it_unread() {
        ByteBuffer buffer = ByteBuffer.wrap(new byte[] {1, 2, 3}, 1, 2);
        assertEquals("0203", ShardHash.canonical(buffer));
        assertEquals(2, buffer.remaining());
    }

    @Test
    void consecutive_keys_spread_evenly() {
        for (int shards : new int[] {2, 3, 8, 12, 16, 64}) {
            int[] counts = new int[shards];
            int keys = shards * 2_000;
            for (int id = 1; id <= keys; id++) {
                counts[ShardHash.shard(hash("public", "orders", id), shards)]++;
            }
            for (int count : counts) {
                assertTrue(Math.abs(count - 2_000) < 200, shards + " shards: " + Arrays.toString(counts));
            }
        }
    }
}
