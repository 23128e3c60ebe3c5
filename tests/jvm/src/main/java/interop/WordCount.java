package interop;

import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.regex.Pattern;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;

/**
 * The word count of the example `word-count`, by JVM Kafka Streams, with the same names and bytes: either continues what the other wrote.
 *
 * <p>Prints READY when it runs for the first time. On SIGTERM it closes cleanly and leaves the group. The system property
 * {@code config} holds further settings, {@code key=value,key=value}. With {@code -Dunnamed=true} store and repartition topic have
 * generated names.
 */
public final class WordCount {
    // What Rust's split_whitespace takes for white space: Unicode's White_Space, not only ASCII's.
    private static final Pattern WHITE_SPACE = Pattern.compile("\\s+", Pattern.UNICODE_CHARACTER_CLASS);

    public static void main(String[] a) throws Exception {
        if (a.length != 7) {
            System.err.println("usage: interop.WordCount BOOTSTRAP INPUT OUTPUT APPLICATION_ID STATE_DIR exactly-once|at-least-once THREADS");
            System.exit(2);
        }
        Properties p = new Properties();
        p.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, a[0]);
        p.put(StreamsConfig.APPLICATION_ID_CONFIG, a[3]);
        p.put(StreamsConfig.STATE_DIR_CONFIG, a[4]);
        p.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, switch (a[5]) {
            case "exactly-once" -> StreamsConfig.EXACTLY_ONCE_V2;
            case "at-least-once" -> StreamsConfig.AT_LEAST_ONCE;
            default -> throw new IllegalArgumentException("unknown guarantee: " + a[5]);
        });
        p.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, a[6]);
        p.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        p.put("auto.offset.reset", "earliest");
        for (String extra : System.getProperty("config", "").split(",")) {
            if (!extra.isEmpty()) p.put(extra.split("=", 2)[0], extra.split("=", 2)[1]);
        }

        StreamsBuilder builder = new StreamsBuilder();
        boolean named = !Boolean.getBoolean("unnamed");
        Grouped<String, String> byWord = Grouped.with(Serdes.String(), Serdes.String());
        KGroupedStream<String, String> words = builder.stream(a[1], Consumed.with(Serdes.String(), Serdes.String()))
                .flatMapValues(line -> words(line))
                .groupBy((key, word) -> word, named ? byWord.withName("by-word") : byWord);
        (named ? words.count(Materialized.as("word-counts")) : words.count())
                .toStream()
                .to(a[2], Produced.with(Serdes.String(), Serdes.Long()));

        KafkaStreams streams = new KafkaStreams(builder.build(), p);
        CountDownLatch ended = new CountDownLatch(1);
        AtomicBoolean ready = new AtomicBoolean(), failed = new AtomicBoolean();
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.RUNNING && ready.compareAndSet(false, true)) {
                System.out.println("READY");
                System.out.flush();
            }
            if (now == KafkaStreams.State.ERROR) {
                failed.set(true);
                ended.countDown();
            }
        });
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close(CloseOptions.groupMembershipOperation(CloseOptions.GroupMembershipOperation.LEAVE_GROUP)
                    .withTimeout(Duration.ofSeconds(60)));
            ended.countDown();
        }));
        streams.start();
        ended.await();
        if (failed.get()) System.exit(1);
    }

    static List<String> words(String line) {
        return Arrays.stream(WHITE_SPACE.split(line)).filter(word -> !word.isEmpty())
                .map(word -> word.toLowerCase(Locale.ROOT)).toList();
    }
}
