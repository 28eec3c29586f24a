package dev.sluice.router;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Objects;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.Struct;

/**
 * Tells values that Debezium made up from values of the row.
 *
 * <p>Without {@code REPLICA IDENTITY FULL} the log holds only the key of a deleted row; Debezium then fills the other
 * columns of {@code before} with null or, where the schema forbids null, with an empty value. Routing by such a value
 * would send the delete away from the row's other changes.
 */
final class Invented {
    private static final String PLACEHOLDER = "__debezium_unavailable_value";

    private Invented() {}

    /** True for the text that stands for an unchanged large value which the log does not repeat. */
    static boolean isPlaceholder(Object value) {
        return PLACEHOLDER.equals(value);
    }

    /**
     * True if the column, and everything else in the image that is not part of the key, could be made up. A single
     * zero proves nothing; a row without any value that only the log can have is what a key-only image looks like.
     */
    static boolean isKeyOnly(Struct image, String column, Struct key) {
        if (isProof(image.getWithoutDefault(column), image.schema().field(column).schema())) {
            return false;
        }
        for (Field field : image.schema().fields()) {
            boolean inKey = key != null && key.schema().field(field.name()) != null;
            if (!inKey && isProof(image.getWithoutDefault(field.name()), field.schema())) {
                return false;
            }
        }
        return true;
    }

    /** True for a value that Debezium never makes up. Values of unknown shape prove nothing. */
    private static boolean isProof(Object value, Schema schema) {
        if (value == null || Objects.equals(value, schema.defaultValue())) {
            return false;
        }
        if (schema.isOptional()) {
            return true;
        }
        if (value instanceof String text) {
            return !isEmptyText(text);
        }
        if (value instanceof Number number) {
            return number.doubleValue() != 0;
        }
        return value.equals(Boolean.TRUE)
                || value instanceof byte[] bytes && bytes.length > 0
                || value instanceof ByteBuffer buffer && buffer.hasRemaining()
                || value instanceof List<?> list && !list.isEmpty();
    }

    /** The texts seen as fillings: nothing, 0.00 of any scale, empty hstore and interval, midnight, the start of 1970. */
    private static boolean isEmptyText(String text) {
        return text.chars().allMatch(c -> c == '0' || c == '.')
                || text.equals("{}")
                || text.equals("P0Y0M0DT0H0M0S")
                || text.startsWith("00:00:00")
                || text.startsWith("1970-01-01T00:00:00");
    }
}
