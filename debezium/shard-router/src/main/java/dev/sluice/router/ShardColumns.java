package dev.sluice.router;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.config.ConfigException;

/**
 * Reads the option {@code columns}: {@code schema.table:column+column, schema.table:column}.
 *
 * <p>Names are exact (case matters). A name with one of {@code . : + , "} or outer blanks goes in double quotes, with
 * {@code ""} for a quote inside, as in PostgreSQL: {@code "odd.schema".orders:"user+id"}.
 */
final class ShardColumns {
    static final String OPTION = "columns";
    private static final String SEPARATORS = ".:+,";
    private static final char END = 0;

    private final String text;
    private int at;

    private ShardColumns(String text) {
        this.text = text;
    }

    /** Schema, then table, to the columns that choose its shard. */
    static Map<String, Map<String, List<String>>> parse(String text) {
        Map<String, Map<String, List<String>>> result = new HashMap<>();
        ShardColumns reader = new ShardColumns(text == null ? "" : text);
        if (reader.text.isBlank()) {
            return result;
        }
        char next;
        do {
            String schema = reader.name();
            reader.expect('.');
            String table = reader.name();
            reader.expect(':');
            List<String> columns = new ArrayList<>();
            do {
                columns.add(reader.name());
                next = reader.separator();
            } while (next == '+');
            if (next != ',' && next != END) {
                throw reader.wrong("expected '+', ',' or the end");
            }
            var tables = result.computeIfAbsent(schema, name -> new HashMap<>());
            if (tables.putIfAbsent(table, List.copyOf(columns)) != null) {
                throw reader.wrong("table " + schema + "." + table + " is named twice");
            }
        } while (next == ',');
        return result;
    }

    private String name() {
        skipBlanks();
        String name = at < text.length() && text.charAt(at) == '"' ? quoted() : plain();
        skipBlanks();
        if (name.isEmpty()) {
            throw wrong("a name is missing");
        }
        return name;
    }

    private String plain() {
        int start = at;
        while (at < text.length() && SEPARATORS.indexOf(text.charAt(at)) < 0) {
            at++;
        }
        return text.substring(start, at).strip();
    }

    private String quoted() {
        StringBuilder name = new StringBuilder();
        for (at++; at < text.length(); at++) {
            char c = text.charAt(at);
            if (c != '"') {
                name.append(c);
            } else if (at + 1 < text.length() && text.charAt(at + 1) == '"') {
                name.append('"');
                at++;
            } else {
                at++;
                return name.toString();
            }
        }
        throw wrong("a double quote is not closed");
    }

    private void expect(char wanted) {
        if (separator() != wanted) {
            throw wrong("expected '" + wanted + "'");
        }
    }

    private char separator() {
        return at < text.length() ? text.charAt(at++) : END;
    }

    private void skipBlanks() {
        while (at < text.length() && Character.isWhitespace(text.charAt(at))) {
            at++;
        }
    }

    private ConfigException wrong(String why) {
        return new ConfigException(OPTION, text, why + " (near character " + at
                + "). Write schema.table:column, several columns as schema.table:a+b, several tables with commas.");
    }
}
