package dev.sluice.router;

import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Date;
import java.util.HexFormat;
import java.util.List;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.errors.DataException;

/**
 * The hash that names a shard: a function of the texts alone, the same in every process, release and language.
 *
 * <p>Each part is fed as {@code <length in UTF-8 bytes>:<text>}, a null as {@code -}, so that no two different lists
 * of parts give the same bytes. The bytes go through 32-bit FNV-1a; {@link #shard} scrambles the result once (the
 * finalizer of MurmurHash3), because the low bits of FNV-1a depend only on the low bits of its input, and takes the
 * unsigned remainder.
 *
 * <p>Any change here moves keys to other shards while older changes of theirs wait in the old ones: the order of one
 * key is then lost. The test vectors must never change.
 */
final class ShardHash {
    static final int START = 0x811c9dc5;
    private static final int PRIME = 0x01000193;
    private static final double EXACT_INTEGERS = 0x1p53;

    private ShardHash() {}

    /** Feeds one part, text or null, to a running hash. */
    static int part(int hash, String text) {
        if (text == null) {
            return (hash ^ '-') * PRIME;
        }
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        int result = (length(hash, bytes.length) ^ ':') * PRIME;
        for (byte b : bytes) {
            result = (result ^ (b & 0xff)) * PRIME;
        }
        return result;
    }

    static int shard(int hash, int shards) {
        int h = hash;
        h ^= h >>> 16;
        h *= 0x85ebca6b;
        h ^= h >>> 13;
        h *= 0xc2b2ae35;
        h ^= h >>> 16;
        return Integer.remainderUnsigned(h, shards);
    }

    /** The text that stands for a value whatever the width of its type, or null for null. */
    static String canonical(Object value) {
        if (value == null || value instanceof String) {
            return (String) value;
        }
        if (value instanceof Double || value instanceof Float) {
            return floating(((Number) value).doubleValue());
        }
        if (value instanceof Number && !(value instanceof BigDecimal) || value instanceof Boolean) {
            return value.toString();
        }
        if (value instanceof BigDecimal decimal) {
            return decimal.signum() == 0 ? "0" : decimal.stripTrailingZeros().toPlainString();
        }
        if (value instanceof byte[] bytes) {
            return HexFormat.of().formatHex(bytes);
        }
        if (value instanceof ByteBuffer buffer) {
            byte[] bytes = new byte[buffer.remaining()];
            buffer.duplicate().get(bytes);
            return HexFormat.of().formatHex(bytes);
        }
        if (value instanceof Date date) {
            return Long.toString(date.getTime());
        }
        return nested(value);
    }

    private static int length(int hash, int length) {
        int result = length < 10 ? hash : length(hash, length / 10);
        return (result ^ ('0' + length % 10)) * PRIME;
    }

    /** Whole numbers as integers, so that 1.0 is 1; the rest as bits, since languages print fractions differently. */
    private static String floating(double value) {
        if (value == Math.rint(value) && Math.abs(value) <= EXACT_INTEGERS) {
            return Long.toString((long) value);
        }
        return "0x" + HexFormat.of().toHexDigits(Double.doubleToLongBits(value));
    }

    /** Arrays and structs: their parts, each with its length as above, one after the other. */
    private static String nested(Object value) {
        StringBuilder text = new StringBuilder();
        if (value instanceof List<?> list) {
            list.forEach(element -> append(text, element));
        } else if (value instanceof Struct struct) {
            for (Field field : struct.schema().fields()) {
                append(text, struct.getWithoutDefault(field.name()));
            }
        } else {
            throw new DataException("A value of " + value.getClass().getName() + " cannot choose a shard. "
                    + "Choose other columns with the router's option 'columns'.");
        }
        return text.toString();
    }

    private static void append(StringBuilder text, Object value) {
        String part = canonical(value);
        if (part == null) {
            text.append('-');
        } else {
            text.append(part.getBytes(StandardCharsets.UTF_8).length).append(':').append(part);
        }
    }
}
