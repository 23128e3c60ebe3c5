package interop;

import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * Topologies with cached stores over a small cache and without a commit before the end, to be compared with ours record by record.
 *
 * <p>Ends by itself after CALLS calls of the functions that it prints: {@code see KEY VALUE}, {@code add KEY VALUE SUM}, {@code subtract KEY VALUE SUM}.
 */
public final class Cached {
    private static final Serde<String> STRING = Serdes.String();
    private static final Serde<Long> LONG = Serdes.Long();

    private final CountDownLatch calls;

    private Cached(int calls) {
        this.calls = new CountDownLatch(calls);
    }

    private synchronized void say(String text) {
        System.out.println(text);
        calls.countDown();
    }

    private static <V> Materialized<String, V, KeyValueStore<Bytes, byte[]>> store(String name, Serde<V> values) {
        return Materialized.<String, V, KeyValueStore<Bytes, byte[]>>as(name).withKeySerde(STRING).withValueSerde(values);
    }

    /** A sum, a text of it, and a filter: three caches, one above the other, in one task. */
    private void chain(StreamsBuilder builder, String input, String output) {
        builder.stream(input, Consumed.with(STRING, LONG))
                .peek((key, value) -> say("see " + key + " " + value))
                .groupByKey(Grouped.with(STRING, LONG))
                .aggregate(() -> 0L, (key, value, sum) -> sum + value, store("sums", LONG))
                .mapValues(sum -> "sum " + sum, store("texts", STRING))
                .filter((key, text) -> text.length() % 2 == 0, store("even", STRING))
                .toStream()
                .to(output, Produced.with(STRING, STRING));
    }

    /** Totals of a table's rows by the first letter of their keys, with an adder and a subtractor. */
    private void totals(StreamsBuilder builder, String input, String output) {
        builder.table(input, Consumed.with(STRING, LONG), store("balances", LONG).withCachingDisabled())
                .groupBy((account, balance) -> KeyValue.pair(account.substring(0, 1), balance), Grouped.with("by-bank", STRING, LONG))
                .aggregate(() -> 0L, (key, value, sum) -> {
                    say("add " + key + " " + value + " " + sum);
                    return sum + value;
                }, (key, value, sum) -> {
                    say("subtract " + key + " " + value + " " + sum);
                    return sum - value;
                }, store("totals", LONG))
                .toStream()
                .to(output, Produced.with(STRING, LONG));
    }

    public static void main(String[] a) throws Exception {
        if (a.length != 9) {
            System.err.println("usage: interop.Cached chain|totals BOOTSTRAP INPUT OUTPUT APPLICATION_ID STATE_DIR CACHE_BYTES THREADS CALLS");
            System.exit(2);
        }
        Properties p = new Properties();
        p.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, a[1]);
        p.put(StreamsConfig.APPLICATION_ID_CONFIG, a[4]);
        p.put(StreamsConfig.STATE_DIR_CONFIG, a[5]);
        p.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, a[6]);
        p.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, a[7]);
        p.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, "3600000");
        p.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        p.put("auto.offset.reset", "earliest");

        Cached cached = new Cached(Integer.parseInt(a[8]));
        StreamsBuilder builder = new StreamsBuilder();
        switch (a[0]) {
            case "chain" -> cached.chain(builder, a[2], a[3]);
            case "totals" -> cached.totals(builder, a[2], a[3]);
            default -> throw new IllegalArgumentException("unknown topology: " + a[0]);
        }
        try (KafkaStreams streams = new KafkaStreams(builder.build(), p)) {
            streams.start();
            cached.calls.await();
            streams.close(Duration.ofSeconds(60));
        }
    }
}
